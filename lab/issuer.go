package lab

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"
)

// Issuer serves one JSON Web Key Set at any path. The zero Issuer serves the
// empty set. All methods may be called at any time from any goroutine; an
// answer under way goes on with the document and the Answer it began with.
//
// Methods that name a kid change every entry published under it, and report
// whether there was one.
type Issuer struct {
	// Keep is how many answers Served remembers; zero means 1024.
	Keep int

	mu      sync.Mutex
	entries []published
	answer  Answer
	served  []Served
	count   int
	arrived chan struct{} // closed and replaced at every request; nil when nobody waits
}

// published is one entry of the set.
type published struct {
	key    Key
	leaked bool // the private half is printed too
}

// Publish replaces the whole set.
func (i *Issuer) Publish(keys ...Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.entries = nil
	for _, k := range keys {
		i.entries = append(i.entries, published{key: k})
	}
}

// Keys is what stands in the set now.
func (i *Issuer) Keys() []Key {
	i.mu.Lock()
	defer i.mu.Unlock()
	keys := make([]Key, len(i.entries))
	for n, e := range i.entries {
		keys[n] = e.key
	}
	return keys
}

// Add appends a key to the set, even under a kid that is taken.
func (i *Issuer) Add(k Key) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.entries = append(i.entries, published{key: k})
}

// Remove takes the kid out of the set.
func (i *Issuer) Remove(kid string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := len(i.entries)
	i.entries = slices.DeleteFunc(i.entries, func(e published) bool { return e.key.Kid == kid })
	return len(i.entries) < before
}

// Rotate adds the key and takes the kid out, in one step that no request can
// fall into.
func (i *Issuer) Rotate(k Key, kid string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := len(i.entries)
	i.entries = slices.DeleteFunc(i.entries, func(e published) bool { return e.key.Kid == kid })
	found := len(i.entries) < before
	i.entries = append(i.entries, published{key: k})
	return found
}

// Mutate gives the kid new material, the change that RFC 7517 has no word for
// and that an attacker needs. See Key.Renew.
func (i *Issuer) Mutate(kid string) bool {
	return i.change(kid, func(e *published) { *e = published{key: e.key.Renew()} })
}

// Relabel publishes the same material under another kid.
func (i *Issuer) Relabel(kid, to string) bool {
	return i.change(kid, func(e *published) { e.key = e.key.With("kid", to) })
}

// Alter sets one member. See Key.With.
func (i *Issuer) Alter(kid, member string, value any) bool {
	return i.change(kid, func(e *published) { e.key = e.key.With(member, value) })
}

// Drop takes one member out. See Key.Without.
func (i *Issuer) Drop(kid, member string) bool {
	return i.change(kid, func(e *published) { e.key = e.key.Without(member) })
}

// Leak publishes the private half too, until the kid is mutated or published
// anew.
func (i *Issuer) Leak(kid string) bool {
	return i.change(kid, func(e *published) { e.leaked = true })
}

// Empty serves {"keys":[]}.
func (i *Issuer) Empty() { i.Publish() }

// Answer sets how requests are answered from now on; nil is honest again.
func (i *Issuer) Answer(a Answer) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.answer = a
}

// Current is the document an honest answer holds now.
func (i *Issuer) Current() []byte {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.document()
}

func (i *Issuer) change(kid string, do func(*published)) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	found := false
	for n := range i.entries {
		if i.entries[n].key.Kid == kid {
			do(&i.entries[n])
			found = true
		}
	}
	return found
}

func (i *Issuer) document() []byte {
	entries := make([]map[string]any, len(i.entries))
	for n, e := range i.entries {
		entries[n] = e.key.entry(e.leaked)
	}
	return DocumentOf(entries...)
}

// ServeHTTP answers one request as told.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	rec := &recorder{ResponseWriter: w}
	i.mu.Lock()
	i.count++
	number := i.count
	answer, document := i.answer, i.document()
	i.remember(newServed(number, r))
	if i.arrived != nil {
		close(i.arrived)
		i.arrived = nil
	}
	i.mu.Unlock()
	// Deferred, because some answers end by http.ErrAbortHandler.
	defer i.finish(number, rec)
	answer.give(rec, r, document)
}

func (i *Issuer) remember(s Served) {
	keep := i.Keep
	if keep <= 0 {
		keep = 1024
	}
	if len(i.served) >= keep {
		i.served = slices.Delete(i.served, 0, len(i.served)-keep+1)
	}
	i.served = append(i.served, s)
}

func (i *Issuer) finish(number int, rec *recorder) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for n := range i.served {
		if i.served[n].Number == number {
			rec.into(&i.served[n])
			i.served[n].Ended = time.Now()
		}
	}
}

// Served is what was answered, oldest first, the last Keep answers. Those still
// under way have a zero Ended.
func (i *Issuer) Served() []Served {
	i.mu.Lock()
	defer i.mu.Unlock()
	list := slices.Clone(i.served)
	for n := range list {
		list[n].Header = list[n].Header.Clone()
	}
	return list
}

// Count is how many requests have arrived.
func (i *Issuer) Count() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.count
}

// Await returns when n requests have arrived since the issuer was made, or with
// the cause of ctx's end. An answer to the last of them may be under way still.
func (i *Issuer) Await(ctx context.Context, n int) error {
	for {
		i.mu.Lock()
		if i.count >= n {
			i.mu.Unlock()
			return nil
		}
		if i.arrived == nil {
			i.arrived = make(chan struct{})
		}
		arrived := i.arrived
		i.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
