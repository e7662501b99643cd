package jwks

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Bounds of the oracle. Its cost for a hostile key is many times ours.
const (
	maxOracleEntry = 64 << 10 // octets of one entry
	maxOracleSet   = 1 << 20  // octets of the document
	maxOracleText  = 200      // octets of a reason
)

// Oracle asks go-jose, which stands for the consumers built on it, what it makes
// of the set: one OracleRefuses for each entry that it does not read, and
// OracleRefusesSet or OracleDiffersSet for the set as a whole, decoded as those
// consumers do. It is never identity and its defects are never in a digest. A
// set that is not usable has none.
//
// It sees the redacted document without its private members: a private key would
// cost it milliseconds of arithmetic each, and must not reach it anyway. In an
// oct key another, public value stands for k. Entries over 64 KiB and documents
// over 1 MiB are not tried; the Text says so. It is slow: call it on change.
func (s *Set) Oracle() []Defect {
	if !s.Usable() {
		return nil
	}
	var n notes
	if len(s.Body) > maxOracleSet {
		return []Defect{{Code: OracleRefusesSet, Text: "not tried: the document is over 1 MiB"}}
	}
	st := stripper{in: s.Body}
	body := st.document()
	for i, span := range st.entries {
		raw := body[span[0]:span[1]]
		reason := "not tried: the entry is over 64 KiB"
		if len(raw) <= maxOracleEntry {
			var key jose.JSONWebKey
			reason = refusal(func() error { return key.UnmarshalJSON(raw) })
		}
		if reason != "" {
			n.list = append(n.list, Defect{Code: OracleRefuses, Pointer: entryPointer(i), Text: reason})
		}
	}
	var set jose.JSONWebKeySet
	switch reason := refusal(func() error { return json.Unmarshal(body, &set) }); {
	case reason != "":
		n.list = append(n.list, Defect{Code: OracleRefusesSet, Text: reason})
	case len(set.Keys) != len(s.Keys):
		n.list = append(n.list, Defect{Code: OracleDiffersSet, Text: fmt.Sprintf("reads %d keys of %d", len(set.Keys), len(s.Keys))})
	}
	return n.sorted()
}

// refusal runs one decode and returns why it failed, "" when it did not. The
// decoder is not ours and the octets are hostile: a panic is one more reason.
func refusal(decode func() error) (reason string) {
	defer func() {
		if recover() != nil {
			reason = "panics"
		}
	}()
	if err := decode(); err != nil {
		return plain(err)
	}
	return ""
}

// plain makes text of an error of go-jose that can be shown: it quotes nothing
// of the document.
func plain(err error) string {
	const prefix = "go-jose/go-jose: "
	text := err.Error()
	switch {
	case strings.HasPrefix(text, prefix):
		text, _, _ = strings.Cut(text[len(prefix):], ": encoding/hex") // which names an octet
	case strings.HasPrefix(text, "illegal base64 data"):
	case strings.Contains(text, "duplicate key"):
		return "a member stands more than once"
	default:
		if _, ok := errors.AsType[*json.UnmarshalTypeError](err); ok || strings.Contains(text, "cannot unmarshal") {
			return "a member of another JSON type than expected"
		}
		return "does not decode"
	}
	// From the first quotation mark to the last: a value may hold marks of its
	// own.
	const marks = "'\"`"
	if i := strings.IndexAny(text, marks); i >= 0 {
		j := strings.LastIndexAny(text, marks)
		if i == j {
			j = len(text) - 1
		}
		text = text[:i] + "(…)" + text[j+1:]
	}
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' && r != '…' {
			return -1
		}
		return r
	}, text)
	return text[:min(len(text), maxOracleText)]
}

// stripper writes a document without its private members and remembers where
// the entries of keys stand in what it wrote.
type stripper struct {
	in      []byte
	at      int
	out     []byte
	entries [][2]int
}

func (s *stripper) document() []byte {
	s.out = make([]byte, 0, len(s.in))
	s.at = skipSpace(s.in, 0)
	s.value(0, false)
	return s.out
}

// value copies one value; keys says that it is the array of the entries.
func (s *stripper) value(depth int, keys bool) {
	switch s.in[s.at] {
	case '{':
		s.object(depth)
	case '[':
		s.array(depth, keys)
	default:
		end := skipValue(s.in, s.at)
		s.out = append(s.out, s.in[s.at:end]...)
		s.at = end
	}
}

func (s *stripper) array(depth int, keys bool) {
	s.out = append(s.out, '[')
	first := true
	for s.at = skipSpace(s.in, s.at+1); s.in[s.at] != ']'; s.separator() {
		if !first {
			s.out = append(s.out, ',')
		}
		first = false
		start := len(s.out)
		s.value(depth+1, false)
		if keys {
			s.entries = append(s.entries, [2]int{start, len(s.out)})
		}
	}
	s.at++
	s.out = append(s.out, ']')
}

func (s *stripper) object(depth int) {
	s.out = append(s.out, '{')
	first := true
	for s.at = skipSpace(s.in, s.at+1); s.in[s.at] != '}'; s.separator() {
		end := skipValue(s.in, s.at)
		raw := s.in[s.at:end]
		name := unquote(raw)
		s.at = skipSpace(s.in, skipSpace(s.in, end)+1)
		private, secret := privateName(name)
		if secret && string(name) != "k" {
			s.at = skipValue(s.in, s.at)
			continue
		}
		if !first {
			s.out = append(s.out, ',')
		}
		first = false
		s.out = append(append(s.out, raw...), ':')
		if private == "k" {
			s.at = skipValue(s.in, s.at)
			s.out = append(s.out, `"AA"`...)
			continue
		}
		s.value(depth+1, depth == 0 && string(name) == "keys")
	}
	s.at++
	s.out = append(s.out, '}')
}

// separator passes the comma after a member or an element, if there is one.
func (s *stripper) separator() {
	s.at = skipSpace(s.in, s.at)
	if s.in[s.at] == ',' {
		s.at = skipSpace(s.in, s.at+1)
	}
}
