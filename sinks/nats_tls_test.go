package sinks

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// authority is a synthetic CA that writes certificates to files.
type authority struct {
	t    *testing.T
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t}
	a.cert, a.key, a.file, _ = a.issue("test CA", true)
	return a
}

func (a *authority) issue(name string, ca bool) (*x509.Certificate, *ecdsa.PrivateKey, string, string) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		a.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: ca, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	parent, signer := a.cert, a.key
	if ca {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certFile := secretFile(a.t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	keyFile := secretFile(a.t, string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
	return cert, key, certFile, keyFile
}

func TestNATSClientCertificate(t *testing.T) {
	t.Parallel()
	for name, first := range map[string]bool{"after INFO": false, "handshake first": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ca := newAuthority(t)
			_, _, serverCert, serverKey := ca.issue("server", false)
			pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
			if err != nil {
				t.Fatal(err)
			}
			pool := x509.NewCertPool()
			pool.AddCert(ca.cert)
			b := newBroker(t, func(o *server.Options) {
				o.TLS, o.TLSVerify, o.TLSHandshakeFirst, o.TLSTimeout = true, true, first, 5
				o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
			})
			c := quick(b)
			c.URL = strings.Replace(c.URL, "nats://", "tls://", 1)
			c.CAFile, c.HandshakeFirst = ca.file, first
			_, _, c.CertFile, c.KeyFile = ca.issue("agent", false)
			options := []nats.Option{nats.RootCAs(ca.file), nats.ClientCert(c.CertFile, c.KeyFile)}
			if first {
				options = append(options, nats.TLSHandshakeFirst())
			}
			takes(t, b, c, nil, options...)
		})
	}
}

func TestNATSDistrustsServer(t *testing.T) {
	t.Parallel()
	ca, other := newAuthority(t), newAuthority(t)
	_, _, serverCert, serverKey := ca.issue("server", false)
	pair, err := tls.LoadX509KeyPair(serverCert, serverKey)
	if err != nil {
		t.Fatal(err)
	}
	withTLS := newBroker(t, func(o *server.Options) {
		o.TLS, o.TLSTimeout = true, 5
		o.TLSConfig = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	})
	plain := newBroker(t, nil)
	for name, test := range map[string]struct {
		b      *broker
		ca     string
		reason string
	}{
		"another CA":      {withTLS, other.file, "certificate"},
		"no TLS on offer": {plain, ca.file, "secure connection"},
	} {
		t.Run(name, func(t *testing.T) {
			c := quick(test.b)
			c.URL = strings.Replace(c.URL, "nats://", "tls://", 1)
			c.CAFile, c.Timeout = test.ca, 300*time.Millisecond
			n := openNATS(t, c, (&ops{}).logger())
			j := newJournal(sample(0, "ep"))
			if sent, err := n.Send(t.Context(), j.entries); sent != 0 || err == nil || !strings.Contains(err.Error(), test.reason) {
				t.Errorf("sent %d, %v", sent, err)
			}
			if n.Connected() || !strings.Contains(n.Stats().LastError, test.reason) {
				t.Errorf("statistics %+v", n.Stats())
			}
		})
	}
}
