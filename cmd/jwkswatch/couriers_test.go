package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state"
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

// TestWebhookDeadConnection takes a new connection after one that swallows everything:
// over HTTP/2 a request that is given up does not end the connection by itself.
func TestWebhookDeadConnection(t *testing.T) {
	t.Parallel()
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	srv.EnableHTTP2 = true
	srv.StartTLS()
	defer srv.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	forgotten := make(chan struct{}) // the first connection, by a firewall
	go func() {
		for first := true; ; first = false {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", srv.Listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _, _ = from.Close(), to.Close() })
			pump := func(out io.Writer, in io.Reader) {
				b := make([]byte, 16<<10)
				for {
					n, err := in.Read(b)
					if err != nil {
						return
					}
					select {
					case <-forgotten:
						if first {
							continue
						}
					default:
					}
					_, _ = out.Write(b[:n])
				}
			}
			go pump(to, from)
			go pump(from, to)
		}
	}()
	dir := t.TempDir()
	ca := write(t, dir, "ca.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: srv.Certificate().Raw})))
	client, err := webhookClient(configs.TLS{CAFile: ca})
	if err != nil {
		t.Fatal(err)
	}
	pings := client.Transport.(*http.Transport).HTTP2
	pings.SendPingTimeout, pings.PingTimeout = 200*time.Millisecond, 200*time.Millisecond // ten seconds are long for a test
	w := &sinks.Webhook{
		Sink: "soar", URL: "https://" + l.Addr().String(), Client: client, Timeout: 5 * time.Second,
		SecretFile: write(t, dir, "hook.key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"),
	}
	defer w.Close()
	e := []state.Entry{{ID: "jw1-a", JSON: []byte("{}")}}
	if n, err := w.Send(t.Context(), e); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	close(forgotten)
	if n, err := w.Send(t.Context(), e); n != 0 || err == nil {
		t.Fatalf("nothing gets through: %d sent, %v", n, err)
	}
	w.Timeout = 10 * time.Second
	if n, err := w.Send(t.Context(), e); n != 1 || err != nil {
		t.Errorf("the dead connection is taken again: %d sent, %v", n, err)
	}
}

// TestCourierThatHangs ends all deliveries but one that never comes back, as one does
// that writes to a file system which does not answer: it holds no reload and no end.
func TestCourierThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hung, well := make(chan struct{}), make(chan struct{})
		made := func(name string, done chan struct{}, stop func()) *courier {
			return &courier{config: configs.Sink{Name: name}, stop: stop, done: done}
		}
		c := &couriers{running: map[string]*courier{
			"nfs": made("nfs", hung, func() {}), "siem": made("siem", well, func() { close(well) }),
		}}
		began := time.Now()
		if err := c.end(); err == nil || !strings.Contains(err.Error(), "sink nfs hangs") || strings.Contains(err.Error(), "siem") {
			t.Errorf("ended with %v", err)
		}
		if took := time.Since(began); took != lingers {
			t.Errorf("ended after %s", took)
		}
	})
}
