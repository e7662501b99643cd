package rules_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// play is a short history: polls of these documents, an interval apart.
type play func(*sim)

func polls(docs ...[]byte) play {
	return func(s *sim) {
		for _, d := range docs {
			s.poll(d)
		}
	}
}

func later(d time.Duration) play {
	return func(s *sim) { s.wait(d); s.good = s.now }
}

func scene(parts ...play) play {
	return func(s *sim) {
		for _, p := range parts {
			p(s)
		}
	}
}

// scenes has for each rule a history that fires it and one, as near to it as
// possible, on which it stays quiet.
var scenes = map[string]struct{ fires, quiet play }{
	"baseline-established": {polls(doc("A:a")), polls([]byte(html))},
	"set-replaced":         {polls(doc("A:a", "B:b"), doc("C:c", "D:d")), polls(doc("A:a", "B:b"), doc("C:c", "B:b"))},
	"set-emptied":          {polls(doc("A:a"), doc()), polls(doc("A:a"), []byte(`{"keys":null}`))},
	"set-ambiguous-repeated-member": {
		polls([]byte(`{"keys":[{"kty":"RSA","kty":"RSA","n":"AQAB","e":"AQAB"}]}`)),
		polls([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`)),
	},
	"set-ambiguous-repeated-kid": {polls(doc("A:a", "B:a")), polls(doc("A:a", "A:a"))},
	"set-ambiguous-missing-kid":  {polls(doc("A:a", "B:")), polls(doc("A:"))},
	"set-ambiguous-case": {
		polls([]byte(`{"keys":[],"KEYS":[]}`)),
		polls([]byte(`{"keys":[],"more":[]}`)),
	},
	"set-ambiguous-utf8":      {polls([]byte(strings.Replace(string(doc("A:a")), `"a"`, "\"a\xff\"", 1))), polls(doc("A:aé"))},
	"key-mutated":             {polls(doc("A:a", "B:b"), doc("R:a", "B:b")), polls(doc("A:a", "B:b"), doc("R:r", "B:b"))},
	"key-kid-reused":          {scene(polls(doc("A:a", "B:b"), doc("B:b")), later(8*24*time.Hour), polls(doc("B:b", "R:a"))), scene(polls(doc("A:a", "B:b"), doc("B:b")), later(6*24*time.Hour), polls(doc("B:b", "R:a")))},
	"key-added":               {polls(doc("A:a"), doc("A:a", "B:b")), polls(doc("A:a"), doc("A:a", "A:a"))},
	"key-relabelled":          {polls(doc("A:a"), doc("A:b")), polls(doc("A:a"), doc("A:a:alg=RS256"))},
	"key-altered":             {polls(doc("A:a:use=enc"), doc("A:a:use=sig")), polls(doc("A:a:use=enc:x=1"), doc("A:a:use=enc:x=2"))},
	"key-reencoded":           {polls([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`), []byte(`{"keys":[{"kty":"RSA","n":"AAEAAQ","e":"AQAB"}]}`)), polls([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`), []byte(`{ "keys" : [{"e":"AQAB","n":"AQAB","kty":"RSA"}]}`))},
	"key-certificate-changed": {polls(doc("A:a:x5t=AAAA"), doc("A:a:x5t=BBBB")), polls(doc("A:a:x5t=AAA"), doc("A:a:x5t=AAA="))},
	"key-removed":             {polls(doc("A:a", "B:b"), doc("A:a")), polls(doc("A:a", "B:b"), doc("A:a", "B:c"))},
	"key-private":             {polls(doc("A:a:d=x")), polls([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","oth":[],"d":""}]}`))},
	"key-unparseable":         {polls(doc("!A:a")), polls(doc("A:a"))},
	"document-invalid":        {polls([]byte(html)), polls(doc("A:a"))},
	"endpoint-unreachable": {
		func(s *sim) {
			for range 4 {
				s.wait(time.Minute)
				s.fail()
			}
		},
		func(s *sim) {
			for range 4 {
				s.wait(20 * time.Second)
				s.fail()
			}
		},
	},
}

