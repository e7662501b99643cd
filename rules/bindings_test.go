package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

func TestAlteredMembers(t *testing.T) {
	for _, tt := range []struct {
		name     string
		old, new []byte
		want     []string
	}{
		{"issuer replaced", doc("A:a:issuer=x"), doc("A:a:issuer=y"), []string{"high key.altered a"}},
		{"issuer appears", doc("A:a"), doc("A:a:issuer=y"), []string{"low key.altered a"}},
		{"x5u replaced", doc("A:a:x5u=https"), doc("A:a:x5u=http"), []string{"high key.altered a"}},
		{"exp", doc("A:a:exp=1900000000"), doc("A:a:exp=1900000001"), []string{"low key.altered a"}},
		{"nbf vanishes", doc("A:a:nbf=1"), doc("A:a"), []string{"low key.altered a"}},
		{"alg vanishes", doc("A:a:alg=RS256"), doc("A:a"), []string{"medium key.altered a"}},
		{"alg vanishes from one of several", doc("A:a:alg=RS256", "B:b:alg=RS256"), doc("A:a", "B:b:alg=RS256"), []string{"medium key.altered a"}},
		{"not all had one", doc("A:a:alg=RS256", "B:b"), doc("A:a", "B:b"), []string{"low key.altered a"}},
		{"of an encryption key", doc("A:a:use=enc:alg=RSA-OAEP", "B:b:alg=RS256"), doc("A:a:use=enc", "B:b:alg=RS256"), []string{"low key.altered a"}},
		{"an encryption key signs", doc("A:a:use=enc", "B:b"), doc("A:a", "B:b"), []string{"high key.altered a"}},
		{"by its operations", doc("A:a:key_ops=[\"encrypt\"]", "B:b"), doc("A:a:key_ops=[\"verify\"]", "B:b"), []string{"high key.altered a"}},
		{"a public key that signs", doc("A:a:key_ops=[\"verify\"]"), doc(`A:a:key_ops=["sign","verify"]`), []string{"medium key.altered a"}},
		{"the entry for encryption gone", doc("A:a:alg=RS256", "A:a:use=enc:alg=RSA-OAEP", "B:b"), doc("A:a:alg=RS256", "B:b"), []string{"informational set.ambiguous closed", "low key.altered a"}},
		{"an entry of another algorithm", doc("A:a:alg=RS256", "B:b"), doc("A:a:alg=RS256", "A:a:alg=PS256", "B:b"), []string{"medium set.ambiguous", "high key.altered a"}},
		{"one operation less", doc(`A:a:key_ops=["sign","verify"]`), doc("A:a:key_ops=[\"verify\"]"), []string{"low key.altered a"}},
	} {
		s := newSim(t)
		s.poll(tt.old)
		if got := s.poll(tt.new); !slices.Equal(got, tt.want) {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
		s.expect(s.poll(tt.new))
	}
	s := newSim(t)
	s.poll(doc("A:a:alg=RS256"))
	s.expect(s.poll(doc("A:a")), "medium key.altered a")
	s.poll(doc("A:a:alg=RS256"))
	for _, v := range s.poll(doc("A:a")) {
		if strings.HasPrefix(v, "medium key.altered") {
			t.Errorf("a set that was here before: %q", v)
		}
	}
}

// TestTimesThatAreWrittenAnew serves another exp with every answer: habits of
// that kind are no news.
func TestTimesThatAreWrittenAnew(t *testing.T) {
	s := newSim(t)
	set := func() []byte { return doc(fmt.Sprintf("A:a:exp=%d", s.now.Add(time.Hour).Unix()), "B:b") }
	s.poll(doc("A:a:exp=1", "B:b"))
	for range 20 {
		s.wait(time.Minute)
		s.answer(set())
		for s.look > 0 {
			s.wait(s.look)
			s.answer(set())
		}
	}
	// Three times, each with the values of both looks; and that the first was past.
	if got := kinds(s.all, event.KeyAltered); len(got) != 6 || len(s.all) != len(got)+3 {
		t.Errorf("told %q", tell(s.all))
	}
	if got := s.poll(doc("A:a:exp=1:issuer=x", "B:b")); count(got, "low key.altered a") != 1 {
		t.Errorf("what else changes is news: %q", got)
	}
}

func TestNewLabelsAreOneEvent(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b", "C:c"))
	s.expect(s.poll(doc("A:a2", "B:b2", "C:c")), "medium key.relabelled x2")
	s.expect(s.poll(doc("A:a", "B:b", "C:c"))) // they bore these before
	s.expect(s.poll(doc("A:a", "B:b", "C:c3")), "medium key.relabelled c3")
	alias := newSim(t)
	alias.poll(doc("A:a", "A:b"))
	alias.expect(alias.poll(doc("A:a")), "medium key.relabelled a")
	alias.expect(alias.poll(doc("A:a", "A:b")))
	alias.expect(alias.poll(doc("A:a"))) // that label went before
}

// TestAMemoryFromBefore holds that an upgrade is no news: neither the members that
// were not read before, nor the kinds of keys that were not noted.
func TestAMemoryFromBefore(t *testing.T) {
	s := newSim(t)
	set := doc("A:a:issuer=x", "B:b:issuer=x")
	s.poll(set)
	m, _ := history.Decode(s.stored)
	m.Rotation = history.Rotation{}
	for i := range m.Live {
		m.Live[i].Issuer = ""
	}
	s.stored, _ = m.Encode()
	later(40 * aDay)(s)
	s.expect(s.poll(set))
	s.expect(s.poll(doc("A:a:issuer=y", "B:b:issuer=x")), "high key.altered a") // read since
	s.expect(s.poll(doc("A:a:issuer=y", "B:b:issuer=x", "C:c:issuer=x")), "low key.added c")
}
