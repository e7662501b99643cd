package jwks

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// found is what the token pass learns of a body.
type found struct {
	shape    Shape
	reason   string
	offset   int64
	complete bool // one whole JSON value and nothing after it
	cuts     []cut
}

// cut is a span of the body that must not be kept.
type cut struct {
	start, end int
	array      bool   // an array, which stays one: the shape of a document is not ours to change
	mark       string // what stands in its place; "" for Redacted
}

// frame is an array or object that is open.
type frame struct {
	start   int
	object  bool
	wantKey bool // of an object: the next string is a name
	filled  bool
	keys    bool // the array of the top-level member keys
	text    bool // of an array: a string in it holds a private key
}

// scanner is the token pass. It decodes nothing but names.
type scanner struct {
	body   []byte
	dec    *jsontext.Decoder
	frames []frame
	cuts   []cut
	seek   bool // a string may hold private key text

	top      jsontext.Kind
	topAt    int
	keys     int // how often the exact name stands at the top level
	variants int // names that equal it but for case
	keysKind jsontext.Kind
	keysAt   int
	entries  int

	atKeys  bool // the value to come is that of keys
	private bool // the value to come is that of a private member
	hidden  int  // 1 + the depth of the open private value; 0 outside
}

// scan reads the body once with a strict tokeniser. Repeated names and
// ill-formed text are let through: they are defects, not syntax.
func scan(body []byte) found {
	s := &scanner{
		body: body,
		dec: jsontext.NewDecoder(bytes.NewBuffer(body),
			jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)),
		// Without the dashes of an armour, an escape that could spell them, or
		// JSON within a string (which needs escapes too), no string needs a look.
		seek: bytes.Contains(body, []byte(dashes)) || bytes.IndexByte(body, '\\') >= 0,
	}
	if f, ok := s.tokens(); !ok {
		return f
	}
	at := s.dec.InputOffset()
	if _, err := s.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return found{shape: ShapeTrailing, reason: "more octets after the JSON value", offset: at}
	}
	f := s.shape()
	f.complete, f.cuts = true, s.cuts
	return f
}

// tokens reads up to the end of the top-level value; when that fails, ok is
// false and found says how.
func (s *scanner) tokens() (f found, ok bool) {
	end := 0
	for {
		tok, err := s.dec.ReadToken()
		if err != nil {
			return s.broken(err), false
		}
		// The separators between two tokens are no token of jsontext.
		start := end
		for strings.IndexByte(" \t\r\n,:", s.body[start]) >= 0 {
			start++
		}
		end = int(s.dec.InputOffset())
		switch kind := tok.Kind(); kind {
		case '{', '[':
			if len(s.frames) == MaxDepth {
				return found{shape: ShapeTooDeep, reason: "arrays and objects nested deeper than 64", offset: int64(start)}, false
			}
			s.open(kind, start)
		case '}', ']':
			s.close(end)
		default:
			s.scalar(kind, start, end)
		}
		if len(s.frames) == 0 {
			return found{}, true
		}
	}
}

func (s *scanner) broken(err error) found {
	at := s.dec.InputOffset()
	if se, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = se.ByteOffset
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return found{shape: ShapeTruncated, reason: "the JSON text ends too soon", offset: at}
	}
	// The text of the error may quote the body.
	return found{shape: ShapeNotJSON, reason: "a syntax error", offset: at}
}

// begin notes that a value starts in the innermost frame.
func (s *scanner) begin(kind jsontext.Kind, start int) {
	switch len(s.frames) {
	case 0:
		s.top, s.topAt = kind, start
		return
	case 1:
		if s.atKeys && s.keys == 1 {
			s.keysKind, s.keysAt = kind, start
		}
	case 2:
		if s.frames[1].keys {
			s.entries++
		}
	}
	f := &s.frames[len(s.frames)-1]
	f.wantKey, f.filled = f.object, true
}

func (s *scanner) open(kind jsontext.Kind, start int) {
	s.begin(kind, start)
	if s.private && s.hidden == 0 {
		s.hidden = len(s.frames) + 1
	}
	s.frames = append(s.frames, frame{
		start: start, object: kind == '{', wantKey: kind == '{',
		keys: s.atKeys && kind == '[' && len(s.frames) == 1,
	})
	s.private, s.atKeys = false, false
}

func (s *scanner) close(end int) {
	f := s.frames[len(s.frames)-1]
	s.frames = s.frames[:len(s.frames)-1]
	switch {
	case s.hidden == len(s.frames)+1:
		s.hidden = 0
		if f.filled {
			s.cuts = append(s.cuts, cut{start: f.start, end: end})
		}
	case f.text && f.keys:
		s.cutLines(f.start, end)
	case f.text:
		// A private key written line by line: the other lines go with it.
		for len(s.cuts) > 0 && s.cuts[len(s.cuts)-1].start >= f.start {
			s.cuts = s.cuts[:len(s.cuts)-1]
		}
		s.cuts = append(s.cuts, cut{start: f.start, end: end, array: true})
	}
}

