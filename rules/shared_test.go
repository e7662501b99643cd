package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// stands lets the keys of a document stand at other endpoints.
func stands(body []byte, peers ...rules.Peer) play {
	return func(s *sim) {
		before := s.peers
		set := jwks.Parse(body)
		s.peers = func(id jwks.Identity) []rules.Peer {
			var out []rules.Peer
			if before != nil {
				out = before(id)
			}
			if slices.ContainsFunc(set.Keys, func(k jwks.Key) bool { return k.ID == id }) {
				out = append(out, peers...)
			}
			return out
		}
	}
}

// alone lets no key stand elsewhere.
func alone(s *sim) { s.peers = func(jwks.Identity) []rules.Peer { return nil } }

// Long before the histories of these tests, and long after.
var (
	longAgo   = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	longAfter = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
)

func elsewhere(name string) rules.Peer {
	return rules.Peer{Name: name, Site: "other.test", Since: longAgo}
}

// fleetScenes are those that need more than one endpoint or address.
func fleetScenes() map[string]struct{ fires, quiet play } {
	shared := elsewhere("partner")
	ours := shared
	ours.Group = "corp"
	grouped := func(s *sim) { s.policy.Group = "corp" }
	return map[string]struct{ fires, quiet play }{
		"key-shared": {
			scene(stands(doc("A:a"), shared), polls(doc("A:a", "B:b"))),
			scene(grouped, stands(doc("A:a"), ours), polls(doc("A:a", "B:b"))),
		},
		"set-split": splitScene(),
	}
}

func TestSharedKeys(t *testing.T) {
	t.Parallel()
	peer := func(change func(*rules.Peer)) rules.Peer {
		p := elsewhere("partner")
		change(&p)
		return p
	}
	same := peer(func(p *rules.Peer) { p.Site = "idp.example" })
	site := func(s *sim) { s.policy.Site = "idp.example" }
	group := func(s *sim) { s.policy.Group = "corp" }
	a := polls(doc("A:a"))
	for name, c := range map[string]struct {
		play play
		want []string
	}{
		"at first sight":              {scene(stands(doc("A:a"), elsewhere("partner")), a, a), []string{"medium key.shared"}},
		"by a change":                 {scene(stands(doc("B:b"), elsewhere("partner")), a, polls(doc("A:a", "B:b"))), []string{"high key.shared"}},
		"of one domain":               {scene(site, stands(doc("A:a"), same), a), []string{"low key.shared"}},
		"of one domain, by a change":  {scene(site, stands(doc("B:b"), same), a, polls(doc("A:a", "B:b"))), []string{"low key.shared"}},
		"of one group":                {scene(group, stands(doc("A:a"), peer(func(p *rules.Peer) { p.Group = "corp" })), a), nil},
		"of two groups":               {scene(group, stands(doc("A:a"), peer(func(p *rules.Peer) { p.Group = "other" })), a), []string{"high key.shared"}},
		"of a group and of none":      {scene(group, stands(doc("A:a"), elsewhere("partner")), a), []string{"high key.shared"}},
		"of none and of a group":      {scene(stands(doc("A:a"), peer(func(p *rules.Peer) { p.Group = "corp" })), a), []string{"high key.shared"}},
		"who came second tells":       {scene(stands(doc("A:a"), peer(func(p *rules.Peer) { p.Since = longAfter })), a, a), nil},
		"who tells already":           {scene(stands(doc("A:a"), peer(func(p *rules.Peer) { p.Tells = true })), a, a), nil},
		"two keys are one pair":       {scene(stands(doc("A:a", "B:b"), elsewhere("partner")), polls(doc("A:a", "B:b"))), []string{"medium key.shared"}},
		"two peers are two":           {scene(stands(doc("A:a"), elsewhere("partner"), elsewhere("third")), a), []string{"medium key.shared", "medium key.shared"}},
		"symmetric":                   {scene(stands(doc("#A:a", "B:b"), elsewhere("partner")), polls(doc("#A:a"))), nil},
		"that cannot be read":         {scene(stands(doc("!A:a"), elsewhere("partner")), polls(doc("!A:a"))), nil},
		"with itself":                 {scene(stands(doc("A:a"), elsewhere("corp-idp")), a), nil},
		"a further key is no news":    {scene(stands(doc("A:a", "B:b"), elsewhere("partner")), a, polls(doc("A:a", "B:b"), doc("B:b"))), []string{"medium key.shared"}},
		"gone from the other":         {scene(stands(doc("A:a"), elsewhere("partner")), a, alone, a), []string{"medium key.shared", "informational key.shared closed"}},
		"gone from here":              {scene(stands(doc("A:a"), elsewhere("partner")), polls(doc("A:a", "B:b"), doc("B:b"))), []string{"medium key.shared", "informational key.shared closed"}},
		"not known any more":          {scene(stands(doc("A:a"), elsewhere("partner")), a, func(s *sim) { s.peers = nil }, a, a), []string{"medium key.shared"}},
		"known only after some while": {scene(a, a, stands(doc("A:a"), elsewhere("partner")), a), []string{"medium key.shared"}},
	} {
		s := newSim(t)
		c.play(s)
		got := tell(slices.DeleteFunc(slices.Clone(s.all), func(f rules.Finding) bool { return f.Type != event.KeyShared }))
		for i := range got {
			got[i] = strings.TrimSuffix(got[i], " once")
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: told %q, want %q", name, got, c.want)
		}
	}
}

