package history_test

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func day(n float64) time.Time { return start.Add(time.Duration(n * 24 * float64(time.Hour))) }

func key(material, kid string) jwks.Key {
	k := jwks.Key{Kid: kid, Kty: "RSA", Bits: 2048}
	k.ID.Kind = jwks.Thumbprint
	copy(k.ID.Sum[:], material)
	return k
}

func id(material string) jwks.Identity { return key(material, "").ID }

func TestSightingsBoundTheLifeOfAKey(t *testing.T) {
	m, _ := history.Decode(nil)
	m.Accept([]jwks.Key{key("A", "a")}, time.Time{}, day(0))
	m.Accept([]jwks.Key{key("A", "a"), key("B", "b")}, day(1), day(2))
	m.Accept([]jwks.Key{key("B", "b")}, day(9), day(10))

	a, b := m.Sightings[id("A")], m.Sightings[id("B")]
	if !a.FirstAfter.IsZero() {
		t.Errorf("a key of the baseline has a known age: %v", a.FirstAfter)
	}
	if a.Live() || !a.LastSeen.Equal(day(9)) || !a.GoneBy.Equal(day(10)) || a.Published != 9*24*time.Hour {
		t.Errorf("A: last %v, gone by %v, published %v", a.LastSeen, a.GoneBy, a.Published)
	}
	if !b.Live() || !b.FirstAfter.Equal(day(1)) || !b.FirstSeen.Equal(day(2)) {
		t.Errorf("B: %+v", b)
	}
	if a.Retired(day(16.9)) || !a.Retired(day(17)) {
		t.Error("A was there for nine days: it is retired seven days after the first poll without it, and no earlier")
	}
	m.Accept([]jwks.Key{key("A", "a"), key("B", "b")}, day(17), day(18))
	if a = m.Sightings[id("A")]; !a.Live() || a.Published != 9*24*time.Hour || !a.FirstSeen.Equal(day(18)) {
		t.Errorf("A in its second life: %+v", a)
	}
}

