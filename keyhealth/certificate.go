package keyhealth

import (
	"bytes"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha1" // x5t is one, RFC 7517 section 4.8
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
)

// The codes of certificates.
const (
	KeyMismatch        = "key_mismatch"        // x5c is a certificate of another key
	ThumbprintMismatch = "thumbprint_mismatch" // x5t or x5t#S256 is none of the certificate
	ThumbprintEncoding = "thumbprint_encoding" // it is, written in another way than RFC 7517 wants
	WeakSignature      = "weak_signature"      // MD2, MD5 or SHA-1
	Unparseable        = "unparseable"         // not by RFC 5280
)

// Certificate is what the x5c of a key says.
type Certificate struct {
	Codes               []string // what is wrong whatever the time, in the order of the constants
	NotBefore, NotAfter time.Time
	// Issuer and Subject are the names in RFC 2253 form, the octets of their DER
	// where they have none: hostile text, to be compared and never shown.
	Issuer, Subject string
}

// CheckCertificate holds the first certificate of x5c against the key, x5t and
// x5t#S256. ok is false without one: then there is nothing to compare. Real ones
// carry negative serials and impossible versions, so what a strict reader refuses
// is read once more for what matters here.
func CheckCertificate(p jwks.Public) (c Certificate, ok bool) {
	if len(p.X5C) == 0 || len(p.X5C[0]) == 0 {
		return c, false
	}
	der := p.X5C[0]
	_, strict := x509.ParseCertificate(der)
	var in struct {
		TBS       certificate
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, lenient := asn1.Unmarshal(der, &in)
	if lenient == nil {
		c.NotBefore, c.NotAfter = in.TBS.Validity.NotBefore.UTC(), in.TBS.Validity.NotAfter.UTC()
		c.Issuer, c.Subject = nameOf(in.TBS.Issuer.FullBytes), nameOf(in.TBS.Subject.FullBytes)
		if certified, err := x509.ParsePKIXPublicKey(in.TBS.Key.FullBytes); err == nil && !sameKey(p, certified) {
			c.Codes = append(c.Codes, KeyMismatch)
		}
	}
	one, two := sha1.Sum(der), sha256.Sum256(der)
	way := max(thumbprint(p.X5T, one[:], two[:]), thumbprint(p.X5TS256, two[:], nil))
	switch way {
	case foreign:
		c.Codes = append(c.Codes, ThumbprintMismatch)
	case odd:
		c.Codes = append(c.Codes, ThumbprintEncoding)
	}
	if lenient == nil && broken(in.Algorithm.Algorithm) {
		c.Codes = append(c.Codes, WeakSignature)
	}
	if strict != nil {
		c.Codes = append(c.Codes, Unparseable)
	}
	return c, true
}

// certificate is TBSCertificate of RFC 5280 section 4.1, as far as it is read.
type certificate struct {
	Raw       asn1.RawContent
	Version   int `asn1:"optional,explicit,default:0,tag:0"`
	Serial    *big.Int
	Algorithm pkix.AlgorithmIdentifier
	Issuer    asn1.RawValue
	Validity  struct{ NotBefore, NotAfter time.Time }
	Subject   asn1.RawValue
	Key       asn1.RawValue
}

// nameOf reads a name, so that another string type for the same text is no other
// name.
func nameOf(der []byte) string {
	var name pkix.RDNSequence
	if rest, err := asn1.Unmarshal(der, &name); err != nil || len(rest) > 0 {
		return string(der)
	}
	return name.String()
}

// sameKey reports whether the certified key is that of the entry. One of a kind
// that cannot be compared counts as the same.
func sameKey(p jwks.Public, certified any) bool {
	switch k := certified.(type) {
	case *rsa.PublicKey:
		return p.N != nil && k.N.Cmp(p.N) == 0 && p.E.Cmp(big.NewInt(int64(k.E))) == 0
	case *ecdsa.PublicKey:
		point, err := k.Bytes()
		return err != nil || p.Kty == "EC" && bytes.Equal(point[1:], append(bytes.Clone(p.X), p.Y...))
	case ed25519.PublicKey:
		return p.Kty == "OKP" && bytes.Equal(k, p.X)
	case *ecdh.PublicKey:
		return p.Kty == "OKP" && bytes.Equal(k.Bytes(), p.X)
	}
	return true
}

// How a thumbprint is written.
const (
	right = iota
	odd
	foreign
)

// thumbprint tries every encoding that issuers were seen to use: base64url as
// it should be, base64 in its variants, hexadecimal with and without colons or a
// line break, and base64url of hexadecimal. other is the hash that is mistaken
// for the right one.
func thumbprint(text string, sum, other []byte) int {
	if text == "" || text == base64.RawURLEncoding.EncodeToString(sum) {
		return right
	}
	is := func(octets []byte) bool {
		return bytes.Equal(octets, sum) || other != nil && bytes.Equal(octets, other)
	}
	ofHex := func(s string) bool {
		octets, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(s), ":", ""))
		return err == nil && is(octets)
	}
	clean := strings.NewReplacer("+", "-", "/", "_", "=", "", "\r", "", "\n", "", " ", "", "\t", "").Replace(text)
	octets, err := base64.RawURLEncoding.DecodeString(clean)
	switch {
	case err == nil && bytes.Equal(octets, sum):
		return right // which octets these are nobody can mistake
	case err == nil && (is(octets) || ofHex(string(octets))), ofHex(text):
		return odd
	}
	return foreign
}

// broken reports whether the hash of a signature algorithm has collisions.
func broken(oid asn1.ObjectIdentifier) bool {
	switch oid.String() {
	case "1.2.840.113549.1.1.2", "1.2.840.113549.1.1.4", "1.2.840.113549.1.1.5", "1.3.14.3.2.29", "1.2.840.10045.4.1", "1.2.840.10040.4.3":
		return true
	}
	return false
}
