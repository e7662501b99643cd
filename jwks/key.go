// Package jwks holds the nouns of the field: the JSON Web Key Set (RFC 7517) an
// endpoint serves, its keys, their identity and what is wrong with them.
//
// It reads hostile bytes. One bad key never hides the others, a defect never
// changes a key's identity, and private or symmetric key material leaves the
// parser only as "[redacted]". Identity comes from our own decoder alone;
// go-jose is run beside it as an oracle and decides nothing.
//
// The package is pure: no network, no clock, no disk.
package jwks

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strconv"
	"time"
)

// IdentityKind says what an Identity is the hash of.
type IdentityKind uint8

// The kinds of identity.
const (
	// Opaque: the key could not be decoded; SHA-256 over the RFC 8785 form of
	// its redacted entry.
	Opaque IdentityKind = iota
	// Thumbprint: RFC 7638 with SHA-256 over the canonical value, integers
	// without leading zero octets and coordinates at full length.
	Thumbprint
	// Secret: a symmetric key; SHA-256 over the RFC 8785 form of its redacted
	// entry, so it says nothing of the secret, and is never shown.
	Secret
)

// Identity is what makes a key the same key whatever its label. It is
// comparable.
type Identity struct {
	Kind IdentityKind
	Sum  [32]byte
}

// String is the base64url form of a thumbprint as RFC 7638 prints it; other
// kinds carry a prefix so that nobody takes them for one.
func (id Identity) String() string {
	switch id.Kind {
	case Thumbprint:
		return base64.RawURLEncoding.EncodeToString(id.Sum[:])
	case Secret:
		return "oct:" + hex.EncodeToString(id.Sum[:8])
	default:
		return "opaque:" + hex.EncodeToString(id.Sum[:])
	}
}

// Class is the purpose a key serves; verdicts on whole sets are given for each
// purpose apart.
type Class string

// The classes. Symmetric keys have none.
const (
	ClassNone       Class = ""
	ClassSignature  Class = "sig"
	ClassEncryption Class = "enc"
	ClassAuthority  Class = "ca" // x509-svid: a certificate authority of SPIFFE
	ClassOther      Class = "other"
)

// Key is one entry of the keys array, described without its material. All text
// in it is the issuer's: hostile, unescaped, but capped by the parser.
type Key struct {
	ID  Identity
	Kid string // raw octets, which need not be UTF-8; "" when absent, empty or not a string
	Kty string
	Crv string
	Alg string
	Use string
	Ops []string // key_ops, sorted, without repeats
	// HasOps tells an empty key_ops from an absent one.
	HasOps bool
	Bits   int // of the RSA modulus or of the curve; 0 when unknown

	// Cert is the digest of x5c, x5t and x5t#S256, decoded where they decode;
	// zero when the entry has none.
	Cert [32]byte
	// Issuer, X5U, Exp and Nbf are members beside the material: who may sign with
	// the key, where its certificates are, and its time. They are kept as served,
	// a number as its digits, and are no part of the digest.
	Issuer, X5U, Exp, Nbf string
	// Form is the digest of the text in which the material is written: two
	// entries of one identity and different Form write one number differently.
	// Zero when the material could not be decoded.
	Form [32]byte
	// Encoding names how Form departs from RFC 7518: leading_zero, short,
	// padded, standard_base64, whitespace, trailing_bits. Sorted.
	Encoding []string
	// Private names the members that carry private or symmetric material, those
	// of objects within the entry included: d, p, q, dp, dq, qi, oth, priv or k,
	// whatever the case they were served in. Sorted.
	Private []string
	// Defects lists what is wrong with the entry, sorted by code and pointer; at
	// most eight of a code.
	Defects []Defect
	// Index is the entry's position in the array it was served in.
	Index int
}

// Decoded reports whether our decoder could read the public material.
func (k *Key) Decoded() bool { return k.ID.Kind == Thumbprint }

// Class is the purpose of this one entry. An entry that cannot be decoded
// counts as a signing key: nobody can say that it is not one.
func (k *Key) Class() Class {
	switch k.ID.Kind {
	case Secret:
		return ClassNone
	case Opaque:
		return ClassSignature
	}
	switch k.Use {
	case "", "sig", "jwt-svid", "wit-svid":
		if len(k.Ops) > 0 && !slices.Contains(k.Ops, "verify") {
			return ClassOther
		}
		return ClassSignature
	case "x509-svid":
		return ClassAuthority
	case "enc":
		return ClassEncryption
	}
	return ClassOther
}

