package diff_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// key makes an entry: material, kid, and further words alg=, use=, ops=, form=,
// cert=. Material that starts with "!" could not be decoded, with "#" is a
// symmetric key.
func key(material, kid string, words ...string) jwks.Key {
	k := jwks.Key{ID: id(material), Kid: kid, Form: sum(material)}
	for _, w := range words {
		name, value, _ := strings.Cut(w, "=")
		switch name {
		case "alg":
			k.Alg = value
		case "use":
			k.Use = value
		case "ops":
			k.Ops, k.HasOps = strings.Split(value, "+"), true
		case "form":
			k.Form = sum(value)
		case "cert":
			k.Cert = sum(value)
		}
	}
	return k
}

func id(material string) jwks.Identity {
	out := jwks.Identity{Kind: jwks.Thumbprint, Sum: sum(material)}
	switch material[0] {
	case '!':
		out.Kind = jwks.Opaque
	case '#':
		out.Kind = jwks.Secret
	}
	return out
}

func sum(s string) (out [32]byte) {
	copy(out[:], s)
	return out
}

func name(id jwks.Identity) string { return strings.TrimRight(string(id.Sum[:]), "\x00") }

// tell writes changes as words: kind, material, what it replaced, codes, fields.
func tell(changes []diff.Change) []string {
	out := []string{}
	for _, c := range changes {
		var s strings.Builder
		s.WriteString(string(c.Kind) + " " + name(c.ID))
		if c.Previous != nil {
			s.WriteString(" for " + name(*c.Previous))
		}
		if len(c.Codes) > 0 {
			s.WriteString(" " + strings.Join(c.Codes, "+"))
		}
		for _, f := range c.Fields {
			s.WriteString(fmt.Sprintf(" %s:%s>%s", f.Name, strings.Join(f.Before, "+"), strings.Join(f.After, "+")))
		}
		out = append(out, s.String())
	}
	return out
}

func set(keys ...jwks.Key) []jwks.Key { return keys }

func TestPairsTwoSets(t *testing.T) {
	tests := []struct {
		name     string
		old, new []jwks.Key
		want     []string
		replaced bool
	}{
		{"equal", set(key("A", "a")), set(key("A", "a")), nil, false},
		{"order", set(key("A", "a"), key("B", "b")), set(key("B", "b"), key("A", "a")), nil, false},
		{"an identical entry repeated", set(key("A", "a")), set(key("A", "a"), key("A", "a")), nil, false},
		{"added", set(key("A", "a")), set(key("A", "a"), key("B", "b")), []string{"added B"}, false},
		{"removed", set(key("A", "a"), key("B", "b")), set(key("A", "a")), []string{"removed B"}, false},
		{"mutated alone is no replacement", set(key("A", "a")), set(key("B", "a")), []string{"mutated B for A new_material"}, false},
		{"mutated beside a survivor", set(key("A", "a"), key("B", "b")), set(key("C", "a"), key("B", "b")), []string{"mutated C for A new_material"}, false},
		{"one of one replaced under another kid", set(key("A", "a")), set(key("B", "b")), []string{"added B", "removed A"}, true},
		{
			"all of two mutated", set(key("A", "a"), key("B", "b")), set(key("C", "a"), key("D", "b")),
			[]string{"mutated C for A new_material", "mutated D for B new_material"},
			true,
		},
		{
			"one of one mutated and one added", set(key("A", "a")), set(key("B", "a"), key("C", "c")),
			[]string{"mutated B for A new_material", "added C"},
			false,
		},
		{
			"an enc key left standing is no comfort", set(key("A", "a"), key("E", "e", "use=enc")), set(key("B", "b"), key("E", "e", "use=enc")),
			[]string{"added B", "removed A"},
			true,
		},
		{
			"all signing keys gone, an enc key left", set(key("A", "a"), key("B", "b"), key("E", "e", "use=enc")), set(key("E", "e", "use=enc")),
			[]string{"removed A", "removed B"},
			true,
		},
		{
			"a lone signing key mutated beside an enc key", set(key("A", "a"), key("E", "e", "use=enc")), set(key("B", "a"), key("E", "e", "use=enc")),
			[]string{"mutated B for A new_material"},
			false,
		},
		{
			"enc keys alone do not make a replacement", set(key("A", "a"), key("E", "e", "use=enc")), set(key("A", "a"), key("F", "f", "use=enc")),
			[]string{"added F", "removed E"},
			false,
		},
		{"symmetric keys are of no class", set(key("#A", "a")), set(key("#B", "b")), []string{"added #B", "removed #A"}, false},
		{"unreadable keys count as signing keys", set(key("!A", "a")), set(key("!B", "b")), []string{"added !B", "removed !A"}, true},
		{"relabelled", set(key("A", "a")), set(key("A", "b")), []string{"relabelled A kid:a>b"}, false},
		{"a label appears", set(key("A", "")), set(key("A", "a")), []string{"relabelled A kid:>a"}, false},
		{"a label vanishes", set(key("A", "a")), set(key("A", "")), []string{"relabelled A kid:a>"}, false},
		{
			"an alias joins with an alg of its own", set(key("A", "a")), set(key("A", "a"), key("A", "a2", "alg=RS256")),
			[]string{"relabelled A kid:a>a+a2"},
			false,
		},
		{
			"the old kid goes to new material and the old material moves on", set(key("A", "a")), set(key("A", "b"), key("B", "a")),
			[]string{"mutated B for A new_material", "relabelled A kid:a>b"},
			false,
		},
		{
			"labels swapped", set(key("A", "a"), key("B", "b")), set(key("A", "b"), key("B", "a")),
			[]string{"mutated A for B rebound", "mutated B for A rebound"},
			false,
		},
		{"altered alg", set(key("A", "a", "alg=RS256")), set(key("A", "a", "alg=PS256")), []string{"altered A alg:RS256>PS256"}, false},
		{
			"altered use and ops at once is one change", set(key("A", "a", "use=enc")), set(key("A", "a", "use=sig", "ops=verify")),
			[]string{"altered A use:enc>sig key_ops:>verify"},
			false,
		},
		{
			"altered under a new label", set(key("A", "a", "use=enc")), set(key("A", "b", "use=sig")),
			[]string{"relabelled A kid:a>b", "altered A use:enc>sig"},
			false,
		},
		{"reencoded", set(key("A", "a", "form=1")), set(key("A", "a", "form=2")), []string{"reencoded A"}, false},
		{"recertified", set(key("A", "a", "cert=1")), set(key("A", "a", "cert=2")), []string{"recertified A"}, false},
		{"a certificate appears", set(key("A", "a")), set(key("A", "a", "cert=2")), []string{"recertified A"}, false},
		{
			"an alias without certificate", set(key("A", "a", "cert=1")), set(key("A", "a", "cert=1"), key("A", "b")),
			[]string{"relabelled A kid:a>a+b"},
			false,
		},
		{
			"a kid that repeats binds nothing", set(key("A", "a"), key("B", "a")), set(key("A", "a"), key("C", "a")),
			[]string{"added C", "removed B"},
			false,
		},
		{"new material beside the old under one kid", set(key("A", "a")), set(key("A", "a"), key("B", "a")), []string{"added B"}, false},
		{"emptied", set(key("A", "a")), nil, []string{"removed A"}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := diff.Compare(tt.old, tt.new)
			changes := diff.Classify(d, diff.Alone(tt.old, tt.new))
			got := tell(changes)
			if !slices.Equal(got, tt.want) {
				t.Errorf("changes\n got %q\nwant %q", got, tt.want)
			}
			if got := diff.Replaced(d, changes); got != tt.replaced {
				t.Errorf("replaced: %v, want %v", got, tt.replaced)
			}
			if d := diff.Compare(tt.new, tt.new); len(d.Added)+len(d.Removed)+len(diff.Classify(d, diff.Alone(tt.new, tt.new))) != 0 {
				t.Errorf("a set differs from itself: %q", tell(diff.Classify(d, diff.Alone(tt.new, tt.new))))
			}
			back := diff.Compare(tt.new, tt.old)
			if len(back.Added) != len(d.Removed) || len(back.Removed) != len(d.Added) || len(back.Kept) != len(d.Kept) {
				t.Errorf("not mirrored: %d/%d/%d and back %d/%d/%d", len(d.Added), len(d.Kept), len(d.Removed), len(back.Added), len(back.Kept), len(back.Removed))
			}
		})
	}
}

