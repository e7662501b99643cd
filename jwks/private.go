package jwks

import (
	"bytes"
	"strings"
)

// dashes stand on both sides of every armour: five in PEM (RFC 7468, section 3)
// and OpenPGP (RFC 9580, section 6.2.1), four and a space in SSH2 (RFC 4716,
// section 3.2).
const dashes = "----"

// holdsArmour reports whether text holds the header or the end of an armoured
// private key, in any case: "PRIVATE KEY" ends the label of all kinds in PEM
// (PKCS #1, PKCS #8 also when encrypted, SEC 1, OpenSSH), and "PRIVATE KEY BLOCK"
// that of OpenPGP. Work is linear in the text.
func holdsArmour(text []byte) bool {
	for {
		label, rest, ok := bytes.Cut(text, []byte(dashes))
		if !ok {
			return false
		}
		label, _ = cutSuffixFold(bytes.TrimRight(label, " \t"), " BLOCK")
		if _, ok := cutSuffixFold(label, "PRIVATE KEY"); ok {
			return true
		}
		text = rest
	}
}

func cutSuffixFold(text []byte, suffix string) (before []byte, ok bool) {
	n := len(text) - len(suffix)
	if n < 0 || !bytes.EqualFold(text[n:], []byte(suffix)) {
		return text, false
	}
	return text[:n], true
}

// privateName returns the canonical name of a member that carries private or
// symmetric material (RFC 7518 section 6, RFC 9964), in any case: decoders that
// ignore case read "D" as d, and a secret is public however it is spelt.
func privateName(name []byte) (canonical string, ok bool) {
	if len(name) > 4 { // the Kelvin sign, which folds to k, has three octets
		return "", false
	}
	for _, p := range [...]string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv", "k"} {
		if equalFold(name, p) {
			return p, true
		}
	}
	return "", false
}

// equalFold is simple Unicode folding, not ASCII's: encoding/json folds the
// Kelvin sign to k and the long s to s, so consumers do too.
func equalFold(name []byte, s string) bool {
	return len(name) >= len(s) && len(name) <= 3*len(s) && strings.EqualFold(string(name), s)
}

// emptyValue reports whether a private member's value says nothing: real sets
// carry "oth":[] beside public keys.
func emptyValue(raw []byte) bool {
	switch raw[0] {
	case 'n', 'f':
		return true
	case '"':
		return len(raw) == 2
	case '[', '{':
		return skipSpace(raw, 1) == len(raw)-1
	}
	return false
}

// holdsPrivateText reports whether a JSON string, given with its quotes, holds
// a private key: armoured, or a private JSON Web Key as text within text.
func holdsPrivateText(raw []byte) bool {
	if bytes.IndexByte(raw, '\\') < 0 {
		return holdsArmour(raw)
	}
	text := unquote(raw)
	if holdsArmour(text) {
		return true
	}
	return bytes.Contains(text, []byte(`"kty"`)) && namesPrivate(text)
}

// looksSecret judges a body that is not JSON. It errs towards yes: the only
// cost is that no hash of the body leaves the process.
func looksSecret(body []byte) bool {
	if bytes.IndexByte(body, 0) >= 0 { // UTF-16 and UTF-32
		body = bytes.ReplaceAll(body, []byte{0}, nil)
	}
	return holdsArmour(unescape(body)) || namesPrivate(body)
}

// namesPrivate reports whether a quoted private member name stands before a
// colon. It looks back from each colon over a bounded number of octets, so that
// broken quoting elsewhere cannot hide one.
func namesPrivate(text []byte) bool {
	const longest = 32 // octets of a name, all of it escapes
	last := -1         // the newest octet that is not white space
	for i, c := range text {
		if c == ':' && last > 0 && (text[last] == '"' || text[last] == '\'') {
			from := max(0, last-longest)
			start := bytes.LastIndexByte(text[from:last], text[last])
			if start >= 0 {
				// A trailing backslash belongs to an escaped quote: JSON within JSON.
				name := bytes.TrimRight(text[from+start+1:last], `\`)
				if _, ok := privateName(unescape(name)); ok {
					return true
				}
			}
		}
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			last = i
		}
	}
	return false
}
