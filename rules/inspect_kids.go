package rules

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Codes of set.ambiguous that the parser has no defect for.
const (
	lookalikeKid = jwks.Code("lookalike_kid")
	unsafeKid    = jwks.Code("kid_unsafe")
)

// lookalikes finds kids that people, and systems that fold or trim, take for one
// another, while they name different keys.
func lookalikes(s *jwks.Set) []Flaw {
	var out []Flaw
	first := map[string]*jwks.Key{} // by skeleton
	told := map[string]bool{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if k.Kid == "" {
			continue
		}
		sk := skeleton(k.Kid)
		f := first[sk]
		if f == nil {
			first[sk] = k
			continue
		}
		if f.Kid == k.Kid || f.ID == k.ID || told[sk] {
			continue
		}
		told[sk] = true
		n := ambiguity(lookalikeKid, k.Kid, []string{place(f), place(k)}, 2, "two kids that look alike name two keys: who looks sees one")
		n.ByChange = event.SeverityHigh
		out = append(out, n)
	}
	return out
}

func place(k *jwks.Key) string { return fmt.Sprintf("/keys/%d", k.Index) }

// skeleton maps texts that look alike to one text: compatibility forms, case,
// white space and what is not seen at all are folded, and letters of other
// scripts become the Latin ones that they are taken for (after Unicode Technical
// Standard 39, section 4, for letters that kids may plausibly hold).
func skeleton(kid string) string {
	s := kid
	if !ascii(s) {
		s = cases.Fold().String(strings.Map(capital, norm.NFKC.String(s)))
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Variation_Selector, r):
			continue
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		}
		b.WriteRune(confusable(r))
	}
	return strings.ReplaceAll(b.String(), "rn", "m")
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// capital is the letter that a capital is taken for whose small form looks like
// another one.
func capital(r rune) rune {
	switch r {
	case '\u0397', '\u041d':
		return 'h'
	case '\u039d':
		return 'n'
	case '\u03a5', '\u0423':
		return 'y'
	}
	return r
}

// confusable is the letter that a folded one is taken for.
func confusable(r rune) rune {
	switch r {
	case '0', '\u043e', '\u03bf', '\u0585':
		return 'o'
	case '1', '|', 'i', '\u0131', '\u0456', '\u03b9', '\u01c0', '\u04cf':
		return 'l'
	case '\u0430', '\u03b1', '\u0251':
		return 'a'
	case '\u0432', '\u03b2':
		return 'b'
	case '\u0441', '\u03f2':
		return 'c'
	case '\u0501':
		return 'd'
	case '\u0435', '\u03b5':
		return 'e'
	case '\u0261', '\u0581':
		return 'g'
	case '\u04bb', '\u043d':
		return 'h'
	case '\u0458', '\u03f3':
		return 'j'
	case '\u043a', '\u03ba':
		return 'k'
	case '\u043c', '\u03bc':
		return 'm'
	case '\u0578', '\u03b7':
		return 'n'
	case '\u0440', '\u03c1':
		return 'p'
	case '\u051b':
		return 'q'
	case '\u0455':
		return 's'
	case '\u0442', '\u03c4':
		return 't'
	case '\u057d', '\u03c5':
		return 'u'
	case '\u03bd', '\u0475':
		return 'v'
	case '\u051d', '\u03c9':
		return 'w'
	case '\u0445', '\u03c7':
		return 'x'
	case '\u0443', '\u03b3':
		return 'y'
	case '\u03b6':
		return 'z'
	case '\u2010', '\u2011', '\u2012', '\u2013', '\u2014', '\u2015', '\u2212', '\ufe63':
		return '-'
	}
	return r
}

// unsafeKids finds kids that do harm where they are used as a path, in a query, in
// a template or as a URL. None of 146 real issuers has one.
func unsafeKids(s *jwks.Set) []Flaw {
	var out []Flaw
	seen := map[string]bool{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if seen[k.Kid] || !harmful(k.Kid) {
			continue
		}
		seen[k.Kid] = true
		out = append(out, ambiguity(unsafeKid, k.Kid, []string{place(k)}, 1, "a kid reads as a path, a query, a template or a URL: it attacks who uses it unchecked"))
	}
	return out
}

func harmful(kid string) bool {
	for _, r := range kid {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || strings.ContainsRune("'\"`<>", r) {
			return true
		}
	}
	for _, part := range [...]string{"../", `..\`, "://", "${", "{{", "#{", "$(", "<%", "/etc/", "/dev/", "/proc/", "/tmp/", "/var/"} {
		if strings.Contains(kid, part) {
			return true
		}
	}
	return false
}
