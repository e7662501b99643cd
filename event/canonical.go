package event

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Hash is SHA-256 over the RFC 8785 form of an encoded event: the link of the
// hash chain, which the next event of the stream carries in
// data.integrity.previous. Errors are those of Canonical.
func Hash(encoded []byte) ([32]byte, error) {
	b, err := Canonical(encoded)
	if err != nil {
		return [32]byte{}, err
	}
	return sha256.Sum256(b), nil
}

// Canonical returns the RFC 8785 form of one JSON value: no white space,
// members sorted by the UTF-16 units of their names, strings and numbers as
// ECMAScript writes them.
//
// What cannot be written so without a guess is an error, never a repair: bad
// syntax, invalid UTF-8, an unpaired surrogate, a name that stands twice in one
// object, a number beyond ±(2^53−1), where a float64 no longer tells an integer
// from its neighbour, and a number too small for a float64. Errors name the
// offset and quote nothing.
func Canonical(encoded []byte) ([]byte, error) {
	if !utf8.Valid(encoded) {
		return nil, errors.New("canonical form: invalid UTF-8")
	}
	// The standard scanner settles the grammar and the depth of nesting; the
	// walk below may then trust both.
	if !json.Valid(encoded) {
		return nil, errors.New("canonical form: not one JSON value")
	}
	w := canonicaliser{in: encoded}
	out, err := w.value(make([]byte, 0, len(encoded)))
	if err != nil {
		return nil, fmt.Errorf("canonical form: at octet %d: %w", w.at, err)
	}
	return out, nil
}

// canonicaliser walks over JSON that is known to be well formed.
type canonicaliser struct {
	in []byte
	at int
}

// next returns the next octet that is not white space, without taking it.
func (c *canonicaliser) next() byte {
	for {
		switch b := c.in[c.at]; b {
		case ' ', '\t', '\n', '\r':
			c.at++
		default:
			return b
		}
	}
}

func (c *canonicaliser) value(out []byte) ([]byte, error) {
	switch c.next() {
	case '{':
		return c.object(out)
	case '[':
		return c.array(out)
	case '"':
		s, err := c.text()
		if err != nil {
			return nil, err
		}
		return appendText(out, s), nil
	case 't', 'n':
		c.at += 4
		return append(out, c.in[c.at-4:c.at]...), nil
	case 'f':
		c.at += 5
		return append(out, c.in[c.at-5:c.at]...), nil
	}
	return c.number(out)
}

func (c *canonicaliser) array(out []byte) ([]byte, error) {
	out = append(out, '[')
	c.at++
	var err error
	for n := 0; c.next() != ']'; n++ {
		if c.next() == ',' {
			c.at++
		}
		if n > 0 {
			out = append(out, ',')
		}
		if out, err = c.value(out); err != nil {
			return nil, err
		}
	}
	c.at++
	return append(out, ']'), nil
}

type member struct {
	name  string
	units []uint16 // of name, the sort key
	value []byte
}

func (c *canonicaliser) object(out []byte) ([]byte, error) {
	c.at++
	var members []member
	for c.next() != '}' {
		if c.next() == ',' {
			c.at++
			c.next()
		}
		name, err := c.text()
		if err != nil {
			return nil, err
		}
		c.next()
		c.at++ // the colon
		value, err := c.value(nil)
		if err != nil {
			return nil, err
		}
		members = append(members, member{name, utf16.Encode([]rune(name)), value})
	}
	c.at++
	slices.SortFunc(members, func(a, b member) int { return slices.Compare(a.units, b.units) })
	out = append(out, '{')
	for i, m := range members {
		if i > 0 {
			if members[i-1].name == m.name {
				return nil, errors.New("a member name stands twice in the object that ends here")
			}
			out = append(out, ',')
		}
		out = append(appendText(out, m.name), ':')
		out = append(out, m.value...)
	}
	return append(out, '}'), nil
}

// text takes a string and returns what it means.
func (c *canonicaliser) text() (string, error) {
	c.at++
	start := c.at
	var b strings.Builder
	for c.in[c.at] != '"' {
		if c.in[c.at] != '\\' {
			c.at++
			continue
		}
		b.Write(c.in[start:c.at])
		r, err := c.escape()
		if err != nil {
			return "", err
		}
		b.WriteRune(r)
		start = c.at
	}
	b.Write(c.in[start:c.at])
	c.at++
	return b.String(), nil
}

func (c *canonicaliser) escape() (rune, error) {
	letter := c.in[c.at+1]
	if letter != 'u' {
		c.at += 2
		if i := strings.IndexByte("bfnrt", letter); i >= 0 {
			return rune("\b\f\n\r\t"[i]), nil
		}
		return rune(letter), nil
	}
	r := c.unit()
	if !utf16.IsSurrogate(r) {
		return r, nil
	}
	if bytes.HasPrefix(c.in[c.at:], []byte(`\u`)) {
		if r = utf16.DecodeRune(r, c.unit()); r != utf8.RuneError {
			return r, nil
		}
	}
	return 0, errors.New("an unpaired surrogate")
}

// unit takes one \uXXXX.
func (c *canonicaliser) unit() rune {
	n, _ := strconv.ParseUint(string(c.in[c.at+2:c.at+6]), 16, 16) // the grammar holds: four hexadecimal digits
	c.at += 6
	return rune(n)
}

// appendText writes a string as RFC 8785, 3.2.2.2 does: only what JSON must
// escape is escaped, by the short form where there is one.
func appendText(out []byte, s string) []byte {
	out = append(out, '"')
	for i := range len(s) {
		b := s[i]
		switch {
		case b == '"' || b == '\\':
			out = append(out, '\\', b)
		case b >= ' ':
			out = append(out, b)
		default:
			if n := strings.IndexByte("\b\f\n\r\t", b); n >= 0 {
				out = append(out, '\\', "bfnrt"[n])
			} else {
				out = fmt.Appendf(out, `\u%04x`, b)
			}
		}
	}
	return append(out, '"')
}

// maxInteger is the end of the range in which every integer has a float64 of
// its own (RFC 7493, 2.2).
const maxInteger = 1<<53 - 1

func (c *canonicaliser) number(out []byte) ([]byte, error) {
	end := c.at
	for end < len(c.in) && strings.IndexByte("+-.0123456789Ee", c.in[end]) >= 0 {
		end++
	}
	literal := string(c.in[c.at:end])
	f, err := strconv.ParseFloat(literal, 64)
	if err != nil || math.Abs(f) > maxInteger {
		return nil, errors.New("a number beyond ±(2^53−1)")
	}
	c.at = end
	if f == 0 {
		mantissa, _, _ := strings.Cut(strings.ToLower(literal), "e")
		if strings.ContainsAny(mantissa, "123456789") {
			return nil, errors.New("a number too small to be told from zero")
		}
		return append(out, '0'), nil // -0 too
	}
	// ECMA-262, Number::toString. At the upper end maxInteger comes first.
	if math.Abs(f) >= 1e-6 {
		return strconv.AppendFloat(out, f, 'f', -1, 64), nil
	}
	out = strconv.AppendFloat(out, f, 'e', -1, 64)
	// Go pads the exponent to two digits, ECMAScript does not.
	if n := len(out); out[n-2] == '0' && out[n-3] == '-' {
		out = append(out[:n-2], out[n-1])
	}
	return out, nil
}
