package jwks

import (
	"bytes"
	"unicode/utf8"
)

// Parse reads the body of an answer. It takes any octets, never fails and
// never panics: what is wrong is told by the Shape and the defects of the set
// that it returns, which is never nil.
//
// The way: a strict token pass settles the shape and finds every secret;
// the secrets are replaced; only then is anything decoded, from the replaced
// document alone. Nothing in the set can therefore hold one, and parsing
// Set.Body again gives the same set. Work is linear in the body; the caller
// bounds its length.
//
// Set.Body aliases body when nothing had to be replaced: the caller must not
// write to body afterwards.
func Parse(body []byte) *Set {
	s := &Set{Shape: ShapeJWKS}
	if sh, reason, at := sniff(body); sh != "" {
		s.Shape, s.Reason, s.Offset = sh, reason, at
		s.HeldSecret = looksSecret(body)
		return s
	}
	f := scan(body)
	s.Shape, s.Reason, s.Offset = f.shape, f.reason, f.offset
	if !f.complete {
		s.HeldSecret = looksSecret(body)
		return s
	}
	if s.Shape == ShapeJWKS {
		prove(body, f.cuts)
	}
	s.Body = replace(body, f.cuts)
	w := newWalker(s.Body)
	w.document(s.Shape == ShapeJWKS)
	s.HeldSecret = w.secret
	s.Keys = w.keys
	if s.Shape == ShapeJWKS {
		judge(s.Keys, &w.doc)
		if w.sequenced == 1 {
			s.Sequence, s.HasSequence = w.number, true
		}
	}
	s.Defects = w.doc.sorted()
	if s.Shape == ShapeJWKS {
		s.Digest = Digest(s.Keys, s.Defects)
	}
	return s
}

// Identities maps each identity to the indices of its entries in Keys.
func (s *Set) Identities() map[Identity][]int {
	out := make(map[Identity][]int, len(s.Keys))
	for i := range s.Keys {
		out[s.Keys[i].ID] = append(out[s.Keys[i].ID], i)
	}
	return out
}

// sniff tells the bodies that are not JSON text at all. Shape is "" for the
// rest.
func sniff(body []byte) (shape Shape, reason string, offset int64) {
	has := func(prefix string) bool { return bytes.HasPrefix(body, []byte(prefix)) }
	start := skipSpace(body, 0)
	switch {
	case start == len(body):
		return ShapeEmpty, "nothing but white space", 0
	case has("\xef\xbb\xbf"):
		// RFC 8259 section 8.1: a byte order mark must not be added, and a
		// parser may take it for an error. Decoders differ, so we do.
		return ShapeBOM, "starts with a byte order mark", 0
	case has("\xff\xfe"), has("\xfe\xff"), has("\x00\x00\xfe\xff"):
		return ShapeEncoding, "UTF-16 or UTF-32 by its byte order mark", 0
	case has("\x1f\x8b"):
		return ShapeEncoding, "gzip", 0
	case has("\x28\xb5\x2f\xfd"):
		return ShapeEncoding, "zstandard", 0
	case bytes.IndexByte(body[:min(4, len(body))], 0) >= 0:
		// RFC 4627 section 3: the first two characters of a JSON text are
		// ASCII, so an octet of zero among the first four is UTF-16 or UTF-32.
		return ShapeEncoding, "UTF-16 or UTF-32 by its octets of zero", 0
	case body[start] == '<':
		return ShapeHTML, "markup where JSON should stand", int64(start)
	}
	return "", "", 0
}

// mayBeIllFormed reports whether the text may hold invalid UTF-8 or an unpaired
// surrogate; most documents hold neither, and are then not looked at string by
// string.
func mayBeIllFormed(body []byte) bool {
	return !utf8.Valid(body) || bytes.Contains(body, []byte(`\ud`)) || bytes.Contains(body, []byte(`\uD`))
}
