package configs

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"io"
	"strings"
)

// KeyPEM is a private key in PEM. It is a []byte that prints as [redacted],
// wherever a printer asks a value how to print it: not in the unexported field
// of another struct. So do not keep one there.
type KeyPEM []byte

// String implements fmt.Stringer.
func (KeyPEM) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (KeyPEM) GoString() string { return Redacted }

// Format implements fmt.Formatter, for all verbs.
func (KeyPEM) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalText implements encoding.TextMarshaler, and so what JSON, XML and
// zerolog print.
func (KeyPEM) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// MarshalYAML implements the Marshaler of go.yaml.in/yaml.
func (KeyPEM) MarshalYAML() (any, error) { return Redacted, nil }

// Format implements fmt.Formatter: of a pointer in a struct, which is printed by
// a verb that pointers do not have, fmt would show everything.
func (w Web) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "{listen %s}", w.Listen) }

// fileOf reads the file at once: what it holds becomes part of the Config, so
// that nobody reads it again and finds another one.
func fileOf(path *string, d *decoder, take func(content []byte) *refusal) *binding {
	b := pathOf(path, d.path)
	set := b.set
	b.set = func(s string) *refusal {
		if r := set(s); r != nil {
			return r
		}
		content, r := d.load(*path, MaxPEM)
		if r != nil {
			return refused("names a file that cannot be used: "+r.what, r.hint)
		}
		return take(content)
	}
	return b
}

// certificatesOf takes a file of certificates, and shows them by their digest.
func certificatesOf(path *string, content *[]byte, d *decoder) *binding {
	b := fileOf(path, d, func(got []byte) *refusal {
		if r := checkCertificates(got); r != nil {
			return r
		}
		*content = got
		return nil
	})
	b.note = func() string { return certificatesDigest(*content) }
	return b
}

// keyOf takes a file with a private key.
func keyOf(path *string, content *KeyPEM, d *decoder) *binding {
	return fileOf(path, d, func(got []byte) *refusal {
		if r := checkKey(got); r != nil {
			return r
		}
		*content = got
		return nil
	})
}

// tokenOf takes the one line of a file.
func tokenOf(path *string, token *Secret, d *decoder) *binding {
	return fileOf(path, d, func(got []byte) *refusal {
		text := strings.TrimSuffix(strings.TrimSuffix(string(got), "\n"), "\r")
		if r := checkToken(text); r != nil {
			return r
		}
		*token = NewSecret(text)
		return nil
	})
}

// checkToken holds a token to what a header can carry (RFC 6750, section 2.1)
// and to a length that cannot be tried out.
func checkToken(text string) *refusal {
	const cure = "write one with: openssl rand -base64 32"
	switch {
	case strings.ContainsAny(text, "\r\n"):
		return refused("names a file with more than one line", "the file holds the token alone; "+cure)
	case len(text) < MinToken:
		return refused(fmt.Sprintf("names a file whose token is shorter than %d characters", MinToken), cure)
	case strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }):
		return refused("names a file whose token holds a space or a character that is not ASCII", cure)
	}
	return nil
}

// checkCertificates accepts PEM with at least one certificate and nothing else.
// Text between the blocks is allowed (RFC 7468, section 5.2).
func checkCertificates(content []byte) *refusal {
	found, rest := 0, content
	for {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && found > 0:
			return nil
		case block == nil && !strings.Contains(string(content), "-----BEGIN "):
			return refused("names a file that is not PEM", "certificates begin with -----BEGIN CERTIFICATE-----; for DER: openssl x509 -inform der -in FILE")
		case block == nil:
			return refused("names a file with no whole PEM block in it", "is the file cut off, or was it edited?")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return refused("names a file with a private key in it", "only certificates belong here; give the key with key_file")
		case block.Type != "CERTIFICATE":
			return refused("names a file with no certificate in it", "it wants blocks that begin with -----BEGIN CERTIFICATE-----")
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return refused(fmt.Sprintf("names a file whose certificate %d cannot be read", found+1), "try: openssl x509 -in FILE -noout -text")
		}
		found++
	}
}

// checkKey accepts PEM with a private key in it that needs no passphrase.
func checkKey(content []byte) *refusal {
	for rest := content; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		switch {
		case block == nil && !strings.Contains(string(content), "-----BEGIN "):
			return refused("names a file that is not PEM", "a key begins with -----BEGIN PRIVATE KEY-----")
		case block == nil:
			return refused("names a file with no private key in it", "it wants a block that begins with -----BEGIN PRIVATE KEY-----")
		case block.Type == "ENCRYPTED PRIVATE KEY", block.Headers["DEK-Info"] != "":
			return refused("names a file with an encrypted key", "the agent has nobody to ask for a passphrase; guard the file by its mode")
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			return nil
		}
	}
}

// pair holds a certificate and its key together. What exactly is wrong with a
// key is not said.
func (d *decoder) pair(section value, cert []byte, key KeyPEM) {
	if len(cert) == 0 || len(key) == 0 {
		return
	}
	if _, err := tls.X509KeyPair(cert, key); err != nil {
		at := member(section.node, "key_file")
		at.hide = true
		d.fail(at, false, "key_file is not the key of the first certificate of cert_file, or of a kind that is not read", "RSA, ECDSA and Ed25519 keys are; the certificate of the client or server itself comes first in its file")
	}
}

// certificatesDigest is over the certificates alone, not over the text around
// them. "" when there are none.
func certificatesDigest(content []byte) string {
	if len(content) == 0 {
		return ""
	}
	h := sha256.New()
	for block, rest := pem.Decode(content); block != nil; block, rest = pem.Decode(rest) {
		h.Write(block.Bytes)
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}
