package jwks

import "crypto/sha256"

// certificates returns the digest of x5c, x5t and x5t#S256: of the octets they
// stand for where they decode, so that padding and line breaks are no change,
// and of their text otherwise. It is zero when the entry has none of them; an
// empty array, an empty string and null are none.
//
// No certificate is parsed: real ones carry negative serials and impossible
// versions, and whether a certificate is any good is not this package's to say.
func (e *entry) certificates() (sum [32]byte) {
	b := []byte("jwkswatch certificate digest v1\x00")
	empty := len(b)
	b = e.chain(b)
	for _, name := range [...]string{"x5t", "x5t#S256"} {
		text, ok := e.str(name)
		if !ok || len(text) == 0 {
			continue
		}
		octets, _, ok := decodeBase64(text)
		if !ok {
			e.note(BadCertificate, name, "no base64")
			octets = text
		}
		b = appendCertificate(b, name, ok, octets)
	}
	if len(b) == empty {
		return sum
	}
	return sha256.Sum256(b)
}

// chain appends the certificates of x5c, in their order.
func (e *entry) chain(b []byte) []byte {
	const name = "x5c"
	f := e.field(name)
	if f == nil {
		return b
	}
	if f.raw[0] != '[' {
		e.note(BadCertificate, name, "no array of base64 strings")
		if f.raw[0] == 'n' {
			return b
		}
		return appendCertificate(b, name, false, canonical(f.raw))
	}
	for item := range elements(f.raw) {
		var octets []byte
		ok := item[0] == '"'
		if ok {
			octets, _, ok = decodeBase64(unquote(item))
		}
		if !ok {
			e.note(BadCertificate, name, "no array of base64 strings")
			octets = canonical(item)
		}
		b = appendCertificate(b, name, ok, octets)
	}
	return b
}

// appendCertificate keeps octets and text apart: text could be chosen to equal
// a certificate's octets.
func appendCertificate(b []byte, name string, decoded bool, octets []byte) []byte {
	b = appendSized(b, name)
	if decoded {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	return appendSized(b, octets)
}