// cutLines cuts every string of the array keys, for the same reason. The array
// itself and the entries that are objects stay: they are not ours to change.
func (s *scanner) cutLines(start, end int) {
	from := len(s.cuts)
	for from > 0 && s.cuts[from-1].start >= start {
		from--
	}
	for i := skipSpace(s.body, start+1); i < end-1; {
		after := skipValue(s.body, i)
		if s.body[i] == '"' {
			s.cuts = append(s.cuts, cut{start: i, end: after})
		}
		if i = skipSpace(s.body, after); s.body[i] == ',' {
			i = skipSpace(s.body, i+1)
		}
	}
	inner := s.cuts[from:]
	slices.SortFunc(inner, func(a, b cut) int { return a.start - b.start })
	s.cuts = s.cuts[:from+len(slices.Compact(inner))] // lines that were known before stand there twice
}

func (s *scanner) scalar(kind jsontext.Kind, start, end int) {
	raw := s.body[start:end]
	if n := len(s.frames); n > 0 && s.frames[n-1].wantKey {
		s.name(raw, start, end)
		return
	}
	s.begin(kind, start)
	private := s.private
	s.private, s.atKeys = false, false
	switch {
	case s.hidden > 0:
	case private:
		if !emptyValue(raw) && !redacted(raw) {
			s.cuts = append(s.cuts, cut{start: start, end: end})
		}
	case kind == '"' && s.seek && holdsPrivateText(raw):
		s.cuts = append(s.cuts, cut{start: start, end: end})
		if n := len(s.frames); n > 0 && !s.frames[n-1].object {
			s.frames[n-1].text = true
		}
	}
}

func (s *scanner) name(raw []byte, start, end int) {
	f := &s.frames[len(s.frames)-1]
	f.wantKey = false
	f.filled = true
	if s.hidden > 0 {
		return
	}
	if s.seek && holdsPrivateText(raw) {
		// What a key's header names is the key.
		s.cuts = append(s.cuts, cut{start: start, end: end})
		s.private = true
		return
	}
	name := unquote(raw)
	_, s.private = privateName(name)
	if len(s.frames) > 1 {
		return
	}
	switch {
	case string(name) == "keys":
		s.keys++
		s.atKeys = true
	case equalFold(name, "keys"):
		s.variants++
	}
}

// shape judges a body that is one whole JSON value.
func (s *scanner) shape() found {
	at, f := int64(s.topAt), found{}
	switch s.top {
	case 'n':
		return found{shape: ShapeNull, reason: "null where an object should stand", offset: at}
	case 't', 'f':
		return found{shape: ShapeBoolean, reason: "a boolean where an object should stand", offset: at}
	case '0':
		return found{shape: ShapeNumber, reason: "a number where an object should stand", offset: at}
	case '"':
		return found{shape: ShapeString, reason: "a string where an object should stand", offset: at}
	case '[':
		return found{shape: ShapeArray, reason: "an array where an object should stand", offset: at}
	}
	switch {
	case s.keys == 0 && s.variants > 0:
		f = found{shape: ShapeKeysCase, reason: "no member keys, but one that equals it but for case", offset: at}
	case s.keys == 0:
		f = found{shape: ShapeNoKeys, reason: "an object without the member keys", offset: at}
	case s.keys > 1:
		f = found{shape: ShapeRepeatedKeys, reason: "the member keys stands more than once", offset: int64(s.keysAt)}
	case s.keysKind == 'n':
		f = found{shape: ShapeKeysNull, reason: "keys is null", offset: int64(s.keysAt)}
	case s.keysKind != '[':
		f = found{shape: ShapeKeysType, reason: "keys is no array", offset: int64(s.keysAt)}
	case s.entries > MaxKeys:
		f = found{shape: ShapeTooMany, reason: "more than 4096 entries in keys", offset: int64(s.keysAt)}
	default:
		f.shape = ShapeJWKS
	}
	return f
}

// redacted reports whether a string, given with its quotes, stands in place of a
// secret.
func redacted(raw []byte) bool {
	switch string(raw) {
	case `"` + Redacted + `"`, `"` + redactedProven + `"`, `"` + redactedPublic + `"`:
		return true
	}
	return false
}

// replace returns the body without its cuts: the body itself when there are
// none.
func replace(body []byte, cuts []cut) []byte {
	if len(cuts) == 0 {
		return body
	}
	out := make([]byte, 0, len(body))
	at := 0
	for _, c := range cuts {
		out = append(out, body[at:c.start]...)
		if c.array {
			out = append(out, `["`+Redacted+`"]`...)
		} else {
			out = append(out, `"`+cmp.Or(c.mark, Redacted)+`"`...)
		}
		at = c.end
	}
	return append(out, body[at:]...)
}
