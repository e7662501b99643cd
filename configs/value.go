package configs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
)

// refusal says why a value is not accepted: what follows the key in a message,
// and the cure.
type refusal struct {
	what, hint string
	key        bool // it is about the key
}

func refused(what, hint string) *refusal { return &refusal{what: what, hint: hint} }

// binding ties a scalar of the file to its place in the Config.
type binding struct {
	typ string // as the reference says it
	// set takes the text after expansion. A refusal whose what begins with
	// "wants" is followed by the value, if that may be shown.
	set func(text string) *refusal
	// show returns the effective value as YAML; "" when it is not set.
	show func() string
	// note returns what belongs to the value and is not in it, such as the digest
	// of a file; "" when there is nothing. nil is always nothing.
	note func() string
	// hide keeps the value out of messages and excerpts.
	hide bool
	// shape is made when it is asked for: a schema is rarer than a value.
	shape func() shape
}

const maxPath = 4096 // octets

func textOf(p *string) *binding {
	return &binding{typ: "text", shape: textShape, show: func() string { return quoteSet(*p) }, set: func(s string) *refusal {
		if r := checkText(s); r != nil {
			return r
		}
		*p = s
		return nil
	}}
}

// filledOf is textOf without the empty text.
func filledOf(p *string) *binding {
	b := textOf(p)
	b.shape = func() shape {
		s := textShape()
		s.short = 1
		return s
	}
	set := b.set
	b.set = func(s string) *refusal {
		if s == "" {
			return refused("is empty", "give it a value, or leave the key out")
		}
		return set(s)
	}
	return b
}

func textShape() shape { return shape{long: event.MaxText, plain: anyPlain()} }

func anyPlain() []string { return []string{"number", "boolean"} }

// checkText accepts what an event carries unchanged.
func checkText(s string) *refusal {
	switch {
	case len(s) > event.MaxText:
		return refused(fmt.Sprintf("is longer than %d octets", event.MaxText), "shorten it")
	case event.Text(s) != s:
		return refused("holds an invisible, control or direction-changing character", "write one line of visible characters")
	}
	return nil
}

func nameOf(p *string) *binding {
	sh := func() shape {
		return shape{pattern: namePattern, plain: []string{"integer", "boolean"}, most: math.MaxInt64}
	}
	return &binding{typ: "name", shape: sh, show: func() string { return quoteSet(*p) }, set: func(s string) *refusal {
		if !isName(s) {
			return refused(
				"wants a name of a-z, 0-9, _ and -, at most 63 long, that begins with a letter or digit",
				"it becomes part of event ids and subjects; for other text use labels or owner",
			)
		}
		*p = s
		return nil
	}}
}

// isName holds to [a-z0-9][a-z0-9_-]{0,62}.
func isName(s string) bool {
	return s != "" && len(s) <= 63 && s[0] != '_' && s[0] != '-' && only(s, "_-")
}

// isSubject reports whether s is a subject prefix: names between dots.
func isSubject(s string) bool {
	if len(s) > 128 {
		return false
	}
	for token := range strings.SplitSeq(s, ".") {
		if token == "" || !only(token, "_-") {
			return false
		}
	}
	return true
}

// only reports whether s holds nothing but a-z, 0-9 and the extra octets.
func only(s, extra string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && !strings.ContainsRune(extra, r)
	})
}

// pathOf keeps the path as the decoder resolves it.
func pathOf(p *string, resolve func(string) string) *binding {
	return &binding{typ: "path", hide: true, shape: pathShape, show: func() string { return quoteSet(*p) }, set: func(s string) *refusal {
		if r := checkPath(s); r != nil {
			return r
		}
		*p = resolve(s)
		return nil
	}}
}

func pathShape() shape {
	return shape{pattern: literal(`\p{Cc}`), short: 1, long: maxPath, plain: anyPlain()}
}

