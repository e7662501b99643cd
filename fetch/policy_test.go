package fetch

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

func newLab(t *testing.T) *lab.Authority {
	t.Helper()
	a, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issued(t *testing.T, a *lab.Authority, leaf lab.Leaf) tls.Certificate {
	t.Helper()
	cert, err := a.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func pemOf(der ...[]byte) []byte {
	var out []byte
	for _, b := range der {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: b})...)
	}
	return out
}

func keyPEM(t *testing.T, cert tls.Certificate) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey.(*ecdsa.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func pinOf(cert *x509.Certificate) string {
	sum := sha256.Sum256(cert.RawSubjectPublicKeyInfo)
	return "sha256/" + base64.StdEncoding.EncodeToString(sum[:])
}

func newTLS(t *testing.T, o TLSOptions) *TLS {
	t.Helper()
	p, err := NewTLS(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// with is a loopback policy with TLS options.
func with(t *testing.T, o TLSOptions) Policy {
	t.Helper()
	return Policy{AllowPrivate: true, TLS: newTLS(t, o)}
}

func wantCode(t *testing.T, err error, want Code, leaf *x509.Certificate) {
	t.Helper()
	wantPhase(t, err, PhaseTLS)
	e := err.(*Error)
	if e.Code != want {
		t.Errorf("code %q, want %q (%v)", e.Code, want, err)
	}
	if leaf == nil {
		if e.Leaf != nil {
			t.Errorf("evidence of a certificate: %+v", e.Leaf)
		}
		return
	}
	if e.Leaf == nil {
		t.Fatal("no evidence of the certificate")
	}
	shown := Leaf{sha256.Sum256(leaf.RawSubjectPublicKeyInfo), leaf.Issuer.String(), leaf.NotBefore, leaf.NotAfter, ""}
	if *e.Leaf != shown {
		t.Errorf("evidence %+v, want %+v", *e.Leaf, shown)
	}
}

func TestWhyACertificateWasRefused(t *testing.T) {
	t.Parallel()
	ca, other := newLab(t), newLab(t)
	now := time.Now()
	for name, test := range map[string]struct {
		cert tls.Certificate
		want Code
	}{
		"expired":       {issued(t, ca, lab.Leaf{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)}), CodeExpired},
		"not yet valid": {issued(t, ca, lab.Leaf{NotBefore: now.Add(time.Hour)}), CodeNotYetValid},
		"wrong name":    {issued(t, ca, lab.Leaf{Hosts: []string{"other.test", "127.0.0.2"}}), CodeWrongName},
		"unknown CA":    {issued(t, other, lab.Leaf{}), CodeUnknownCA},
		"of a client":   {issued(t, ca, lab.Leaf{Client: true}), CodeUnknownCA},
		// The first thing wrong is told: what is expired is of no name any more.
		"expired, of another name": {issued(t, other, lab.Leaf{
			Hosts: []string{"other.test"}, NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour),
		}), CodeExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{test.cert}}, ok(keySet))
			c := Client{Roots: ca.Roots()}
			_, err := c.Get(t.Context(), Target{URL: s.URL, Policy: local()}, nil)
			wantCode(t, err, test.want, test.cert.Leaf)
		})
	}
	t.Run("TLS 1.0", func(t *testing.T) {
		t.Parallel()
		s := serveTLS(t, &tls.Config{
			Certificates: []tls.Certificate{issued(t, ca, lab.Leaf{})}, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS10,
		}, ok(keySet))
		c := Client{Roots: ca.Roots()}
		_, err := c.Get(t.Context(), Target{URL: s.URL, Policy: local()}, nil)
		wantCode(t, err, "", nil)
	})
}

func TestCAReplacesTheRoots(t *testing.T) {
	t.Parallel()
	ca, other := newLab(t), newLab(t)
	cert := issued(t, ca, lab.Leaf{})
	s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, ok(keySet))
	c := Client{Roots: ca.Roots()} // what the system trusts, here
	t.Cleanup(c.CloseIdle)
	get(t, &c, Target{URL: s.URL, Policy: local()})
	get(t, &c, Target{URL: s.URL, Policy: with(t, TLSOptions{CA: pemOf(other.Certificate().Raw, ca.Certificate().Raw)})})
	_, err := c.Get(t.Context(), Target{URL: s.URL, Policy: with(t, TLSOptions{CA: pemOf(other.Certificate().Raw)})}, nil)
	wantCode(t, err, CodeUnknownCA, cert.Leaf)
}

