package configs

import (
	"fmt"
	"strings"
)

// nearest returns the candidate that s was probably meant to be, "" when none
// is near: one that continues s after an underscore, or the one with the
// smallest edit distance of at most a third of its length.
func nearest(s string, candidates []string) string {
	const longest = 64
	if s == "" || len(s) > longest {
		return ""
	}
	s = strings.ReplaceAll(strings.ToLower(s), "-", "_")
	best, least := "", len(s)
	for _, c := range candidates {
		if strings.HasPrefix(c, s+"_") {
			return c
		}
		if n := distance(s, c); n <= max(1, len(c)/3) && n < least {
			best, least = c, n
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and
// transpositions of neighbours between two short texts (optimal string
// alignment), in octets.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// listing joins words as a sentence does: a, b or c.
func listing(words []string, last string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	n := len(words) - 1
	return strings.Join(words[:n], ", ") + " " + last + " " + words[n]
}

// unknown suggests what was meant by a key.
func (d *decoder) unknown(v value, what string, fields []field) {
	if len(d.errs) >= maxProblems {
		return // a suggestion costs more than a key
	}
	key, known := v.key.Value, make([]string, 0, len(fields))
	for i := range fields {
		known = append(known, fields[i].key)
	}
	hint := ""
	if near := nearest(key, known); near != "" {
		hint = fmt.Sprintf("did you mean %q?", near)
	} else if places := new(Config).places(key); len(places) > 0 {
		hint = fmt.Sprintf("%s is a key of %s", key, listing(places, "and"))
	} else {
		built := known[:0]
		for i := range fields {
			if fields[i].built() {
				built = append(built, fields[i].key)
			}
		}
		hint = "known keys: " + strings.Join(built, ", ")
	}
	d.fail(v, true, fmt.Sprintf("unknown key %s in %s", quoteKey(v.key), what), hint)
}

// places lists where in the catalogue a key stands.
func (c *Config) places(key string) []string {
	var out []string
	walk(c.fields(nil), "", func(path string, f *field) {
		if f.key != key || !f.built() {
			return
		}
		place := strings.TrimSuffix(strings.TrimSuffix(path, key), ".")
		if place == "" {
			place = "the top level"
		}
		if f.only != "" {
			place += " of type " + f.only
		}
		out = append(out, place)
	})
	return out
}

// walk visits each field with its path, such as endpoints[].name.
func walk(fields []field, prefix string, visit func(path string, f *field)) {
	for i := range fields {
		f := &fields[i]
		visit(prefix+f.key, f)
		walk(f.section, prefix+f.key+".", visit)
		if f.list != nil {
			inner := prefix + f.key + "[]."
			if f.list.keyed {
				inner = prefix + f.key + ".*."
			}
			walk(f.list.element, inner, visit)
		}
	}
}