// Expires is the time that exp tells as seconds since 1970 (RFC 7519 section 2,
// by habit; no RFC defines it for keys). Zero when it is absent or anything else.
func (k *Key) Expires() time.Time {
	n, err := strconv.ParseInt(k.Exp, 10, 64)
	if err != nil || n <= 0 || n > maxTime {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}

// maxTime is the last second of the year 9999: what is beyond has no RFC 3339
// form, and in practice was meant as milliseconds.
const maxTime = 253_402_300_799

// Defect is one thing wrong with an entry or with the whole document.
type Defect struct {
	Code Code
	// Pointer is RFC 6901, into Set.Body: hostile text of at most 256 octets. A
	// place whose own pointer is longer is told by its nearest ancestor.
	Pointer string
	Kid     string // of RepeatedKid and RepeatedKidLabels: raw and capped as Key.Kid
	// Text says more, for people. It never quotes a value.
	Text string
}

// Code names a defect. Codes are part of stored digests: added, never renamed.
type Code string

// Defects of one entry.
const (
	NotObject      Code = "not_object"       // the entry is no JSON object
	MissingKty     Code = "missing_kty"      //
	UnknownKty     Code = "unknown_kty"      //
	UnknownCrv     Code = "unknown_crv"      //
	UnknownAKP     Code = "unknown_akp_alg"  // kty AKP with an algorithm this version does not know
	MissingMember  Code = "missing_member"   // n, e, crv, x, y, alg or pub
	BadBase64      Code = "bad_base64"       // no lenient reading makes octets of it
	BadLength      Code = "bad_length"       // octets of the wrong number for the curve or algorithm
	EmptyNumber    Code = "empty_number"     // an integer without octets, or zero
	NotString      Code = "not_string"       // a member that RFC 7517 wants as a string
	BadKeyOps      Code = "bad_key_ops"      // key_ops is no array of strings
	BadCertificate Code = "bad_certificate"  // x5c is no array of base64 strings, or x5t no base64
	RepeatedMember Code = "repeated_member"  // a name that stands twice in one object
	CaseVariant    Code = "case_variant"     // a name that equals a registered one but for case
	InvalidUTF8    Code = "invalid_utf8"     // ill-formed UTF-8 or an unpaired surrogate
	PrivateMember  Code = "private_member"   // d, p, q, dp, dq, qi, oth or priv with a value
	SymmetricKey   Code = "symmetric_key"    // oct with k
	TextTooLong    Code = "text_too_long"    // a label over MaxText octets: cut, with its hash
	OracleRefuses  Code = "gojose_refuses"   // go-jose does not read this entry; never in a digest
	PrivateText    Code = "private_key_text" // a PEM private key inside some other member
	// PrivateProven and PublicSecret are never in a digest: arithmetic is bounded.
	PrivateProven Code = "private_proven"       // the private member is proven to be that of this key
	PublicSecret  Code = "public_key_as_secret" // oct whose k is a public key of the set
)

// Defects of the whole document.
const (
	RepeatedKid       Code = "repeated_kid"         // one kid, several identities
	RepeatedKidLabels Code = "repeated_kid_labels"  // one kid, one identity, several alg, use or key_ops
	MissingKid        Code = "missing_kid"          // a key without kid among several
	OracleRefusesSet  Code = "gojose_refuses_set"   // go-jose's whole-set decode fails; never in a digest
	OracleDiffersSet  Code = "gojose_differs_set"   // it succeeds with another number of keys; never in a digest
	StrayPrivate      Code = "stray_private_member" // private material outside the keys array
)

// Caps of the parser. What is over a cap is a finding, never a guess.
const (
	MaxKeys  = 4096 // entries in one set
	MaxDepth = 64   // of nested arrays and objects
	MaxText  = 512  // octets of a label that is kept; a longer one is cut and carries its hash
)

// Redacted stands in stored documents for every secret value.
const Redacted = "[redacted]"