func TestPins(t *testing.T) {
	t.Parallel()
	ca, other := newLab(t), newLab(t)
	cert := issued(t, ca, lab.Leaf{})
	stranger := issued(t, other, lab.Leaf{})
	// A certificate that the server sends along is in no verified chain.
	padded := cert
	padded.Certificate = [][]byte{cert.Certificate[0], stranger.Certificate[0], other.Certificate().Raw}
	var served atomic.Int32
	s := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{padded}, ClientAuth: tls.RequestClientCert,
		// Called when the client's part of the handshake has come.
		VerifyConnection: func(tls.ConnectionState) error { served.Add(1); return nil },
	}, ok(keySet))
	client := issued(t, ca, lab.Leaf{Client: true})
	for name, test := range map[string]struct {
		pins []string
		good bool
	}{
		"leaf":         {[]string{pinOf(cert.Leaf)}, true},
		"authority":    {[]string{pinOf(ca.Certificate())}, true},
		"one of three": {[]string{pinOf(stranger.Leaf), pinOf(cert.Leaf), pinOf(other.Certificate())}, true},
		"wrong":        {[]string{pinOf(stranger.Leaf)}, false},
		"sent along":   {[]string{pinOf(stranger.Leaf), pinOf(other.Certificate())}, false},
	} {
		c := Client{Roots: ca.Roots()}
		policy := with(t, TLSOptions{Pins: test.pins, Cert: pemOf(client.Certificate[0]), Key: keyPEM(t, client)})
		served.Store(0)
		r, err := c.Get(t.Context(), Target{URL: s.URL, Policy: policy}, nil)
		c.CloseIdle()
		if test.good {
			if err != nil || string(r.Body) != keySet {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		wantCode(t, err, CodePinMismatch, cert.Leaf)
		if r.Body != nil || served.Load() != 0 {
			t.Errorf("%s: something was sent or read", name)
		}
	}
	t.Run("pins come after verification", func(t *testing.T) {
		c := Client{Roots: other.Roots()}
		_, err := c.Get(t.Context(), Target{URL: s.URL, Policy: with(t, TLSOptions{Pins: []string{pinOf(cert.Leaf)}})}, nil)
		wantCode(t, err, CodeUnknownCA, cert.Leaf)
	})
}

// The server's key is exchanged under a pin of the leaf, and under one of the
// authority.
func TestPinnedServerRotatesItsKey(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	first, second := issued(t, ca, lab.Leaf{}), issued(t, ca, lab.Leaf{})
	var rotated atomic.Bool
	s := serveTLS(t, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if rotated.Load() {
			return &tls.Config{Certificates: []tls.Certificate{second}}, nil
		}
		return &tls.Config{Certificates: []tls.Certificate{first}}, nil
	}}, ok(keySet))
	c := Client{Roots: ca.Roots()}
	t.Cleanup(c.CloseIdle)
	leaf := Target{URL: s.URL, Policy: with(t, TLSOptions{Pins: []string{pinOf(first.Leaf)}}), Fresh: true}
	authority := Target{URL: s.URL, Policy: with(t, TLSOptions{Pins: []string{pinOf(ca.Certificate())}}), Fresh: true}
	get(t, &c, leaf)
	get(t, &c, authority)
	rotated.Store(true)
	_, err := c.Get(t.Context(), leaf, nil)
	wantCode(t, err, CodePinMismatch, second.Leaf)
	if r := get(t, &c, authority); r.LeafSPKI != sha256.Sum256(second.Leaf.RawSubjectPublicKeyInfo) {
		t.Error("evidence of the old certificate")
	}
}

// mutual starts a server that demands a client certificate of the authority and
// answers with its name. The counter is of connections.
func mutual(t *testing.T, ca *lab.Authority, version uint16) (string, *atomic.Int32) {
	t.Helper()
	var accepted atomic.Int32
	s := serveTLS(t, &tls.Config{
		Certificates: []tls.Certificate{issued(t, ca, lab.Leaf{})},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: ca.Roots(), MaxVersion: version,
		VerifyConnection: func(tls.ConnectionState) error { accepted.Add(1); return nil },
	}, func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.TLS.PeerCertificates[0].Subject.CommonName))
	})
	return s.URL, &accepted
}

func clientPolicy(t *testing.T, ca *lab.Authority, name string) Policy {
	t.Helper()
	cert := issued(t, ca, lab.Leaf{Client: true, Hosts: []string{name}})
	return with(t, TLSOptions{Cert: pemOf(cert.Certificate[0]), Key: keyPEM(t, cert)})
}

func TestClientCertificates(t *testing.T) {
	t.Parallel()
	for name, version := range map[string]uint16{"1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca, other := newLab(t), newLab(t)
			url, accepted := mutual(t, ca, version)
			c := Client{Roots: ca.Roots()}
			t.Cleanup(c.CloseIdle)
			alice, bob := clientPolicy(t, ca, "alice"), clientPolicy(t, ca, "bob")
			for range 3 {
				for want, policy := range map[string]Policy{"alice": alice, "bob": bob} {
					if r := get(t, &c, Target{URL: url, Policy: policy}); string(r.Body) != want {
						t.Errorf("the server took %s for %q", want, r.Body)
					}
				}
				// Warm connections of others are at hand, and must not be taken.
				for _, policy := range []Policy{local(), clientPolicy(t, other, "mallory")} {
					_, err := c.Get(t.Context(), Target{URL: url, Policy: policy}, nil)
					wantCode(t, err, "", nil)
				}
			}
			if n := accepted.Load(); n != 2 {
				t.Errorf("%d connections, want one for alice and one for bob", n)
			}
		})
	}
}

