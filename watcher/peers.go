package watcher

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// maxResident bounds what the index keeps of one endpoint.
const maxResident = 4096

// peers is the index of the keys that stand at all endpoints, by which one sees
// that its key stands elsewhere. It is kept at each stored step, so that an
// unchanged poll costs nothing.
type peers struct {
	mu    sync.RWMutex
	whole bool                       // all memories were read
	at    map[jwks.Identity][]string // names of endpoints
	of    map[string]*resident       // those that are configured
}

// resident is one endpoint in the index.
type resident struct {
	group, site string
	read        bool
	keys        map[jwks.Identity]time.Time // when first seen
	tells       []string                    // flaws of key.shared that its conditions hold
}

// configure sets what is watched and returns the names of endpoints for which
// that may change what they share.
func (p *peers) configure(endpoints []*Endpoint) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.of == nil {
		p.at, p.of = map[jwks.Identity][]string{}, map[string]*resident{}
	}
	var touched []string
	gone := make(map[string]bool, len(p.of))
	for name := range p.of {
		gone[name] = true
	}
	for _, e := range endpoints {
		delete(gone, e.Name)
		r := p.of[e.Name]
		if r == nil {
			p.of[e.Name] = &resident{group: e.Group, site: e.site}
			continue
		}
		if r.group != e.Group || r.site != e.site {
			r.group, r.site = e.Group, e.site
			touched = append(append(touched, e.Name), p.beside(e.Name, r.keys)...)
		}
	}
	for name := range gone {
		touched = append(touched, p.beside(name, p.of[name].keys)...)
		p.remove(name, p.of[name].keys)
		delete(p.of, name)
	}
	return touched
}

// put notes what is remembered of an endpoint now and returns the names of the
// others that share a key which came or went. One that is not configured is left
// out; first says that a newer memory may be noted already.
func (p *peers) put(name string, m *history.Memory, first bool) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.of[name]
	if r == nil || first && r.read {
		return nil
	}
	r.read = true
	r.tells = r.tells[:0:0]
	for _, c := range m.Conditions {
		if c.Type == string(event.KeyShared) {
			r.tells = append(r.tells, c.Flaws...)
		}
	}
	keys := resides(m)
	went, came := map[jwks.Identity]time.Time{}, map[jwks.Identity]time.Time{}
	for id, t := range r.keys {
		if _, stays := keys[id]; !stays {
			went[id] = t
		}
	}
	for id, t := range keys {
		if _, was := r.keys[id]; !was {
			came[id] = t
		}
	}
	r.keys = keys
	touched := append(p.beside(name, went), p.beside(name, came)...)
	p.remove(name, went)
	for id := range came {
		p.at[id] = append(p.at[id], name)
	}
	return touched
}

// resides are the keys of a memory that stand and have a thumbprint. What is
// symmetric or cannot be read has none.
func resides(m *history.Memory) map[jwks.Identity]time.Time {
	keys := make(map[jwks.Identity]time.Time, len(m.Live))
	for i := range m.Live {
		id := m.Live[i].ID
		if s := m.Sightings[id]; s != nil && id.Kind == jwks.Thumbprint && len(keys) < maxResident {
			keys[id] = s.FirstSeen
		}
	}
	return keys
}

// beside are the other endpoints at which any of the keys stands.
func (p *peers) beside(name string, keys map[jwks.Identity]time.Time) []string {
	set := map[string]bool{}
	for id := range keys {
		for _, o := range p.at[id] {
			set[o] = true
		}
	}
	delete(set, name)
	return slices.Collect(maps.Keys(set))
}

// shares reports whether any of the keys stands at two endpoints.
func (p *peers) shares(keys map[jwks.Identity]time.Time) bool {
	for id := range keys {
		if len(p.at[id]) > 1 {
			return true
		}
	}
	return false
}

func (p *peers) remove(name string, keys map[jwks.Identity]time.Time) {
	for id := range keys {
		rest := slices.DeleteFunc(p.at[id], func(o string) bool { return o == name })
		if p.at[id] = rest; len(rest) == 0 {
			delete(p.at, id)
		}
	}
}

// seenBy returns where else a key stands; nil while that is not known.
func (p *peers) seenBy(name string) func(jwks.Identity) []rules.Peer {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if !p.whole {
		return nil
	}
	tells := rules.SharedFlaw(name)
	return func(id jwks.Identity) []rules.Peer {
		p.mu.RLock()
		defer p.mu.RUnlock()
		var out []rules.Peer
		for _, o := range p.at[id] {
			if r := p.of[o]; o != name {
				out = append(out, rules.Peer{
					Name: o, Group: r.group, Site: r.site, Since: r.keys[id], Tells: slices.Contains(r.tells, tells),
				})
			}
		}
		return out
	}
}

// completed says that all memories were read, and returns the endpoints for
// which there is something to judge by that.
func (p *peers) completed() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.whole = true
	var out []string
	for name, r := range p.of {
		if len(r.tells) > 0 || p.shares(r.keys) {
			out = append(out, name)
		}
	}
	return out
}

// index reads the memories of all endpoints. Until it is done nobody knows who
// shares what; polls do not wait for it.
func (w *Watcher) index(ctx context.Context) {
	for _, s := range w.slots() {
		if ctx.Err() != nil {
			return
		}
		s.mu.Lock()
		name := s.want.Name
		s.mu.Unlock()
		rec, err := w.Store.Latest(ctx, name)
		if err != nil {
			w.Log.Warn().Err(err).Str("endpoint", name).Msg("its keys are not known yet to those that may share them")
			continue
		}
		m, err := history.Decode(rec.Memory)
		if err != nil {
			continue // its own poll says so
		}
		w.peers.put(name, m, true)
	}
	w.judgeAgain(w.peers.completed())
}

// judgeAgain makes the next answers of the endpoints be judged, whether or not
// they are what the last ones were.
func (w *Watcher) judgeAgain(names []string) {
	slots := w.slots()
	for _, name := range names {
		i, ok := slices.BinarySearchFunc(slots, name, func(s *slot, name string) int { return strings.Compare(s.named, name) })
		if ok {
			slots[i].marked.Store(true)
		}
	}
}