func checkPath(s string) *refusal {
	switch {
	case s == "":
		return refused("is empty", "name a file, or leave the key out")
	case len(s) > maxPath || !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return refused("is no path of a file", "name the file that holds the value; the value itself does not belong here")
	}
	return nil
}

// choiceOf takes one of a few words. Those of later belong to the contract and
// are not built.
func choiceOf(p *string, choices []string, later ...string) *binding {
	return &binding{typ: "`" + strings.Join(choices, "`, `") + "`", shape: func() shape { return shape{enum: choices} }, show: func() string { return *p }, set: func(s string) *refusal {
		switch {
		case slices.Contains(choices, s):
			*p = s
			return nil
		case slices.Contains(later, s):
			return refused(s+" is not supported by this version", "take "+listing(choices, "or"))
		}
		r := refused("wants "+listing(choices, "or"), "letters and case as here")
		if near := nearest(s, choices); near != "" {
			r.hint = fmt.Sprintf("did you mean %q?", near)
		}
		return r
	}}
}

func boolOf(p *bool) *binding {
	sh := func() shape { return shape{pattern: "true|false", plain: []string{"boolean"}} }
	return &binding{typ: "true/false", shape: sh, show: func() string { return strconv.FormatBool(*p) }, set: func(s string) *refusal {
		switch s {
		case "true", "false":
			*p = s == "true"
			return nil
		}
		r := refused("wants true or false", "yes, no, on and off are texts in YAML 1.2")
		if l := strings.ToLower(s); l == "true" || l == "false" {
			r.hint = "write it in lower case: " + l
		}
		return r
	}}
}

func sizeOf(p *int64, least, most int64) *binding {
	show := func() string {
		if *p == 0 {
			return ""
		}
		return formatSize(*p)
	}
	bounds := fmt.Sprintf("wants a size between %s and %s", formatSize(least), formatSize(most))
	sh := func() shape {
		return shape{pattern: sizePattern(least, most), plain: []string{"integer"}, least: least, most: most}
	}
	return &binding{typ: "size", shape: sh, show: show, set: func(s string) *refusal {
		v, ok := parseSize(s)
		switch {
		case !ok:
			return refused("wants a size such as 512KiB or 4MiB", "units are KiB, MiB and GiB, without a space; a plain number is octets")
		case v < least || v > most:
			return refused(bounds, "a JWKS is rarely over 100KiB; the default is 4MiB")
		}
		*p = v
		return nil
	}}
}

// countOf is a plain number from least to most.
func countOf(p *int64, least, most int64) *binding {
	show := func() string {
		if *p == 0 {
			return ""
		}
		return strconv.FormatInt(*p, 10)
	}
	sh := func() shape {
		return shape{pattern: between(least, most), plain: []string{"integer"}, least: least, most: most}
	}
	return &binding{typ: "number", shape: sh, show: show, set: func(s string) *refusal {
		v, err := strconv.ParseInt(s, 10, 64)
		if err != nil || v < least || v > most || s != strconv.FormatInt(v, 10) {
			return refused(fmt.Sprintf("wants a number from %d to %d", least, most), "decimal digits, without a unit")
		}
		*p = v
		return nil
	}}
}

// parseSize reads octets, plain or in KiB, MiB or GiB.
func parseSize(s string) (int64, bool) {
	shift := 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if number, found := strings.CutSuffix(s, unit); found {
			s, shift = number, bits
			break
		}
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, false
	}
	return int64(n) << shift, true
}

func formatSize(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return strconv.FormatInt(n>>30, 10) + "GiB"
	case n >= 1<<20 && n%(1<<20) == 0:
		return strconv.FormatInt(n>>20, 10) + "MiB"
	case n >= 1<<10 && n%(1<<10) == 0:
		return strconv.FormatInt(n>>10, 10) + "KiB"
	}
	return strconv.FormatInt(n, 10)
}

func quoteSet(s string) string {
	if s == "" {
		return ""
	}
	return strconv.Quote(s) // its escapes are all escapes of YAML too
}
