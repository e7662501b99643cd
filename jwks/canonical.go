package jwks

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// canonical writes a value, known to be JSON, in the form of RFC 8785 extended
// to every JSON text, so that every entry has an identity: repeated names stay
// in order of occurrence, octets that are no UTF-8 stay as they are, an unpaired
// surrogate becomes WTF-8 and sorts by its UTF-16 unit, other stray octets sort
// behind every character, and a number beyond a float64 becomes the largest one.
func canonical(raw []byte) []byte {
	c := canonicaliser{in: raw}
	c.at = skipSpace(raw, 0)
	return c.value(make([]byte, 0, len(raw)))
}

type canonicaliser struct {
	in []byte
	at int
}

func (c *canonicaliser) value(dst []byte) []byte {
	switch c.in[c.at] {
	case '{':
		return c.object(dst)
	case '[':
		return c.array(dst)
	}
	start := c.at
	c.at = skipValue(c.in, start)
	switch raw := c.in[start:c.at]; raw[0] {
	case '"':
		return appendQuoted(dst, unquote(raw))
	case 'n', 't', 'f':
		return append(dst, raw...)
	default:
		return appendNumber(dst, raw)
	}
}

func (c *canonicaliser) array(dst []byte) []byte {
	dst = append(dst, '[')
	first := true
	for c.at = skipSpace(c.in, c.at+1); c.in[c.at] != ']'; c.separator() {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = c.value(dst)
	}
	c.at++
	return append(dst, ']')
}

// separator passes the comma after a member or an element, if there is one.
func (c *canonicaliser) separator() {
	c.at = skipSpace(c.in, c.at)
	if c.in[c.at] == ',' {
		c.at = skipSpace(c.in, c.at+1)
	}
}

func (c *canonicaliser) object(dst []byte) []byte {
	type member struct {
		name       []byte
		start, end int // in dst, the comma behind it included
	}
	var members []member
	dst = append(dst, '{')
	begin := len(dst)
	for c.at = skipSpace(c.in, c.at+1); c.in[c.at] != '}'; c.separator() {
		end := skipValue(c.in, c.at)
		m := member{name: unquote(c.in[c.at:end]), start: len(dst)}
		dst = append(appendQuoted(dst, m.name), ':')
		c.at = skipSpace(c.in, skipSpace(c.in, end)+1)
		dst = append(c.value(dst), ',')
		m.end = len(dst)
		members = append(members, m)
	}
	c.at++
	if len(members) == 0 {
		return append(dst, '}')
	}
	byName := func(a, b member) int { return compareNames(a.name, b.name) }
	if !slices.IsSortedFunc(members, byName) {
		slices.SortStableFunc(members, byName)
		served := bytes.Clone(dst[begin:])
		dst = dst[:begin]
		for _, m := range members {
			dst = append(dst, served[m.start-begin:m.end-begin]...)
		}
	}
	dst[len(dst)-1] = '}'
	return dst
}

// appendQuoted writes a string as RFC 8785 section 3.2.2.2 does: only what must
// be escaped is.
func appendQuoted(dst, octets []byte) []byte {
	const hex = "0123456789abcdef"
	dst = append(dst, '"')
	for _, c := range octets {
		switch {
		case c == '"', c == '\\':
			dst = append(dst, '\\', c)
		case c >= 0x20:
			dst = append(dst, c)
		case c == '\b':
			dst = append(dst, `\b`...)
		case c == '\f':
			dst = append(dst, `\f`...)
		case c == '\n':
			dst = append(dst, `\n`...)
		case c == '\r':
			dst = append(dst, `\r`...)
		case c == '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
	}
	return append(dst, '"')
}

// appendNumber writes a number as ECMAScript does (RFC 8785 section 3.2.2.3).
func appendNumber(dst, raw []byte) []byte {
	f, _ := strconv.ParseFloat(string(raw), 64) // its only error is the range
	switch {
	case f == 0:
		f = 0 // no negative zero
	case math.IsInf(f, 0):
		f = math.Copysign(math.MaxFloat64, f)
	}
	return jsontext.AppendFloat(dst, f, 64)
}

// compareNames orders names by their UTF-16 code units, as RFC 8785 section
// 3.2.3 wants, and by their octets where the units do not tell them apart.
func compareNames(a, b []byte) int {
	x, y := units{b: a}, units{b: b}
	for {
		ux, okX := x.next()
		uy, okY := y.next()
		switch {
		case !okX && !okY:
			return bytes.Compare(a, b)
		case !okX:
			return -1
		case !okY:
			return 1
		case ux != uy:
			return cmp.Compare(ux, uy)
		}
	}
}

// units yields the UTF-16 code units of WTF-8; a stray octet yields a number
// beyond every unit.
type units struct {
	b   []byte
	low rune // the second half of a pair, when it is due
}

func (u *units) next() (rune, bool) {
	if u.low != 0 {
		r := u.low
		u.low = 0
		return r, true
	}
	if len(u.b) == 0 {
		return 0, false
	}
	r, n := utf8.DecodeRune(u.b)
	switch {
	case r == utf8.RuneError && n == 1:
		if len(u.b) >= 3 && u.b[0] == 0xed && u.b[1]&0xe0 == 0xa0 && u.b[2]&0xc0 == 0x80 {
			r, n = 0xd000|rune(u.b[1]&0x3f)<<6|rune(u.b[2]&0x3f), 3
		} else {
			r = 0x10000 + rune(u.b[0])
		}
	case r > 0xffff:
		r, u.low = utf16.EncodeRune(r)
	}
	u.b = u.b[n:]
	return r, true
}
