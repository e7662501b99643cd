package jwks

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"slices"
)

// material decodes the public members of one entry.
type material struct {
	e        *entry
	sum      *[32]byte // RFC 7638; nil while or when it cannot be decoded
	bits     int
	encoding []string
	texts    [][]byte // the material as written, names and values in turn
}

// read returns the text of a member of the material; ok is false when it cannot
// be one, which is noted.
func (m *material) read(name string) (text []byte, ok bool) {
	f := m.e.field(name)
	if f == nil {
		m.e.note(MissingMember, "", "no "+name)
		return nil, false
	}
	if f.conflict { // noted by the walker; which one a consumer takes nobody can say
		return nil, false
	}
	text, ok = m.e.str(name)
	m.texts = append(m.texts, []byte(name), text)
	return text, ok
}

// octets decodes a member of the material.
func (m *material) octets(name string) (value []byte, ok bool) {
	text, ok := m.read(name)
	if !ok {
		return nil, false
	}
	value, departures, ok := decodeBase64(text)
	if !ok {
		m.e.note(BadBase64, name, "no base64")
		return nil, false
	}
	m.encoding = append(m.encoding, departures...)
	return value, true
}

// number decodes an unsigned integer. RFC 7518 section 6.3.1.1: no leading zero
// octets, but real issuers write them and mean the same key.
func (m *material) number(name string) (value []byte, ok bool) {
	raw, ok := m.octets(name)
	if !ok {
		return nil, false
	}
	value = bytes.TrimLeft(raw, "\x00")
	if len(value) == 0 {
		m.e.note(EmptyNumber, name, "zero, or no octets")
		return nil, false
	}
	if len(value) < len(raw) {
		m.encoding = append(m.encoding, "leading_zero")
	}
	return value, true
}

// coordinate decodes a coordinate of a curve. RFC 7518 section 6.2.1.2: the
// full size of a coordinate, but real issuers drop or add a zero octet.
func (m *material) coordinate(name string, size int) (value []byte, ok bool) {
	raw, ok := m.octets(name)
	if !ok {
		return nil, false
	}
	if len(raw) == 0 {
		m.e.note(EmptyNumber, name, "no octets")
		return nil, false
	}
	if len(raw) == size {
		return raw, true
	}
	if len(raw) < size {
		m.encoding = append(m.encoding, "short")
		return append(make([]byte, size-len(raw), size), raw...), true
	}
	extra := raw[:len(raw)-size]
	if len(bytes.TrimLeft(extra, "\x00")) > 0 {
		m.e.note(BadLength, name, "longer than a coordinate of the curve")
		return nil, false
	}
	m.encoding = append(m.encoding, "leading_zero")
	return raw[len(extra):], true
}

func (m *material) rsa() {
	n, okN := m.number("n")
	e, okE := m.number("e")
	if !okN || !okE {
		return
	}
	m.bits = 8*len(n) - bits.LeadingZeros8(n[0])
	m.thumbprint("e", quoted(e), "kty", `"RSA"`, "n", quoted(n))
}

// curve returns the name of a member crv that can be used.
func (m *material) curve() bool {
	crv, ok := m.read("crv")
	if ok && len(crv) == 0 {
		m.e.note(MissingMember, "crv", "crv is empty")
	}
	return ok && len(crv) > 0
}

func (m *material) ec(crv string) {
	okC := m.curve()
	size := coordinates(crv)
	if okC && size == 0 {
		m.e.note(UnknownCrv, "crv", "a curve that this version does not know")
	}
	if !okC || size == 0 {
		return
	}
	x, okX := m.coordinate("x", size)
	y, okY := m.coordinate("y", size)
	if !okX || !okY {
		return
	}
	m.bits = min(8*size, 521)
	m.thumbprint("crv", `"`+crv+`"`, "kty", `"EC"`, "x", quoted(x), "y", quoted(y))
}

// coordinates is the size in octets of a coordinate of the curve, 0 when this
// version does not know it.
func coordinates(crv string) int {
	switch crv {
	case "P-256", "secp256k1":
		return 32
	case "P-384":
		return 48
	case "P-521":
		return 66
	}
	return 0
}

func (m *material) okp(crv string) {
	okC := m.curve()
	size := map[string]int{"Ed25519": 32, "X25519": 32, "Ed448": 57, "X448": 56}[crv]
	if okC && size == 0 {
		m.e.note(UnknownCrv, "crv", "a curve that this version does not know")
	}
	if !okC || size == 0 {
		return
	}
	x, ok := m.octets("x")
	if !ok {
		return
	}
	// An octet string of RFC 8032 or RFC 7748, no integer: nothing to trim or
	// to pad.
	if len(x) != size {
		m.e.note(BadLength, "x", "not the length of a key of the curve")
		return
	}
	m.bits = min(8*size, 448)
	if size == 32 {
		m.bits = 256
	}
	m.thumbprint("crv", `"`+crv+`"`, "kty", `"OKP"`, "x", quoted(x))
}