func TestBindingsAreForEver(t *testing.T) {
	m, _ := history.Decode(nil)
	m.Accept([]jwks.Key{key("A", "a"), key("B", "")}, time.Time{}, day(0))
	m.Accept([]jwks.Key{key("C", "c")}, day(1), day(1.5))
	p := history.Past{Memory: m, Now: day(5)}
	if got := p.Bound("a"); len(got) != 1 || got[0] != id("A") {
		t.Errorf("a is bound to %v", got)
	}
	if p.Bound("") != nil {
		t.Error("no kid binds nothing")
	}
	if p.LongGone("a") || p.LongGone("c") || p.LongGone("never") {
		t.Error("a was there four days ago, c is there, the third never was")
	}
	p.Now = day(8)
	if !p.LongGone("a") {
		t.Error("a was last seen seven days ago")
	}
	for i := range 20 {
		m.Accept([]jwks.Key{key(fmt.Sprint("X", i), "c")}, day(9), day(9))
	}
	if n := len(m.Bindings["c"].IDs); n != history.MaxPerKid {
		t.Errorf("%d identities under one kid, want the last %d", n, history.MaxPerKid)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m, _ := history.Decode(nil)
	m.Accept([]jwks.Key{key("old", "old")}, time.Time{}, day(0))
	var keys []jwks.Key
	for i := range 4096 {
		keys = append(keys, key(fmt.Sprint("k", i), fmt.Sprint("k", i)))
	}
	m.Accept(keys, day(30), day(30)) // "old" was established
	for n := range 4 {
		for i := range keys {
			keys[i] = key(fmt.Sprint("n", n, "-", i), fmt.Sprint("n", n, "-", i))
		}
		m.Accept(keys, day(30), day(30).Add(time.Duration(n)*time.Minute))
	}
	if n := len(m.Sightings); n != history.MaxBrief+len(keys)+1 {
		t.Errorf("%d sightings", n)
	}
	if n := len(m.Bindings); n != history.MaxBrief+len(keys)+1 {
		t.Errorf("%d kids", n)
	}
	if m.Sightings[id("old")] == nil || m.Bindings["old"] == nil {
		t.Error("an established key was forgotten for keys that were there for minutes")
	}
	if b, err := m.Encode(); err != nil || len(b) > 8<<20 {
		t.Errorf("a flooded memory takes %d octets (%v)", len(b), err)
	}
}

// TestOctetsAreBounded fills a memory with fat labels: what is gone makes room,
// briefly seen first, and nothing that is live or open goes.
func TestOctetsAreBounded(t *testing.T) {
	fat := func(round string, n int) []jwks.Key {
		var keys []jwks.Key
		for i := range n {
			k := key(fmt.Sprint(round, i), fmt.Sprint(round, i, strings.Repeat("x", 500)))
			k.Alg = strings.Repeat("a", 60)
			keys = append(keys, k)
		}
		return keys
	}
	m, _ := history.Decode(nil)
	at := 0.0
	next := func(keys []jwks.Key, days float64) {
		at += days
		m.Accept(keys, day(at), day(at))
	}
	for round := range 6 { // established, one after the other
		next(fat(fmt.Sprint("s", round, "-"), 2000), 8)
	}
	next(fat("brief-", 2000), 8)
	next(fat("live-", 1000), 1)
	m.Conditions = []*history.Condition{{Type: "key.private", Key: new(m.Live[0])}}
	m.Bound()
	b, err := m.Encode()
	if err != nil || len(b) > history.MaxOctets || len(b) < history.MaxOctets*3/4 {
		t.Errorf("%d octets of %d (%v)", len(b), history.MaxOctets, err)
	}
	left := map[string]int{}
	for _, s := range m.Sightings {
		round, _, _ := strings.Cut(s.Key.Kid, "-")
		left[round]++
	}
	if left["brief"] != 0 || left["s0"] != 0 || left["s5"] != 2000 || left["live"] != 1000 || len(m.Live) != 1000 || len(m.Conditions) != 1 {
		t.Errorf("left of each round: %v", left)
	}
	if m.Bindings["live-0"+strings.Repeat("x", 500)] == nil || m.Bindings["s5-0"+strings.Repeat("x", 500)] == nil {
		t.Error("a kid that should stay is forgotten")
	}
}

// TestLiveKeysAreNeverForgotten has more of them than the bound takes.
func TestLiveKeysAreNeverForgotten(t *testing.T) {
	m, _ := history.Decode(nil)
	var keys []jwks.Key
	for i := range 4096 {
		k := key(fmt.Sprint(i), fmt.Sprint(i, strings.Repeat("x", 1000)))
		k.Ops, k.HasOps = []string{strings.Repeat("o", 1000)}, true
		keys = append(keys, k)
	}
	m.Accept(keys, time.Time{}, day(0))
	m.Bound()
	after, _ := m.Encode()
	if len(m.Live) != 4096 || !reflect.DeepEqual(m.Live[7], keys[7]) || len(m.Sightings) != 4096 || len(m.Bindings) != 4096 {
		t.Error("live keys are not what they were")
	}
	if len(after) > 20<<20 { // of 16 MiB for keys and kids; twice that if labels were remembered with each sighting too
		t.Errorf("%d octets", len(after))
	}
}

func TestANewBaselineHasNoAge(t *testing.T) {
	m, _ := history.Decode(nil)
	m.Accept([]jwks.Key{key("A", "a"), key("B", "b")}, time.Time{}, day(0))
	m.Rebase([]jwks.Key{key("B", "b"), key("C", "c")}, day(8), day(9))
	a, c := m.Sightings[id("A")], m.Sightings[id("C")]
	if !c.FirstAfter.IsZero() || !c.FirstSeen.Equal(day(9)) {
		t.Errorf("C of a new baseline: %+v", c)
	}
	if !a.LastSeen.Equal(day(8)) || a.Published != 8*24*time.Hour {
		t.Errorf("A of the old one: last seen %v, published %v", a.LastSeen, a.Published)
	}
}

func TestFlipsAreCounted(t *testing.T) {
	m, _ := history.Decode(nil)
	for i := range history.MaxFlips + 10 {
		m.Flip(day(float64(i)))
	}
	if len(m.Flips) != history.MaxFlips || m.FlipCount != history.MaxFlips+10 || !m.Flips[0].Equal(day(10)) {
		t.Errorf("%d flips kept from %v, %d counted", len(m.Flips), m.Flips[0], m.FlipCount)
	}
}

// full is a memory with something in each place.
func full() *history.Memory {
	m, _ := history.Decode(nil)
	m.URL = "https://idp.example/jwks"
	hostile := key("A", "k\xff\x00\u202e")
	hostile.Alg, hostile.Use, hostile.Crv = "R\xffS", "sig", "P-256"
	hostile.Ops, hostile.HasOps = []string{"sign", "verify\xfe"}, true
	hostile.Encoding, hostile.Private = []string{"padded"}, []string{"d"}
	hostile.Cert, hostile.Form = [32]byte{1}, [32]byte{2}
	hostile.Defects = []jwks.Defect{{Code: jwks.PrivateMember, Pointer: "/keys/0/d", Kid: "\xff", Text: "a member"}}
	m.Accept([]jwks.Key{hostile, key("B", "b")}, time.Time{}, day(0))
	m.Note(history.Digest{Sum: [32]byte{9}, At: day(0), Keys: 2})
	m.Accept([]jwks.Key{hostile}, day(1), day(2))
	m.Note(history.Digest{Sum: [32]byte{8}, At: day(2), Keys: 1})
	m.Flip(day(3))
	m.Conditions = []*history.Condition{{
		ID: "cn1-x", Type: "key.private", Flaws: []string{history.FlawID("a", "\xff")}, OpenedAt: day(1), OpenedBy: "jw1-y",
		Severity: 5, Key: new(key("B", "b")), Details: []byte(`{"members":["d"]}`),
	}}
	m.Pending = &history.Pending{
		At: day(4), After: day(3), Body: []byte(`{"keys":[]}`), Shape: jwks.ShapeJWKS, Reason: "r", Offset: 7, Looks: 2, Told: true,
		Old: []jwks.Key{key("B", "b")}, Replaced: []jwks.Identity{id("B")}, Remote: "192.0.2.1:443",
		Facts: []byte(`{"host":"idp.example"}`),
		Aside: &history.Pending{
			At: day(3), Shape: jwks.ShapeJWKS, Looks: 1, Told: true, Keys: []jwks.Key{hostile},
			Defects: []jwks.Defect{{Code: jwks.RepeatedKid, Kid: "\xff"}}, Digest: [32]byte{7},
		},
	}
	m.Shown = day(2)
	m.Sequence = history.Sequence{Highest: 1<<63 - 1, At: day(1), Since: day(2)}
	m.Learned = history.Learned{
		URIs:     []history.Value{{Text: "https://idp.example/\xff", First: day(0), Last: day(3), Count: 9}},
		SPKIs:    []history.Value{{Text: "aa", First: day(0), Last: day(3), Count: 9}},
		Issuers:  []history.Value{{Text: "CN=ca", First: day(0), Last: day(3), Count: 9}},
		LeafSPKI: "aa", LeafIssuer: "CN=ca", LeafNotBefore: day(-30), LeafNotAfter: day(60),
		Discovered: true, Algs: []string{"RS256"}, SignedMetadata: true, PKCE: true,
		Weak:   []history.Value{{Text: "weak", First: day(1), Last: day(2), Count: 2}},
		Places: []history.Value{{Text: "token_endpoint idp.example", First: day(0), Last: day(3), Count: 9}},
		Others: []history.Value{{Text: "https://idp.example/keys", First: day(0), Last: day(3), Count: 9}},
	}
	return m
}

func TestMemorySurvivesStorage(t *testing.T) {
	m := full()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := history.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, back) {
		t.Errorf("changed in storage\nfrom %+v\n  to %+v", m, back)
	}
	again, err := back.Encode()
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("one memory, two encodings (%v)\n%s\n%s", err, b, again)
	}
}

