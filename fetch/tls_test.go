package fetch

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// authority is a certificate authority made for one test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T, name string) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert, key}
}

func (a authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue makes a server certificate; a host is a name or an address.
func (a authority) issue(t *testing.T, host string, notAfter time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "server"},
		NotBefore: notAfter.Add(-time.Hour), NotAfter: notAfter,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if ip := net.ParseIP(host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = []string{host}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func serveTLS(t *testing.T, config *tls.Config, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handler)
	s.TLS = config
	s.EnableHTTP2 = true // the client must not take it up
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func soon() time.Time { return time.Now().Add(30 * time.Minute).Truncate(time.Second).UTC() }

func TestTLSEvidence(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "Test \u202eAuthority")
	for version, name := range map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"} {
		cert := ca.issue(t, "127.0.0.1", soon())
		protocol := make(chan string, 3)
		s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, MaxVersion: version},
			func(w http.ResponseWriter, r *http.Request) { protocol <- r.Proto; ok(keySet)(w, r) })
		c := Client{Roots: ca.pool()}
		t.Cleanup(c.CloseIdle)
		for range 2 { // the second over the pooled connection, with the same evidence
			r := get(t, &c, Target{URL: s.URL, Policy: local()})
			if !r.HasTLS || r.TLSVersion != name || r.LeafSPKI != sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo) {
				t.Errorf("TLS %v %q, leaf %x", r.HasTLS, r.TLSVersion, r.LeafSPKI)
			}
			if r.LeafIssuer != "CN=Test \ufffdAuthority" || !r.LeafNotAfter.Equal(cert.Leaf.NotAfter) || !r.LeafNotBefore.Equal(cert.Leaf.NotBefore) {
				t.Errorf("issuer %q, from %v to %v", r.LeafIssuer, r.LeafNotBefore, r.LeafNotAfter)
			}
			if r.RemoteAddr != s.Listener.Addr().String() {
				t.Errorf("remote address %s", r.RemoteAddr)
			}
			if p := <-protocol; p != "HTTP/1.1" {
				t.Errorf("spoke %s", p)
			}
		}
	}
}

// Each connection makes a full handshake, so a certificate that was exchanged
// is seen on the first fresh fetch. A resumed session would still show the old.
func TestCertificateExchangedIsSeen(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "Test Authority")
	certs := make(chan *tls.Certificate, 1)
	resumed := make(chan bool, 1)
	s := serveTLS(t, &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return <-certs, nil }},
		func(w http.ResponseWriter, r *http.Request) { resumed <- r.TLS.DidResume; ok(keySet)(w, r) })
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	c := Client{Roots: ca.pool(), Resolver: resolver(t, always("127.0.0.1"))}
	seen := map[[32]byte]bool{}
	for range 3 {
		cert := ca.issue(t, "issuer.test", soon())
		certs <- &cert
		r := get(t, &c, Target{URL: "https://issuer.test:" + port, Policy: local(), Fresh: true})
		if r.LeafSPKI != sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo) {
			t.Error("evidence of another certificate")
		}
		if <-resumed {
			t.Error("the session was resumed")
		}
		seen[r.Key()] = true
	}
	if len(seen) != 3 {
		t.Errorf("%d keys of 3 certificates", len(seen))
	}
}

func TestTLSRefused(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t, "Test Authority"), newAuthority(t, "Another Authority")
	good := ca.issue(t, "127.0.0.1", soon())
	with := func(cert tls.Certificate) *tls.Config { return &tls.Config{Certificates: []tls.Certificate{cert}} }
	old := with(good)
	old.MinVersion, old.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	mutual12, mutual13 := with(good), with(good)
	mutual12.ClientAuth, mutual12.MaxVersion = tls.RequireAnyClientCert, tls.VersionTLS12
	mutual13.ClientAuth, mutual13.MinVersion = tls.RequireAnyClientCert, tls.VersionTLS13
	for name, test := range map[string]struct {
		config *tls.Config
		roots  *x509.CertPool
		text   string
	}{
		"unknown authority":           {with(good), other.pool(), "unknown authority"},
		"system roots":                {with(good), nil, "certificate"},
		"expired":                     {with(ca.issue(t, "127.0.0.1", time.Now().Add(-time.Minute))), ca.pool(), "expired"},
		"not yet valid":               {with(ca.issue(t, "127.0.0.1", time.Now().Add(20*time.Hour))), ca.pool(), "not yet valid"},
		"wrong address":               {with(ca.issue(t, "127.0.0.2", soon())), ca.pool(), "127.0.0.2"},
		"wrong name":                  {with(ca.issue(t, "issuer.test", soon())), ca.pool(), "certificate"},
		"TLS 1.1":                     {old, ca.pool(), "protocol version"},
		"wants a certificate, TLS1.2": {mutual12, ca.pool(), "handshake failure"},
		"wants a certificate, TLS1.3": {mutual13, ca.pool(), "certificate required"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, test.config, ok(keySet))
			c := Client{Roots: test.roots}
			_, err := c.Get(t.Context(), Target{URL: s.URL, Policy: local()}, nil)
			wantPhase(t, err, PhaseTLS)
			wantText(t, err, test.text)
		})
	}
}

