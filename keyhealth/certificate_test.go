package keyhealth_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

var begins, ends = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), time.Date(2027, 1, 2, 3, 4, 5, 0, time.UTC)

func certified(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(7), NotBefore: begins, NotAfter: ends},
		&x509.Certificate{SerialNumber: big.NewInt(7)}, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func ecKey(t *testing.T) (*ecdsa.PrivateKey, jwks.Public) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return k, jwks.Public{Kty: "EC", Crv: "P-256", X: b[1:33], Y: b[33:]}
}

func wantCertificate(t *testing.T, p jwks.Public, want ...string) {
	t.Helper()
	c, ok := keyhealth.CheckCertificate(p)
	if !ok || !slices.Equal(c.Codes, want) {
		t.Errorf("%v %q, want %q", ok, c.Codes, want)
	}
}

func TestCertificates(t *testing.T) {
	key, p := ecKey(t)
	other, _ := ecKey(t)
	p.X5C = [][]byte{certified(t, key)}
	wantCertificate(t, p)
	c, _ := keyhealth.CheckCertificate(p)
	if !c.NotBefore.Equal(begins) || !c.NotAfter.Equal(ends) {
		t.Errorf("valid from %v to %v", c.NotBefore, c.NotAfter)
	}
	p.X5C[0] = certified(t, other)
	wantCertificate(t, p, "key_mismatch")

	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p.X5C[0] = certified(t, r)
	wantCertificate(t, p, "key_mismatch")
	of := jwks.Public{Kty: "RSA", N: r.N, E: big.NewInt(int64(r.E)), X5C: p.X5C}
	wantCertificate(t, of)
	of.E = big.NewInt(3)
	wantCertificate(t, of, "key_mismatch")

	pub, priv, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ed := jwks.Public{Kty: "OKP", Crv: "Ed25519", X: pub, X5C: [][]byte{certified(t, priv)}}
	wantCertificate(t, ed)
	ed.X = make([]byte, 32)
	wantCertificate(t, ed, "key_mismatch")

	p.X5C = [][]byte{[]byte("no certificate")}
	wantCertificate(t, p, "unparseable")
	for _, none := range [][][]byte{nil, {}, {nil}} {
		p.X5C = none
		if _, ok := keyhealth.CheckCertificate(p); ok {
			t.Errorf("%d certificates, the first empty: something was compared", len(none))
		}
	}
}

// TestNegativeSerial holds that a certificate a strict reader refuses is still
// compared: an attacker could make any unreadable.
func TestNegativeSerial(t *testing.T) {
	key, p := ecKey(t)
	other, _ := ecKey(t)
	negative := func(key crypto.Signer) []byte {
		der := certified(t, key)
		// The serial is the first integer of one octet with the value 7.
		i := strings.Index(string(der), "\x02\x01\x07")
		if i < 0 {
			t.Fatal("no serial")
		}
		der[i+2] = 0xf9
		return der
	}
	p.X5C = [][]byte{negative(key)}
	wantCertificate(t, p, "unparseable")
	if c, _ := keyhealth.CheckCertificate(p); !c.NotAfter.Equal(ends) {
		t.Errorf("ends %v", c.NotAfter)
	}
	p.X5C = [][]byte{negative(other)}
	wantCertificate(t, p, "key_mismatch", "unparseable")
}

func TestWeakSignatures(t *testing.T) {
	key, p := ecKey(t)
	der := certified(t, key) // ecdsa-with-SHA256, 1.2.840.10045.4.3.2: 06 08 2a 86 48 ce 3d 04 03 02
	sha256, sha1 := "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x01\x02"
	p.X5C = [][]byte{[]byte(strings.ReplaceAll(string(der), sha256, sha1))}
	wantCertificate(t, p) // of that number there is no algorithm: nothing is known to be weak
	p.X5C = [][]byte{[]byte(strings.ReplaceAll(string(der), sha256, "\x30\x0a\x06\x07\x2a\x86\x48\xce\x3d\x04\x01\x05"))}
	if c, _ := keyhealth.CheckCertificate(p); !slices.Contains(c.Codes, "unparseable") {
		t.Errorf("an algorithm in the wrong form: %q", c.Codes)
	}
	// RSA: sha256WithRSAEncryption (…1.1.11) and sha1WithRSAEncryption (…1.1.5) have one length.
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	with := func(n string) jwks.Public {
		const oid = "\x2a\x86\x48\x86\xf7\x0d\x01\x01"
		der := strings.ReplaceAll(string(certified(t, r)), oid+"\x0b", oid+n)
		return jwks.Public{Kty: "RSA", N: r.N, E: big.NewInt(int64(r.E)), X5C: [][]byte{[]byte(der)}}
	}
	wantCertificate(t, with("\x0b"))
	wantCertificate(t, with("\x05"), "weak_signature")
	wantCertificate(t, with("\x04"), "weak_signature")
}

// TestThumbprints writes one hash in every way that was seen in the wild.
func TestThumbprints(t *testing.T) {
	key, p := ecKey(t)
	der := certified(t, key)
	one, two := sha1.Sum(der), sha256.Sum256(der)
	h := hex.EncodeToString(one[:])
	url := base64.RawURLEncoding.EncodeToString
	var colons []string
	for _, b := range one {
		colons = append(colons, hex.EncodeToString([]byte{b}))
	}
	p.X5C = [][]byte{der}
	for text, want := range map[string][]string{
		url(one[:]): nil,
		base64.StdEncoding.EncodeToString(one[:]):        nil,
		base64.URLEncoding.EncodeToString(one[:]) + "\n": nil,
		h:                         {"thumbprint_encoding"},
		strings.ToUpper(h):        {"thumbprint_encoding"},
		h + "\n":                  {"thumbprint_encoding"},
		strings.Join(colons, ":"): {"thumbprint_encoding"},
		url([]byte(h)):            {"thumbprint_encoding"},
		url([]byte(h + "\n")):     {"thumbprint_encoding"},
		url(two[:]):               {"thumbprint_encoding"}, // the hash of x5t#S256
		url(make([]byte, 20)):     {"thumbprint_mismatch"},
		url(one[:19]):             {"thumbprint_mismatch"},
		"!":                       {"thumbprint_mismatch"},
		strings.Repeat("00", 20):  {"thumbprint_mismatch"},
	} {
		p.X5T = text
		t.Run(text, func(t *testing.T) { wantCertificate(t, p, want...) })
	}
	p.X5T, p.X5TS256 = "", url(two[:])
	wantCertificate(t, p)
	p.X5TS256 = url(one[:])
	wantCertificate(t, p, "thumbprint_mismatch")
	p.X5T, p.X5TS256 = h, url(make([]byte, 32)) // the worse of two
	wantCertificate(t, p, "thumbprint_mismatch")
}
