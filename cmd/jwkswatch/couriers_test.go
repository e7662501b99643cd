package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestWebhookClient shows a receiver the certificate that lies in the files now,
// trusts the authority that is given and no other, speaks HTTP/2, and asks no proxy.
func TestWebhookClient(t *testing.T) {
	authority, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Issue(lab.Leaf{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	seen := make(chan string, 10)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen <- r.Proto + " " + r.TLS.PeerCertificates[0].SerialNumber.String()
	}))
	srv.EnableHTTP2 = true
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Roots(), MinVersion: tls.VersionTLS12}
	srv.StartTLS()
	defer srv.Close()
	t.Setenv("HTTPS_PROXY", "http://127.0.0.1:1")
	dir := t.TempDir()
	put := func(name, typ string, der []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	renew := func() string {
		t.Helper()
		c, err := authority.Issue(lab.Leaf{Hosts: []string{"agent"}, Client: true})
		if err != nil {
			t.Fatal(err)
		}
		key, err := x509.MarshalPKCS8PrivateKey(c.PrivateKey)
		if err != nil {
			t.Fatal(err)
		}
		put("cert.pem", "CERTIFICATE", c.Certificate[0])
		put("key.pem", "PRIVATE KEY", key)
		return c.Leaf.SerialNumber.String()
	}
	files := configs.TLS{CAFile: put("ca.pem", "CERTIFICATE", authority.Certificate().Raw), CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	var client *http.Client
	for range 2 {
		serial := renew()
		if client == nil {
			if client, err = webhookClient(files); err != nil {
				t.Fatal(err)
			}
		}
		client.CloseIdleConnections()
		r, err := client.Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_ = r.Body.Close()
		if got := <-seen; got != "HTTP/2.0 "+serial {
			t.Errorf("the receiver saw %s, want HTTP/2.0 and certificate %s", got, serial)
		}
	}
	stranger, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	put("ca.pem", "CERTIFICATE", stranger.Certificate().Raw)
	client.CloseIdleConnections()
	if r, err := client.Get(srv.URL); err == nil {
		_ = r.Body.Close()
		t.Error("a receiver of another authority is trusted")
	}
}