// past is a memory in words: kid to materials bound, newest last.
type past struct {
	bound map[string][]string
	gone  map[string]bool
}

func (p past) Known(i jwks.Identity) bool {
	for _, list := range p.bound {
		if slices.Contains(list, name(i)) {
			return true
		}
	}
	return false
}

func (p past) Bound(kid string) []jwks.Identity {
	var out []jwks.Identity
	for _, m := range p.bound[kid] {
		out = append(out, id(m))
	}
	return out
}

func (p past) LongGone(kid string) bool { return p.gone[kid] }

func TestPairsByWhatIsRemembered(t *testing.T) {
	tests := []struct {
		name     string
		past     past
		old, new []jwks.Key
		want     []string
	}{
		{
			"material that was here before",
			past{bound: map[string][]string{"a": {"A"}, "b": {"B"}}},
			set(key("A", "a")), set(key("A", "a"), key("B", "b")),
			[]string{"reappeared B"},
		},
		{
			"a kid of late on new material",
			past{bound: map[string][]string{"a": {"A"}, "b": {"B"}}},
			set(key("A", "a")), set(key("A", "a"), key("C", "b")),
			[]string{"mutated C for B new_material"},
		},
		{
			"a kid long gone on new material",
			past{bound: map[string][]string{"a": {"A"}, "b": {"B"}}, gone: map[string]bool{"b": true}},
			set(key("A", "a")), set(key("A", "a"), key("C", "b")),
			[]string{"kid_reused C for B new_material"},
		},
		{
			"new material beside the old under its kid",
			past{bound: map[string][]string{"a": {"A"}}},
			set(key("A", "a")), set(key("A", "a"), key("R", "a")),
			[]string{"mutated R for A new_material+added_beside"},
		},
		{
			"first beside, then under the other's kid",
			past{bound: map[string][]string{"a": {"A"}, "x": {"R"}}},
			set(key("A", "a"), key("R", "x")), set(key("R", "a")),
			[]string{"mutated R for A rebound"},
		},
		{
			"bindings of a repeated kid at baseline are known",
			past{bound: map[string][]string{"a": {"A", "B"}}},
			set(key("A", "a")), set(key("B", "a")),
			[]string{"reappeared B", "removed A"},
		},
		{
			"a twin for another purpose is no mutation",
			past{bound: map[string][]string{"a": {"A"}, "e": {"E"}}},
			set(key("A", "a"), key("E", "e", "use=enc")), set(key("A", "a"), key("E", "e", "use=enc"), key("E", "a", "use=enc")),
			[]string{"relabelled E kid:e>a+e"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tell(diff.Classify(diff.Compare(tt.old, tt.new), tt.past))
			if !slices.Equal(got, tt.want) {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}
