package lab

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1" // x5t is SHA-1 by definition: RFC 7517, 4.8
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority is a certificate authority that lives in memory.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Leaf says what certificate an Authority issues. The zero Leaf is a server
// certificate for 127.0.0.1, ::1 and localhost, valid from an hour ago for ten
// years.
type Leaf struct {
	Hosts               []string // names or addresses
	NotBefore, NotAfter time.Time
	Client              bool // for client authentication instead
}

// NewAuthority makes an authority, valid from a day ago for thirty years by the
// clock of the caller (a bubble's, in a bubble).
func NewAuthority() (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the authority's key: %w", err)
	}
	now := time.Now()
	cert, err := certify(&x509.Certificate{
		Subject:   pkix.Name{CommonName: "lab authority"},
		NotBefore: now.Add(-24 * time.Hour), NotAfter: now.AddDate(30, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making the authority's certificate: %w", err)
	}
	return &Authority{cert: cert, key: key}, nil
}

// Roots is a new pool with the authority alone in it.
func (a *Authority) Roots() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Certificate is the authority's own, to write it to a file.
func (a *Authority) Certificate() *x509.Certificate { return a.cert }

// Issue makes a key and a certificate for it.
func (a *Authority) Issue(leaf Leaf) (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a leaf's key: %w", err)
	}
	template := &x509.Certificate{
		NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if leaf.Client {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	}
	if template.NotBefore.IsZero() {
		template.NotBefore = time.Now().Add(-time.Hour)
	}
	if template.NotAfter.IsZero() {
		template.NotAfter = template.NotBefore.AddDate(10, 0, 0)
	}
	hosts := leaf.Hosts
	if len(hosts) == 0 {
		hosts = []string{"localhost", "127.0.0.1", "::1"}
	}
	template.Subject = pkix.Name{CommonName: hosts[0]}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	cert, err := certify(template, a.cert, key.Public(), a.key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a leaf's certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}, nil
}

// WithCertificate returns a copy with x5c, x5t and x5t#S256 of a new self-signed
// certificate for the key. Called again it makes another certificate for the
// same material, as a renewal does. It panics on a key without a Signer.
func (k Key) WithCertificate(notBefore, notAfter time.Time) Key {
	signer := k.Signer()
	if signer == nil {
		panic("lab: a key that cannot sign has no certificate")
	}
	cert, err := certify(&x509.Certificate{
		Subject: pkix.Name{CommonName: "lab issuer"}, NotBefore: notBefore, NotAfter: notAfter,
		KeyUsage: x509.KeyUsageDigitalSignature,
	}, nil, signer.Public(), signer)
	if err != nil {
		panic("lab: making a certificate: " + err.Error()) // every Signer here is one x509 knows
	}
	short, long := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	// RFC 7517, 4.7: x5c is base64, not base64url; the hashes are base64url.
	return k.With("x5c", []string{base64.StdEncoding.EncodeToString(cert.Raw)}).
		With("x5t", b64(short[:])).With("x5t#S256", b64(long[:]))
}

// certify signs a template; without a parent it is self-signed.
func certify(template, parent *x509.Certificate, public crypto.PublicKey, signer crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial.Add(serial, big.NewInt(1))
	if parent == nil {
		parent = template
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
