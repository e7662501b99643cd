package fetch

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"strings"
	"time"

	"golang.org/x/net/publicsuffix"

	"github.com/jwkswatch/jwkswatch/event"
)

// Code says why, where the phase alone does not.
type Code string

// The codes. There is none for most errors.
const (
	CodeNXDomain    Code = "nxdomain"      // resolve: the server says that the name does not exist
	CodeNoAddress   Code = "no_address"    // resolve: the name exists and has no address
	CodeExpired     Code = "expired"       // tls
	CodeNotYetValid Code = "not_yet_valid" // tls
	CodeWrongName   Code = "wrong_name"    // tls: the certificate is of another host
	CodeUnknownCA   Code = "unknown_ca"    // tls: no trusted authority vouches for it
	CodePinMismatch Code = "pin_mismatch"  // tls: verified, but no pin matches
	CodeRedirect    Code = "redirect"      // status: redirects without end
)

// Leaf is the certificate of a server that was refused. It is a claim of
// whoever answered, nothing more.
type Leaf struct {
	SPKI                [32]byte // SHA-256 of the SubjectPublicKeyInfo
	Issuer              string   // RFC 2253 form, cleaned as event.Text does
	NotBefore, NotAfter time.Time
	// Platform is the domain under which a shared hosting platform gives its
	// customers names, when the certificate is the one that stands for all of them;
	// else "".
	Platform string
}

// judged says why a certificate was refused, and which one it was. Other
// failures of a handshake have neither.
func judged(err error) (Code, *Leaf) {
	if pin, ok := errors.AsType[*pinError](err); ok {
		return CodePinMismatch, leaf(pin.leaf)
	}
	verification, ok := errors.AsType[*tls.CertificateVerificationError](err)
	if !ok || len(verification.UnverifiedCertificates) == 0 {
		return "", nil
	}
	refused := leaf(verification.UnverifiedCertificates[0])
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return CodeWrongName, refused
	}
	// Whatever else is wrong with the chain (an authority that is none, a name it
	// may not vouch for, a certificate for another purpose), it means that nobody
	// who is trusted vouches for this server.
	code := CodeUnknownCA
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		switch {
		case invalid.Reason == x509.NameMismatch:
			code = CodeWrongName
		// One reason stands for both ends of the time of validity.
		case invalid.Reason == x509.Expired && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
			code = CodeNotYetValid
		case invalid.Reason == x509.Expired:
			code = CodeExpired
		}
	}
	return code, refused
}

func leaf(cert *x509.Certificate) *Leaf {
	if cert == nil {
		return nil
	}
	return &Leaf{
		SPKI:      sha256.Sum256(cert.RawSubjectPublicKeyInfo),
		Issuer:    event.Text(cert.Issuer.String()),
		NotBefore: cert.NotBefore,
		NotAfter:  cert.NotAfter,
		Platform:  platform(cert.DNSNames),
	}
}

// platform is the domain of a shared hosting platform whose certificate for any
// customer has these names: a wildcard under a domain that the public suffix list
// has for its owner and not for a registry.
func platform(names []string) string {
	for _, name := range names[:min(len(names), 100)] {
		name = strings.ToLower(strings.TrimPrefix(name, "*."))
		if suffix, icann := publicsuffix.PublicSuffix(name); !icann && suffix == name && strings.Contains(name, ".") {
			return event.Text(name)
		}
	}
	return ""
}
