package event

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxText is the largest size of a text an issuer controls, in octets.
const MaxText = 512

const ellipsis = "…"

// Text makes a text that an issuer controls fit to be stored and shown: at most
// MaxText octets, cut between runes with an ellipsis, and with U+FFFD in place
// of each octet that is not UTF-8 and of each rune that a reader cannot see or
// that changes how its neighbours are shown. Text(Text(s)) == Text(s).
//
// Other spaces, combining marks and look-alike letters stay: they are visible,
// and telling them apart is the work of a detection.
func Text(s string) string { return limit(s, MaxText) }

// TextOrNil is Text, and nil for the empty string.
func TextOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return new(Text(s))
}

// clean is Text without the cap.
func clean(s string) string { return limit(s, -1) }

// limit replaces what is unfit to be shown and cuts the result to at most
// octets, the ellipsis included. A negative number means no cap; a cap below
// the size of the ellipsis is not meant to be used.
func limit(s string, octets int) string {
	if fits(s) && (octets < 0 || len(s) <= octets) {
		return s
	}
	var b strings.Builder
	room := 0 // end of the last rune after which the ellipsis still fits
	for _, r := range s {
		if unfit(r) {
			r = utf8.RuneError
		}
		// A hostile text may be megabytes long: stop at the first rune too many.
		if octets >= 0 && b.Len()+utf8.RuneLen(r) > octets {
			return b.String()[:room] + ellipsis
		}
		b.WriteRune(r)
		if b.Len() <= octets-len(ellipsis) {
			room = b.Len()
		}
	}
	return b.String()
}

// cutRunes cuts a text that is clean already to at most n characters, the
// ellipsis included.
func cutRunes(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + ellipsis
}

func fits(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unfit) < 0
}

// unfit reports whether a rune is invisible or steers what stands beside it.
// The category Cf alone is not enough: the Hangul fillers are letters, the
// combining grapheme joiner and the variation selectors are marks, the line and
// paragraph separators are separators, and the unassigned tag characters have
// no category at all. All of them have been used to hide text.
func unfit(r rune) bool {
	if r < utf8.RuneSelf {
		return r < ' ' || r == 0x7f
	}
	return unicode.In(r,
		unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp,
		unicode.Other_Default_Ignorable_Code_Point, // fillers, U+034F, U+FFF0 to U+FFF8, tags
		unicode.Variation_Selector,
		unicode.Noncharacter_Code_Point,
	)
}