// TestStoredFormIsFrozen holds the octets of version 1. A change here is a new
// version with a migration, or a lost history.
func TestStoredFormIsFrozen(t *testing.T) {
	m, _ := history.Decode(nil)
	m.URL = "https://idp.example/jwks"
	m.Accept([]jwks.Key{key("A", "a")}, time.Time{}, day(0))
	m.Note(history.Digest{Sum: [32]byte{1}, At: day(0), Keys: 1})
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	const id = "AUEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	const key = `{"i":"` + id + `","k":"YQ==","t":"UlNB","b":2048}`
	want := `{"v":1,"url":"https://idp.example/jwks","base":1767225600000,"chg":1767225600000,"live":[` + key + `],` +
		`"seen":[{"fs":1767225600000,"key":` + key + `}],"kids":[{"k":"YQ==","i":["` + id + `"]}],` +
		`"digs":[{"s":"AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=","at":1767225600000,"n":1}]}`
	if string(b) != want {
		t.Errorf("version 1 is now written as\n%s\nwas\n%s", b, want)
	}
}

// TestOlderMemoryIsRead holds that what was stored before members were added
// still means the same.
func TestOlderMemoryIsRead(t *testing.T) {
	const id = "AUEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
	const stored = `{"v":1,"url":"https://idp.example/jwks","base":1767225600000,"pend":{"at":1767225600000,"after":1767225590000,` +
		`"body":"e30=","shape":"no_keys","why":"r","off":1,"looks":1,"told":true,"old":[{"i":"` + id + `"}],"repl":["` + id + `"],"from":"192.0.2.1:443"}}`
	m, err := history.Decode([]byte(stored))
	if err != nil {
		t.Fatal(err)
	}
	p := m.Pending
	if string(p.Body) != "{}" || p.Shape != "no_keys" || !p.Told || len(p.Old) != 1 || p.Facts != nil || p.Aside != nil || !m.Shown.IsZero() ||
		!reflect.DeepEqual(m.Learned, history.Learned{}) {
		t.Errorf("%+v", p)
	}
	if again, err := m.Encode(); err != nil || string(again) != stored {
		t.Errorf("written as %s (%v)", again, err)
	}
	nested := strings.Repeat(`"pend":{"aside":{`, 1) + strings.Repeat(`"aside":{`, 10) + strings.Repeat("}", 12)
	if _, err := history.Decode([]byte(`{"v":1,` + nested + `}`)); err == nil {
		t.Error("claims nested without end were read")
	}
}