func TestBrokenTLSOptions(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	cert, other := issued(t, ca, lab.Leaf{Client: true}), issued(t, ca, lab.Leaf{Client: true})
	certPEM, key := pemOf(cert.Certificate[0]), keyPEM(t, cert)
	encrypted := pem.EncodeToMemory(&pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: []byte("x")})
	legacy := pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Headers: map[string]string{"DEK-Info": "x"}, Bytes: []byte("x")})
	good := pinOf(ca.Certificate())
	for name, test := range map[string]struct {
		options TLSOptions
		text    string
	}{
		"CA is no PEM":                {TLSOptions{CA: []byte("s3cret")}, "certificate authorities: there is no PEM block of type CERTIFICATE"},
		"CA is DER":                   {TLSOptions{CA: ca.Certificate().Raw}, "no PEM block"},
		"CA is a key":                 {TLSOptions{CA: append(pemOf(ca.Certificate().Raw), key...)}, "private key where only certificates belong"},
		"CA is a request":             {TLSOptions{CA: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST"})}, "PEM block that is no CERTIFICATE"},
		"CA is broken":                {TLSOptions{CA: append(certPEM, pemOf([]byte("x"))...)}, "certificate 2"},
		"pin without prefix":          {TLSOptions{Pins: []string{good, good[7:]}}, "pin 2: it is not sha256/"},
		"pin in hex":                  {TLSOptions{Pins: []string{fmt.Sprintf("sha256/%x", [32]byte{})}}, "pin 1"},
		"pin too short":               {TLSOptions{Pins: []string{"sha256/AAAA"}}, "pin 1"},
		"pin with a newline":          {TLSOptions{Pins: []string{good + "\n"}}, "pin 1"},
		"pin with loose bits":         {TLSOptions{Pins: []string{"sha256/" + strings.Repeat("A", 42) + "B="}}, "pin 1"},
		"pin of SHA-1":                {TLSOptions{Pins: []string{"sha1/" + good[7:]}}, "pin 1"},
		"no key":                      {TLSOptions{Cert: certPEM}, "certificate but no key"},
		"no certificate":              {TLSOptions{Key: key}, "key but no certificate"},
		"key of another":              {TLSOptions{Cert: certPEM, Key: keyPEM(t, other)}, "not that of the first certificate"},
		"key is no PEM":               {TLSOptions{Cert: certPEM, Key: []byte("s3cret")}, "no PEM block in the key"},
		"key is encrypted":            {TLSOptions{Cert: certPEM, Key: encrypted}, "encrypted"},
		"key is encrypted, as of old": {TLSOptions{Cert: certPEM, Key: legacy}, "encrypted"},
		"key is broken":               {TLSOptions{Cert: certPEM, Key: pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("s3cret")})}, "cannot be read"},
		"key as certificate":          {TLSOptions{Cert: key, Key: key}, "private key where only certificates belong"},
	} {
		p, err := NewTLS(test.options)
		if p != nil {
			t.Errorf("%s: a policy", name)
		}
		wantText(t, err, test.text)
		if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), string(key[40:60])) {
			t.Errorf("%s: the error holds what it should not: %v", name, err)
		}
	}
}

// A policy that is printed by mistake shows no key.
func TestPrintedPolicyShowsNoKey(t *testing.T) {
	t.Parallel()
	policy := clientPolicy(t, newLab(t), "alice")
	secret := policy.TLS.client.PrivateKey.(*ecdsa.PrivateKey)
	raw, err := secret.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		for _, value := range []any{policy, Target{Policy: policy}, policy.TLS} {
			text := fmt.Sprintf(verb, value)
			if len(text) > 2000 || strings.Contains(text, new(big.Int).SetBytes(raw).String()) || strings.Contains(text, fmt.Sprintf("%x", raw)) {
				t.Errorf("%s: %s", verb, text)
			}
		}
	}
}

// Pins and a CA over plain http would be a promise that nobody keeps.
func TestTLSPolicyNeedsHTTPS(t *testing.T) {
	t.Parallel()
	policy := with(t, TLSOptions{Pins: []string{pinOf(newLab(t).Certificate())}})
	var c Client
	_, err := c.Get(t.Context(), Target{URL: "http://127.0.0.1:1/", Policy: policy}, nil)
	wantPhase(t, err, PhaseRefused)
	wantText(t, err, "needs https")
	c.Dial = func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }
	_, err = c.Get(t.Context(), Target{URL: "http://127.0.0.1:1/", Policy: with(t, TLSOptions{})}, nil)
	wantPhase(t, err, PhaseDial)
}
