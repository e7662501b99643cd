package jwks

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// unquote returns the octets of a JSON string that is known to be well formed,
// given with its quotes. Without an escape they alias raw.
func unquote(raw []byte) []byte { return unescape(raw[1 : len(raw)-1]) }

// unescape resolves the escapes of a JSON string. Octets that are not UTF-8
// stay as they are and an unpaired surrogate becomes the three octets that
// UTF-8 would give it (WTF-8): with U+FFFD in their place two different kids
// would become one. Escapes that are none stay as they are.
func unescape(s []byte) []byte {
	i := bytes.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	out := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		c := s[i]
		if c != '\\' || i+1 == len(s) {
			out = append(out, c)
			i++
			continue
		}
		i += 2
		switch c := s[i-1]; c {
		case 'b', 'f', 'n', 'r', 't':
			out = append(out, "\b\f\n\r\t"[strings.IndexByte("bfnrt", c)])
		case '"', '\\', '/':
			out = append(out, c)
		case 'u':
			r, n := escapedRune(s[i:])
			if n == 0 {
				out = append(out, '\\', 'u')
			} else {
				out = appendWTF8(out, r)
			}
			i += n
		default:
			out = append(out, '\\', c)
		}
	}
	return out
}

// escapedRune reads what follows \u, with the second half of a pair when it
// stands there; n is the number of octets read, 0 when there are no four
// hexadecimal digits.
func escapedRune(s []byte) (r rune, n int) {
	high, ok := hex4(s)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(high) && len(s) >= 10 && s[4] == '\\' && s[5] == 'u' {
		if low, ok := hex4(s[6:]); ok {
			if pair := utf16.DecodeRune(high, low); pair != utf8.RuneError {
				return pair, 10
			}
		}
	}
	return high, 4
}

func hex4(s []byte) (rune, bool) {
	if len(s) < 4 {
		return 0, false
	}
	v, err := strconv.ParseUint(string(s[:4]), 16, 16)
	return rune(v), err == nil
}

func appendWTF8(dst []byte, r rune) []byte {
	if utf16.IsSurrogate(r) {
		return append(dst, 0xe0|byte(r>>12), 0x80|byte(r>>6)&0x3f, 0x80|byte(r)&0x3f)
	}
	return utf8.AppendRune(dst, r)
}

// wellFormed reports whether a JSON string, given with its quotes, is UTF-8
// without an unpaired surrogate.
func wellFormed(raw []byte) bool {
	return utf8.Valid(raw) && (bytes.IndexByte(raw, '\\') < 0 || utf8.Valid(unquote(raw)))
}

// capText bounds a label to MaxText octets. What is longer keeps a prefix and
// the hash of the whole, so that two long labels never become one. A label that
// has the very form of a cut one is cut too: otherwise it could be forged.
func capText(s string) (text string, cut bool) {
	const mark = "…sha256:"
	const prefix = MaxText - len(mark) - 2*sha256.Size
	if len(s) < MaxText || len(s) == MaxText && s[prefix:prefix+len(mark)] != mark {
		return s, false
	}
	sum := sha256.Sum256([]byte(s))
	return s[:prefix] + mark + hex.EncodeToString(sum[:]), true
}

// step is one element of the path to a value.
type step struct {
	name  []byte // of an object's member; nil within an array
	index int
}

// maxPointer bounds a pointer in octets. One defect costs the document a few
// octets; without a bound it would cost us a whole path of long names.
const maxPointer = 256

// pointer writes a path as RFC 6901 does, names as the raw octets they are. A
// path that is too long names its nearest ancestor that fits.
func pointer(path []step) string {
	var b []byte
	for _, s := range path {
		n := len(b)
		b = append(b, '/')
		if s.name == nil {
			b = strconv.AppendInt(b, int64(s.index), 10)
		} else if len(s.name) <= maxPointer {
			for _, c := range s.name {
				switch c {
				case '~':
					b = append(b, "~0"...)
				case '/':
					b = append(b, "~1"...)
				default:
					b = append(b, c)
				}
			}
		}
		if len(b) > maxPointer || len(s.name) > maxPointer {
			return string(b[:n])
		}
	}
	return string(b)
}
