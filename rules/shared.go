package rules

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Bounds of what one endpoint tells of keys that stand elsewhere too: a platform
// may serve one set under a thousand names.
const (
	maxPeers  = 16
	maxShared = 16
)

// Peer is another endpoint at which a key stands.
type Peer struct {
	Name  string
	Group string    // "" for none
	Site  string    // registrable domain
	Since time.Time // the key was first seen there
	// Tells says that the other endpoint holds the condition of the pair.
	Tells bool
}

// SharedFlaw is the id of the flaw of sharing keys with an endpoint.
func SharedFlaw(peer string) string { return history.FlawID(string(event.KeyShared), peer) }

// pair is what an endpoint shares with another.
type pair struct {
	Peer
	keys    []*jwks.Key
	since   time.Time // the first of the keys stood at both
	second  bool      // we came second with that one
	changed bool      // and with one of them by a change
}

// keysShared finds keys that stand at other endpoints too. It is told once a pair
// and not once a key, at the endpoint that came second: keys that both rotate
// in common are no news each time.
func keysShared(r *Recalled) []Flaw {
	if r.Peers == nil {
		return r.held(event.KeyShared)
	}
	pairs := map[string]*pair{}
	for k := range r.each {
		since, changed := r.cameIn(k)
		for _, p := range r.Peers(k.ID) {
			if p.Name == r.Policy.Endpoint || p.Group != "" && p.Group == r.Policy.Group {
				continue
			}
			own := pairs[p.Name]
			if own == nil {
				own = &pair{Peer: p}
				pairs[p.Name] = own
			}
			own.Tells = own.Tells || p.Tells
			own.add(k, since, r.Policy.Endpoint, p, changed)
		}
	}
	var list []*pair
	for _, p := range pairs {
		if r.holds(SharedFlaw(p.Name)) || p.second && !p.Tells {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b *pair) int { // who was told already stays
		if x, y := r.holds(SharedFlaw(a.Name)), r.holds(SharedFlaw(b.Name)); x != y {
			return map[bool]int{true: -1, false: 1}[x]
		}
		return cmp.Or(a.since.Compare(b.since), strings.Compare(a.Name, b.Name))
	})
	var out []Flaw
	for _, p := range list[:min(len(list), maxPeers)] {
		out = append(out, p.flaw(r.Policy))
	}
	return out
}

// cameIn is when the endpoint first showed the key, and whether it did so by a
// change: the keys of a baseline are taken as given.
func (r *Recalled) cameIn(k *jwks.Key) (since time.Time, changed bool) {
	if s := r.Before.Sightings[k.ID]; s != nil && s.Live() {
		return s.FirstSeen, !s.FirstAfter.IsZero()
	}
	return r.At, !r.Before.Baseline.IsZero() && r.Before.URL == r.Policy.URL
}

// add notes that the key stands at both since the later of two times. Who came
// second with the key that was shared first tells of the pair.
func (p *pair) add(k *jwks.Key, since time.Time, endpoint string, there Peer, changed bool) {
	order := cmp.Or(since.Compare(there.Since), strings.Compare(endpoint, there.Name))
	both := since
	if order < 0 {
		both = there.Since
	}
	if len(p.keys) == 0 || both.Before(p.since) || both.Equal(p.since) && bytes.Compare(k.ID.Sum[:], p.keys[0].ID.Sum[:]) < 0 {
		p.since, p.second = both, order > 0
		p.keys = slices.Insert(p.keys, 0, k) // the first one stands first
	} else {
		p.keys = append(p.keys, k)
	}
	p.changed = p.changed || order > 0 && changed
}

func (p *pair) flaw(policy Policy) Flaw {
	d := &event.KeySharedDetails{Peer: p.Name, Peers: []string{p.Name}, Keys: len(p.keys), SameSite: p.Site == policy.Site}
	for _, k := range p.keys {
		d.Thumbprints = append(d.Thumbprints, k.ID.String())
	}
	slices.Sort(d.Thumbprints)
	d.Thumbprints = d.Thumbprints[:min(len(d.Thumbprints), maxShared)]
	f := Flaw{ID: SharedFlaw(p.Name), Severity: event.SeverityMedium, Details: d}
	switch {
	case d.SameSite:
		f.Severity = event.SeverityLow
	case p.changed, p.Group != "", policy.Group != "": // who declares a group says who may share
		f.Severity = event.SeverityHigh
	}
	if p.changed {
		f.ByChange = f.Severity
	}
	stand, holds := "keys stand", "one of them"
	if len(p.keys) == 1 {
		stand, holds = "key stands", "it"
	}
	f.What = fmt.Sprintf("%d %s at %s too: who holds %s signs for both", len(p.keys), stand, p.Name, holds)
	return f
}

// held are the flaws of a type that conditions hold: nothing is known that would
// end them.
func (r *Recalled) held(t event.Type) []Flaw {
	var out []Flaw
	for _, c := range r.Before.Conditions {
		if c.Type != string(t) {
			continue
		}
		for _, id := range c.Flaws {
			out = append(out, Flaw{ID: id})
		}
	}
	return out
}

// holds reports whether a condition holds the flaw.
func (r *Recalled) holds(id string) bool {
	return slices.ContainsFunc(r.Before.Conditions, func(c *history.Condition) bool { return slices.Contains(c.Flaws, id) })
}
