package event_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
)

func TestText(t *testing.T) {
	t.Parallel()
	const r = "\uFFFD"
	for name, c := range map[string]struct{ in, want string }{
		"plain":                  {"2026-11-a", "2026-11-a"},
		"empty":                  {"", ""},
		"letters":                {"Schlüssel 鍵 🔑 ключ", "Schlüssel 鍵 🔑 ключ"},
		"quotes and markup":      {`<b>"'\`, `<b>"'\`},
		"combining mark":         {"e\u0301", "e\u0301"},
		"wide spaces":            {"a\u00a0b\u2003c\u3000d", "a\u00a0b\u2003c\u3000d"},
		"replacement kept":       {r, r},
		"NUL and newline":        {"a\x00b\nc\rd\te", "a" + r + "b" + r + "c" + r + "d" + r + "e"},
		"terminal escape":        {"\x1b[31mred", r + "[31mred"},
		"DEL":                    {"\x7f", r},
		"C1":                     {"\u0080\u009b", r + r},
		"invalid UTF-8":          {"a\xffb\xc3", "a" + r + "b" + r},
		"encoded surrogate":      {"\xed\xa0\x80", r + r + r},
		"bidirectional":          {"\u202ea\u2066b\u200fc\u061c", r + "a" + r + "b" + r + "c" + r},
		"zero width":             {"k\u200bi\u200cd\u200d\u2060", "k" + r + "i" + r + "d" + r + r},
		"byte order mark":        {"\ufeffa", r + "a"},
		"soft hyphen":            {"a\u00adb", "a" + r + "b"},
		"line and paragraph":     {"\u2028\u2029", r + r},
		"annotation":             {"\ufff9\ufffa\ufffb", r + r + r},
		"private use":            {"\ue000\U000F0000\U0010FFFD", r + r + r},
		"noncharacters":          {"\ufdd0\uffff\U0010FFFF", r + r + r},
		"tags":                   {"\U000E0041\U000E0001", r + r},
		"tags without a meaning": {"\U000E0000\U000E0FFF\ufff0", r + r + r},
		"variation selectors":    {"a\ufe0f\U000E0100", "a" + r + r},
		"invisible letters":      {"\u3164\u115f\uffa0\u034f", r + r + r + r},
		"at the cap":             {strings.Repeat("a", 512), strings.Repeat("a", 512)},
		"over the cap":           {strings.Repeat("a", 513), strings.Repeat("a", 509) + "…"},
		"cut between runes":      {strings.Repeat("a", 508) + "éééé", strings.Repeat("a", 508) + "…"},
		"grows over the cap":     {strings.Repeat("\x00", 171), strings.Repeat(r, 169) + "…"},
		"grows up to the cap":    {strings.Repeat("\x00", 170) + "ab", strings.Repeat(r, 170) + "ab"},
	} {
		if got := event.Text(c.in); got != c.want {
			t.Errorf("%s: Text(%+q) = %+q, want %+q", name, c.in, got, c.want)
		}
	}
}

func invisible(r rune) bool {
	return unicode.In(r, unicode.Cc, unicode.Cf, unicode.Co, unicode.Zl, unicode.Zp, unicode.Other_Default_Ignorable_Code_Point)
}

// Every rune of a category that no reader sees is replaced. Other
// unassigned runes stay: the next version of Unicode may give them a letter.
func TestTextCategories(t *testing.T) {
	t.Parallel()
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if utf8.ValidRune(r) && invisible(r) {
			if got := event.Text(string(r)); got != "\uFFFD" {
				t.Fatalf("Text(%U) = %+q", r, got)
			}
		}
	}
}

func TestTextOrNil(t *testing.T) {
	t.Parallel()
	if got := event.TextOrNil(""); got != nil {
		t.Errorf("TextOrNil of nothing is %q", *got)
	}
	if got := event.TextOrNil("a\x00"); got == nil || *got != "a\uFFFD" {
		t.Errorf("TextOrNil = %v", got)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "kid", "a\x00\xff\u202e", strings.Repeat("é", 300), strings.Repeat("\xf0\x9f\x94\x91", 128) + "a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := event.Text(s)
		if len(got) > event.MaxText || !utf8.ValidString(got) {
			t.Errorf("Text(%+q): %d octets, %+q", s, len(got), got)
		}
		if again := event.Text(got); again != got {
			t.Errorf("not idempotent: %+q, then %+q", got, again)
		}
		for _, r := range got {
			if invisible(r) {
				t.Errorf("Text(%+q) holds %U", s, r)
			}
		}
		if len(s) > event.MaxText && len(got) < event.MaxText-5 && utf8.ValidString(s) {
			t.Errorf("Text of %d octets has only %d", len(s), len(got))
		}
	})
}