// The name is what is verified and sent as SNI, whatever it resolves to.
func TestCertificateIsOfTheName(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "Test Authority")
	cert := ca.issue(t, "issuer.test", soon())
	sni := make(chan string, 2)
	s := serveTLS(t, &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		sni <- h.ServerName
		return &cert, nil
	}}, ok(keySet))
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	c := Client{Roots: ca.pool(), Resolver: resolver(t, always("127.0.0.1"))}
	t.Cleanup(c.CloseIdle)
	get(t, &c, Target{URL: "https://issuer.test:" + port, Policy: local()})
	if name := <-sni; name != "issuer.test" {
		t.Errorf("SNI %q", name)
	}
	_, err := c.Get(t.Context(), Target{URL: "https://other.test:" + port, Policy: local()}, nil)
	wantPhase(t, err, PhaseTLS)
}

func TestBrokenHandshakes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		serve func(*rawServer, net.Conn)
		want  Phase
		text  string
	}{
		"closes at once":       {func(*rawServer, net.Conn) {}, PhaseTLS, ""},
		"closes after a hello": {afterHello(""), PhaseTLS, ""},
		"plain HTTP":           {afterHello("HTTP/1.1 400 Bad Request\r\n\r\n"), PhaseTLS, "does not look like a TLS handshake"},
		"alert":                {afterHello("\x15\x03\x03\x00\x02\x02\x28"), PhaseTLS, "handshake failure"},
		"record too large":     {afterHello("\x16\x03\x03\xff\xff" + strings.Repeat("x", 1<<16)), PhaseTLS, ""},
		"stalls":               {func(_ *rawServer, c net.Conn) { untilClosed(c) }, PhaseTimeout, "no connection"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveConns(t, test.serve)
			target := Target{URL: "https://" + s.addr, Policy: local()}
			if test.want == PhaseTimeout {
				target.Timeout = 50 * time.Millisecond
			}
			var c Client
			_, err := c.Get(t.Context(), target, nil)
			wantPhase(t, err, test.want)
			wantText(t, err, test.text)
		})
	}
}

// A hostile issuer may have its own certificate name the header that an earlier
// poll sent, and the error about the name would quote it.
func TestSecretInACertificateIsNotInTheError(t *testing.T) {
	t.Parallel()
	const header, query = "s3cr3t-header", "s3cr3t-query"
	ca := newAuthority(t, "Test Authority")
	for _, secret := range []string{header, query} {
		s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{ca.issue(t, secret+".test", soon())}}, ok(keySet))
		_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
		c := Client{Roots: ca.pool(), Resolver: resolver(t, always("127.0.0.1"))}
		_, err := c.Get(t.Context(), Target{
			URL: "https://issuer.test:" + port + "/?key=" + query, Policy: local(),
			Header: http.Header{"Authorization": {"Bearer " + header}},
		}, nil)
		wantPhase(t, err, PhaseTLS)
		wantText(t, err, "valid for ***.test, not issuer.test")
		if text := err.(*Error).Err.Error(); strings.Contains(text, secret) {
			t.Errorf("secret in %q", text)
		}
	}
}

func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	for _, scheme := range []string{"http", "https"} {
		var c Client
		_, err := c.Get(t.Context(), Target{URL: scheme + "://" + addr, Policy: local()}, nil)
		wantPhase(t, err, PhaseDial)
		wantText(t, err, "connection refused")
	}
}

// afterHello reads something and answers with octets that are no handshake.
func afterHello(answer string) func(*rawServer, net.Conn) {
	return func(_ *rawServer, c net.Conn) {
		var hello [4096]byte
		if _, err := c.Read(hello[:]); err == nil {
			_, _ = io.WriteString(c, answer)
		}
	}
}
