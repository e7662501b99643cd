package fetch

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// TLSOptions is the TLS policy of an endpoint as it is configured. The zero
// value trusts the system's authorities and has no client certificate.
type TLSOptions struct {
	CA []byte // PEM; these authorities are trusted instead of the system's
	// Pins are "sha256/" and the base64 of the SHA-256 of a SubjectPublicKeyInfo,
	// 44 characters. At least one must be that of a certificate of the verified
	// chain.
	Pins      []string
	Cert, Key []byte // PEM; the client certificate with its chain, and its key
}

// TLS is a checked TLS policy. It does not change, and nil is the policy of the
// zero TLSOptions.
type TLS struct {
	roots  *x509.CertPool
	pins   [][sha256.Size]byte
	client *tls.Certificate
	digest [sha256.Size]byte
	// anonymous is the same policy without the client certificate.
	anonymous *TLS
}

// NewTLS checks options. The error names what is wrong and where, and holds
// nothing of a key.
func NewTLS(o TLSOptions) (*TLS, error) {
	t := new(TLS)
	var authorities [][]byte
	if len(o.CA) > 0 {
		certs, err := certificates(o.CA)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate authorities: %w", err)
		}
		t.roots = x509.NewCertPool()
		for _, cert := range certs {
			t.roots.AddCert(cert)
			authorities = append(authorities, cert.Raw)
		}
	}
	for i, text := range o.Pins {
		pin, err := parsePin(text)
		if err != nil {
			return nil, fmt.Errorf("reading pin %d: %w", i+1, err)
		}
		t.pins = append(t.pins, pin)
	}
	// Order and repetition mean nothing, so they must not tell two policies apart.
	slices.SortFunc(authorities, bytes.Compare)
	slices.SortFunc(t.pins, func(a, b [sha256.Size]byte) int { return bytes.Compare(a[:], b[:]) })
	authorities = slices.CompactFunc(authorities, bytes.Equal)
	t.pins = slices.Compact(t.pins)
	t.digest = policyDigest(authorities, t.pins, nil)
	if len(o.Cert) == 0 && len(o.Key) == 0 {
		t.anonymous = t
		return t, nil
	}
	client, err := clientCertificate(o.Cert, o.Key)
	if err != nil {
		return nil, fmt.Errorf("reading the client certificate: %w", err)
	}
	mutual := &TLS{roots: t.roots, pins: t.pins, client: client, anonymous: t}
	t.anonymous = t
	mutual.digest = policyDigest(authorities, t.pins, client.Certificate)
	return mutual, nil
}

// Digest identifies the policy by its content: authorities, pins and client
// certificate. The client's key is in it by the public half in the certificate
// alone. It is zero for nil and for the policy of the zero TLSOptions.
func (t *TLS) Digest() [32]byte {
	if t == nil {
		return [32]byte{}
	}
	return t.digest
}

// String keeps the client's key out of whatever prints a policy.
func (t *TLS) String() string {
	d := t.Digest()
	return fmt.Sprintf("TLS policy %x", d[:4])
}

// GoString is String, for the same reason.
func (t *TLS) GoString() string { return t.String() }

// withoutClient is the policy for a server that is not the configured one.
func (t *TLS) withoutClient() *TLS {
	if t == nil {
		return nil
	}
	return t.anonymous
}

func policyDigest(authorities [][]byte, pins [][sha256.Size]byte, chain [][]byte) [sha256.Size]byte {
	if len(authorities)+len(pins)+len(chain) == 0 {
		return [sha256.Size]byte{}
	}
	h := sha256.New()
	for _, cert := range authorities {
		fmt.Fprintf(h, "ca %x\n", sha256.Sum256(cert))
	}
	for _, pin := range pins {
		fmt.Fprintf(h, "pin %x\n", pin)
	}
	for _, cert := range chain { // in its order: it is sent like that
		fmt.Fprintf(h, "client %x\n", sha256.Sum256(cert))
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// certificates reads each certificate of a PEM file. Text between the blocks is
// allowed (RFC 7468, section 5.2), other blocks are not: a key among the
// authorities is a mistake that its owner wants to hear of.
func certificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		switch {
		case block == nil && len(certs) == 0:
			return nil, errors.New("there is no PEM block of type CERTIFICATE")
		case block == nil:
			return certs, nil
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil, errors.New("there is a private key where only certificates belong")
		case block.Type != "CERTIFICATE":
			return nil, errors.New("there is a PEM block that is no CERTIFICATE")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
}

func parsePin(text string) (pin [sha256.Size]byte, err error) {
	encoded, prefixed := strings.CutPrefix(text, "sha256/")
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if !prefixed || err != nil || len(raw) != len(pin) || len(encoded) != base64.StdEncoding.EncodedLen(len(pin)) {
		return pin, errors.New("it is not sha256/ and the 44 characters of base64 of a SHA-256")
	}
	return [sha256.Size]byte(raw), nil
}

func clientCertificate(certPEM, keyPEM []byte) (*tls.Certificate, error) {
	switch {
	case len(certPEM) == 0:
		return nil, errors.New("there is a key but no certificate")
	case len(keyPEM) == 0:
		return nil, errors.New("there is a certificate but no key")
	}
	if _, err := certificates(certPEM); err != nil {
		return nil, err
	}
	block, _ := pem.Decode(keyPEM)
	switch {
	case block == nil:
		return nil, errors.New("there is no PEM block in the key")
	case block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "":
		return nil, errors.New("the key is encrypted: it must be readable without a passphrase")
	}
	// What went wrong in there is not passed on: what is wrapped could be text of
	// the file with the key.
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return nil, errors.New("the key cannot be read, or is not that of the first certificate")
	}
	return &pair, nil
}

// config is the TLS configuration of a policy, without the name of the server.
// There is no session cache: a resumed TLS 1.3 handshake carries no
// certificate, and the evidence would be an old one.
func (t *TLS) config(roots *x509.CertPool) *tls.Config {
	config := &tls.Config{
		RootCAs:    roots,
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"http/1.1"},
	}
	if t == nil {
		return config
	}
	if t.roots != nil {
		config.RootCAs = t.roots
	}
	if t.client != nil {
		config.Certificates = []tls.Certificate{*t.client}
	}
	if len(t.pins) > 0 {
		config.VerifyConnection = t.checkPins
	}
	return config
}

// checkPins runs after the chain was verified and before anything but the
// handshake was sent: no client certificate, no request.
//
// Any certificate of a verified chain may match, as in RFC 7469, section 2.6:
// who pins the key of the server pins a leaf, and who lets the server's key
// rotate pins the authority above it. A pin of a leaf is no weaker for that, as
// the key of a leaf signs no other. Only the verified chains count: a server
// may send any certificate along with its own.
func (t *TLS) checkPins(s tls.ConnectionState) error {
	for _, chain := range s.VerifiedChains {
		for _, cert := range chain {
			if slices.Contains(t.pins, sha256.Sum256(cert.RawSubjectPublicKeyInfo)) {
				return nil
			}
		}
	}
	refused := &pinError{}
	if len(s.PeerCertificates) > 0 {
		refused.leaf = s.PeerCertificates[0]
	}
	return refused
}

// pinError says that no pin matched.
type pinError struct{ leaf *x509.Certificate }

func (*pinError) Error() string { return "no certificate of the verified chain has a pinned key" }