func TestWhatIsToldOfASharedKey(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	var words []string
	for i := range 20 {
		words = append(words, fmt.Sprintf("%d:k%d", i, i))
	}
	scene(stands(doc(words...), elsewhere("partner")), polls(doc(words...)))(s)
	f := s.only(event.KeyShared)
	d := f.Details.(*event.KeySharedDetails)
	if d.Peer != "partner" || !slices.Equal(d.Peers, []string{"partner"}) || d.Keys != 20 || len(d.Thumbprints) != 16 || d.SameSite || f.Key != nil || f.Verdict != event.Unexpected {
		t.Errorf("%+v, %+v", d, f)
	}
	if !strings.Contains(f.Message, "20 keys stand at partner too: who holds one of them signs for both") {
		t.Error(f.Message)
	}

	// A platform with one set under a thousand names tells of a few of them.
	s = newSim(t)
	var peers []rules.Peer
	for i := range 1000 {
		peers = append(peers, elsewhere(fmt.Sprintf("tenant-%03d", i)))
	}
	scene(stands(doc("A:a"), peers...), polls(doc("A:a"), doc("A:a")))(s)
	if f := s.only(event.KeyShared); f.Count != 16 || len(s.memory().Conditions) != 1 {
		t.Errorf("%d told, %d conditions", f.Count, len(s.memory().Conditions))
	} else if d := f.Details.(*event.KeySharedDetails); len(d.Peers) != 16 || d.Peers[0] != d.Peer || d.Peers[15] != "tenant-015" || len(d.Thumbprints) != 1 {
		t.Errorf("one event for 16 pairs names %+v", d)
	}
	// Those that are told stay, whoever came before them meanwhile.
	earlier := elsewhere("another")
	earlier.Since = longAgo.Add(-time.Hour)
	scene(stands(doc("A:a"), earlier), polls(doc("A:a"), doc("A:a")))(s)
	s.only(event.KeyShared)
}

// TestWhoTellsOfAPair lets two endpoints share keys that came to either of them
// first, at times that are drawn: exactly one of the two tells.
func TestWhoTellsOfAPair(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(5, 16))
	set := jwks.Parse(doc("A:a", "B:b", "C:c"))
	for range 500 {
		var times [2]map[jwks.Identity]time.Time
		for side := range times {
			times[side] = map[jwks.Identity]time.Time{}
			for _, k := range set.Keys {
				times[side][k.ID] = longAgo.Add(time.Duration(r.IntN(3)) * time.Hour)
			}
		}
		told := 0
		for side, name := range []string{"one", "two"} {
			m := &history.Memory{Baseline: longAgo, Sightings: map[jwks.Identity]*history.Sighting{}}
			for id, at := range times[side] {
				m.Sightings[id] = &history.Sighting{FirstSeen: at}
			}
			other := []string{"two", "one"}[side]
			flaws := rules.Recall(rules.Book(), &rules.Recalled{
				Policy: rules.Policy{Endpoint: name}, Before: m, At: longAfter, Set: set,
				Peers: func(id jwks.Identity) []rules.Peer {
					return []rules.Peer{{Name: other, Site: "other.test", Since: times[1-side][id]}}
				},
			})
			for _, f := range flaws {
				if f.Rule.Type == event.KeyShared {
					told++
				}
			}
		}
		if told != 1 {
			t.Fatalf("%d tell of %v", told, times)
		}
	}
}

// TestPairOfAnOlderVersionEnds closes a condition that was opened before its
// details named the peers: a list is never null.
func TestPairOfAnOlderVersionEnds(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(stands(doc("A:a"), elsewhere("partner")), polls(doc("A:a")))(s)
	m := s.memory()
	m.Conditions[0].Details = []byte(`{"peer":"partner","keys":1,"thumbprints":[],"same_site":false}`)
	var err error
	if s.stored, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	alone(s)
	s.poll(doc("A:a"))
	f := s.all[len(s.all)-1]
	if d := f.Details.(*event.KeySharedDetails); !f.Closing || !slices.Equal(d.Peers, []string{"partner"}) {
		t.Errorf("%+v", d)
	}
}