func TestDecodeRefusesWhatItCannotRead(t *testing.T) {
	for _, b := range []string{"{", "null1", `{"v":2}`, `{}`, `{"v":1,"live":[{"i":"AA=="}]}`, `{"v":1,"digs":[{"s":"AA==","at":1}]}`} {
		if m, err := history.Decode([]byte(b)); err == nil {
			t.Errorf("%s was read as %+v", b, m)
		}
	}
}

func TestCloneSharesNothing(t *testing.T) {
	m := full()
	want, _ := m.Encode()
	c := m.Clone()
	c.Accept([]jwks.Key{key("Z", "b")}, day(5), day(6))
	c.Note(history.Digest{At: day(6)})
	c.Flip(day(6))
	c.Conditions[0].OpenedBy, c.Conditions[0].Flaws[0] = "other", "other"
	c.Pending.Told, c.Pending.Replaced[0] = false, id("Z")
	c.Pending.Aside.Told = false
	c.Learned.URIs[0].Count, c.Learned.Algs[0] = 10, "none"
	c.Bindings["b"].IDs[0] = id("Z")
	if got, _ := m.Encode(); !bytes.Equal(got, want) {
		t.Errorf("the original changed with its clone\n%s\n%s", want, got)
	}
}

func TestFlawIDsDoNotCollide(t *testing.T) {
	if history.FlawID("a", "bc") == history.FlawID("ab", "c") || history.FlawID("a") == history.FlawID("a", "") {
		t.Error("two findings have one id")
	}
}

func FuzzDecode(f *testing.F) {
	b, _ := full().Encode()
	f.Add(b)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := history.Decode(b)
		if err != nil {
			return
		}
		once, err := m.Encode()
		if err != nil {
			t.Fatalf("read but not written: %v", err)
		}
		back, err := history.Decode(once)
		if err != nil {
			t.Fatalf("written but not read: %v", err)
		}
		if twice, _ := back.Encode(); !bytes.Equal(once, twice) {
			t.Fatalf("not stable\n%s\n%s", once, twice)
		}
	})
}
