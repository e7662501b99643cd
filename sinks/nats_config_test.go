package sinks

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// Each of these was found to matter; see what stands beside them in options.
func TestNATSSettings(t *testing.T) {
	t.Parallel()
	settings := func(c NATSConfig) *nats.Options {
		c = c.withDefaults()
		o, err := c.options(func() {})
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	o := settings(NATSConfig{URL: "nats://127.0.0.1:4222", Instance: "soc-1"})
	if o.Name != "jwkswatch/soc-1" || o.MaxReconnect != -1 || !o.RetryOnFailedConnect || !o.IgnoreAuthErrorAbort || o.ReconnectBufSize != -1 ||
		!o.ReconnectOnFlusherError || o.ReconnectWait != 2*time.Second || o.ReconnectJitter != 500*time.Millisecond || o.ReconnectJitterTLS != 2*time.Second ||
		o.Timeout != 5*time.Second || o.PingInterval != 20*time.Second || o.MaxPingsOut != 2 || o.InboxPrefix != "_INBOX_jwkswatch" || !o.NoEcho {
		t.Errorf("%+v", o)
	}
	if o.Secure || !o.IgnoreDiscoveredServers {
		t.Error("in clear text, servers that a server announces are tried too")
	}
	o = settings(NATSConfig{URL: "tls://nats.example:4222", Client: "two"})
	if !o.Secure || o.TLSConfig.MinVersion != tls.VersionTLS12 || o.TLSConfig.InsecureSkipVerify || o.IgnoreDiscoveredServers || o.InboxPrefix != "_INBOX_two" {
		t.Errorf("%+v", o)
	}
}

func TestNATSConfigRefused(t *testing.T) {
	t.Parallel()
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	const local = "nats://127.0.0.1:1"
	for name, test := range map[string]struct {
		c      NATSConfig
		reason string
	}{
		"no url":                {NATSConfig{}, "tls://host:port"},
		"no scheme":             {NATSConfig{URL: "127.0.0.1:4222"}, "tls://host:port"},
		"websocket":             {NATSConfig{URL: "wss://127.0.0.1"}, "tls or nats"},
		"password in the url":   {NATSConfig{URL: "tls://me:hunter2@nats.example"}, "credentials in a URL"},
		"token in the url":      {NATSConfig{URL: "tls://nats.example,tls://hunter2@nats.example"}, "credentials in a URL"},
		"url that is none":      {NATSConfig{URL: "tls://me:hunter2%zz@nats.example"}, "tls://host:port"},
		"path":                  {NATSConfig{URL: local + "/hunter2"}, "no path"},
		"clear text":            {NATSConfig{URL: "nats://nats.example:4222"}, "clear text"},
		"clear text, second":    {NATSConfig{URL: local + ",nats://192.0.2.1:4222"}, "server 2"},
		"prefix":                {NATSConfig{URL: local, Prefix: "a.>"}, "prefix"},
		"stream":                {NATSConfig{URL: local, Stream: "a.b"}, "stream"},
		"manage":                {NATSConfig{URL: local, Manage: "own", Stream: "A"}, "manage"},
		"manage without stream": {NATSConfig{URL: local, Manage: ManageVerify}, "stream"},
		"client":                {NATSConfig{URL: local, Client: ">"}, "client"},
		"two credentials":       {NATSConfig{URL: local, TokenFile: "a", NkeySeedFile: "b"}, "more than one"},
		"user alone":            {NATSConfig{URL: local, User: "a"}, "password_file"},
		"cert alone":            {NATSConfig{URL: local, CertFile: "a"}, "key_file"},
		"no token file":         {NATSConfig{URL: local, TokenFile: "/nonexistent"}, "nonexistent"},
		"no password file":      {NATSConfig{URL: local, User: "a", PasswordFile: "/nonexistent"}, "nonexistent"},
		"empty token file":      {NATSConfig{URL: local, TokenFile: empty}, "empty"},
		"no credentials file":   {NATSConfig{URL: local, CredentialsFile: "/nonexistent"}, "nonexistent"},
		"no seed in it":         {NATSConfig{URL: local, NkeySeedFile: secretFile(t, "hunter2")}, "no nkey seed"},
		"no CA file":            {NATSConfig{URL: local, CAFile: "/nonexistent"}, "nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n, err := OpenNATS(test.c, (&ops{}).logger())
			if err == nil {
				_ = n.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), test.reason) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%v", err)
			}
		})
	}
	for name, c := range map[string]NATSConfig{
		"insecure": {URL: "nats://192.0.2.1:4222", Insecure: true},
		"loopback": {URL: "nats://[::1]:1,nats://localhost:1"},
		"mixed":    {URL: "nats://192.0.2.1:4222,tls://192.0.2.2:4222"}, // nats.go then insists on TLS for both
	} {
		c = c.withDefaults()
		if err := c.check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