func (m *material) akp() {
	alg, okA := m.read("alg")
	if okA && len(alg) == 0 {
		m.e.note(MissingMember, "alg", "alg is empty")
		okA = false
	}
	pub, okP := m.octets("pub")
	if !okA || !okP {
		return
	}
	want, known := map[string]int{"ML-DSA-44": 1312, "ML-DSA-65": 1952, "ML-DSA-87": 2592}[string(alg)]
	if known && len(pub) != want || len(pub) == 0 {
		m.e.note(BadLength, "pub", "not the length of a public key of the algorithm")
		return
	}
	if !known {
		m.e.note(UnknownAKP, "alg", "an algorithm that this version does not know")
	}
	m.thumbprint("alg", string(appendQuoted(nil, alg)), "kty", `"AKP"`, "pub", quoted(pub))
}

// quoted writes octets as a JSON string of base64url.
func quoted(octets []byte) string {
	return `"` + base64.RawURLEncoding.EncodeToString(octets) + `"`
}

// thumbprint hashes the required members, given in lexicographic order and
// already as JSON: RFC 7638 section 3.
func (m *material) thumbprint(members ...string) {
	b := []byte{'{'}
	for i := 0; i < len(members); i += 2 {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, members[i]...)
		b = append(b, '"', ':')
		b = append(b, members[i+1]...)
	}
	sum := sha256.Sum256(append(b, '}'))
	m.sum = &sum
}

// form hashes the material as it is written.
func (m *material) form() [32]byte {
	b := []byte("jwkswatch key form v1\x00")
	for _, t := range m.texts {
		b = appendSized(b, t)
	}
	return sha256.Sum256(b)
}

// appendSized appends a length of eight octets, big-endian, and the octets.
func appendSized[T ~[]byte | ~string](dst []byte, octets T) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(len(octets)))
	return append(dst, octets...)
}

// decodeBase64 reads base64url as RFC 7515 section 2 wants it, and everything
// that real issuers write in its place. Each departure has its code; none
// changes the octets.
func decodeBase64(text []byte) (octets []byte, departures []string, ok bool) {
	clean, departures, ok := normalise(text)
	if !ok || len(clean)%4 == 1 {
		return nil, nil, false
	}
	octets = make([]byte, base64.RawURLEncoding.DecodedLen(len(clean)))
	if _, err := base64.RawURLEncoding.Decode(octets, clean); err != nil {
		return nil, nil, false
	}
	if tail := len(clean) % 4; tail > 0 {
		// Bits beyond the last octet: RFC 4648 section 3.5 lets a decoder
		// ignore or refuse them.
		last, octet := clean[len(clean)-1], octets[len(octets)-1]
		var again [4]byte
		if tail == 2 {
			base64.RawURLEncoding.Encode(again[:2], []byte{octet})
		} else {
			base64.RawURLEncoding.Encode(again[:3], octets[len(octets)-2:])
		}
		if again[tail-1] != last {
			departures = append(departures, "trailing_bits")
		}
	}
	return octets, departures, true
}

// normalise turns text into base64url without padding; ok is false when it
// holds anything that no reading explains. Text that needs nothing is returned
// as it is.
func normalise(text []byte) (clean []byte, departures []string, ok bool) {
	var space, padding, standard bool
	for _, c := range text {
		switch {
		case 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z', '0' <= c && c <= '9', c == '-', c == '_':
			if padding {
				return nil, nil, false
			}
		case c == '+', c == '/':
			if padding {
				return nil, nil, false
			}
			standard = true
		case c == '=':
			padding = true
		case c == ' ', c == '\t', c == '\r', c == '\n':
			space = true
		default:
			return nil, nil, false
		}
	}
	if !space && !padding && !standard {
		return text, nil, true
	}
	clean = slices.Clone(text)
	clean = slices.DeleteFunc(clean, func(c byte) bool {
		return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '='
	})
	for i, c := range clean {
		switch c {
		case '+':
			clean[i] = '-'
		case '/':
			clean[i] = '_'
		}
	}
	for _, d := range []struct {
		met  bool
		code string
	}{{padding, "padded"}, {standard, "standard_base64"}, {space, "whitespace"}} {
		if d.met {
			departures = append(departures, d.code)
		}
	}
	return clean, departures, true
}