func TestEachRuleFiresAndStaysQuiet(t *testing.T) {
	scenes := maps.Clone(scenes)
	maps.Copy(scenes, wayScenes())
	maps.Copy(scenes, floodScenes)
	maps.Copy(scenes, historyScenes())
	maps.Copy(scenes, healthScenes())
	maps.Copy(scenes, fleetScenes())
	maps.Copy(scenes, declaredScenes())
	maps.Copy(scenes, rotationScenes())
	for _, r := range rules.Book() {
		t.Run(r.ID, func(t *testing.T) {
			sc, ok := scenes[r.ID]
			if !ok {
				t.Fatal("no scene fires this rule")
			}
			if !fired(t, sc.fires, r.ID) {
				t.Error("did not fire")
			}
			if fired(t, sc.quiet, r.ID) {
				t.Error("did not stay quiet")
			}
		})
	}
	for id := range scenes {
		if !slices.ContainsFunc(rules.Book(), func(r rules.Rule) bool { return r.ID == id }) {
			t.Errorf("a scene for %s, which is no rule", id)
		}
	}
}

func fired(t *testing.T, p play, rule string) bool {
	s := newSim(t)
	p(s)
	return slices.ContainsFunc(s.all, func(f rules.Finding) bool { return f.Rule.ID == rule && !f.Closing })
}

func TestBookIsReadable(t *testing.T) {
	seen, types := map[string]bool{}, map[event.Type]bool{}
	for _, r := range rules.Book() {
		if seen[r.ID] || !strings.HasPrefix(r.ID, strings.NewReplacer(".", "-", "_", "-").Replace(string(r.Type))) {
			t.Errorf("%s: repeated, or not named after its type %s", r.ID, r.Type)
		}
		seen[r.ID], types[r.Type] = true, true
		if r.Title == "" || r.Why == "" || r.Verdict == "" || r.Severity == 0 || parts(r) != 1 {
			t.Errorf("%s: incomplete: %+v", r.ID, r)
		}
		if r.Standards.Attack == nil || r.Standards.NISTCSF == nil || r.Standards.OWASPNHI == nil {
			t.Errorf("%s: standards", r.ID)
		}
	}
	for _, typ := range event.Types() {
		object, _, _ := strings.Cut(string(typ), ".")
		if !types[typ] && object != "agent" && object != "approval" && object != "drill" { // these are not judged here
			t.Errorf("%s: no rule finds it", typ)
		}
	}
}

// parts counts the ways in which the rule speaks.
func parts(r rules.Rule) int {
	n := 0
	for _, set := range []bool{r.Inspect != nil, r.Recall != nil, r.Observe != nil, r.Judge != nil} {
		if set {
			n++
		}
	}
	return n
}

func TestCompareTwoDocuments(t *testing.T) {
	tests := []struct {
		name     string
		old, new []byte
		want     []string
	}{
		{"equal", doc("A:a"), doc("A:a"), nil},
		{"order and space", doc("A:a", "B:b"), []byte(strings.ReplaceAll(string(doc("B:b", "A:a")), ",", " ,\n")), nil},
		{"mass rotation is not rolled up", doc("S:s", "A:a"), doc("S:s", "1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "7:7", "8:8", "9:9", "A:a"), []string{
			"low key.added 1", "low key.added 2", "low key.added 3", "low key.added 4", "low key.added 5",
			"low key.added 6", "low key.added 7", "low key.added 8", "low key.added 9",
		}},
		{"emptied alone", doc("A:a", "B:b"), doc(), []string{"critical set.emptied"}},
		{"empty before", doc(), doc("A:a"), []string{"low key.added a"}},
		{"replaced", doc("A:a", "B:b"), doc("C:c"), []string{"high set.replaced", "low key.added c", "informational key.removed a", "informational key.removed b"}},
		{"mutated", doc("A:a"), doc("B:a"), []string{"critical key.mutated a"}},
		{"a leak that was there is no change", doc("A:a:d=1"), doc("A:a:d=2"), nil},
		{"a leak that appears", doc("A:a"), doc("A:a:d=2"), []string{"critical key.private a"}},
		{"beside the old key", doc("A:a"), doc("A:a", "B:a"), []string{"high set.ambiguous", "low key.added a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tell(rules.Compare(rules.Book(), jwks.Parse(tt.old), jwks.Parse(tt.new)))
			for i := range got {
				got[i] = strings.TrimSuffix(got[i], " once")
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("\n got %q\nwant %q", got, tt.want)
			}
		})
	}
}
