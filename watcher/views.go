package watcher

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// Bounds of what is kept of the single addresses of an endpoint.
const (
	resolveEvery = 10 * time.Minute
	addressFor   = 24 * time.Hour      // that the name has no more
	viewFor      = 30 * 24 * time.Hour // that a key is remembered which no answer shows
	maxViewKeys  = 1024
)

// views are what the single addresses of an endpoint showed. They are the
// worker's, and lost with the process: what differs must last anyway.
type views struct {
	list     []view // by address
	resolved time.Time
	next     int // place in list of the next one to ask
	maxAge   time.Duration
	told     [3]bool // what the rules would make of it: something is lacking, was never there, all is settled
}

// view is one address.
type view struct {
	addr   netip.Addr
	listed time.Time // the name had it last
	shown  rules.View
	body   [32]byte // of the last answer, and the keys in it
	keys   []jwks.Key
}

// probe asks one of the addresses of the endpoint by itself. In one round each of
// them is asked once.
func (w *Watcher) probe(ctx context.Context, s *slot) {
	if !s.e.EachAddress {
		s.views = nil
		return
	}
	if s.views == nil {
		s.views = &views{}
	}
	v := s.views
	t := s.e.Target
	if s.way != nil {
		if s.way.set == nil {
			return
		}
		t = *s.way.set
	}
	t.Timeout = min(asideTimeout, max(t.Timeout, time.Second))
	now := w.now()
	if tick := time.Now(); tick.Sub(v.resolved) >= resolveEvery { // monotonic
		v.resolved = tick
		ctx, cancel := context.WithTimeout(ctx, t.Timeout)
		list, err := w.Fetch.Addresses(ctx, t)
		cancel()
		if err != nil {
			w.Log.Debug().Err(err).Str("endpoint", s.e.Name).Msg("its addresses are not known")
		}
		v.have(list, tick)
	}
	if len(v.list) < 2 {
		return // what the poll saw is all there is to see
	}
	v.next = (v.next + 1) % len(v.list)
	a := &v.list[v.next]
	t.Addr = a.addr
	resp, err := w.Fetch.Get(ctx, t, nil)
	if err != nil || resp.Status != http.StatusOK {
		return // that one address is out of order is no other set
	}
	if !a.answered(&resp, withPort(t.URL, a.addr), now) {
		return
	}
	if told := v.verdict(s.e.Interval); told != v.told {
		v.told = told
		s.marked.Store(true)
	}
}

// have notes the addresses that the name has now.
func (v *views) have(list []netip.Addr, now time.Time) {
	for _, addr := range list {
		i := slices.IndexFunc(v.list, func(a view) bool { return a.addr == addr })
		if i < 0 && len(v.list) < fetch.MaxAddresses {
			v.list = append(v.list, view{addr: addr})
			i = len(v.list) - 1
		}
		if i >= 0 {
			v.list[i].listed = now
		}
	}
	v.list = slices.DeleteFunc(v.list, func(a view) bool { return now.Sub(a.listed) >= addressFor })
	slices.SortFunc(v.list, func(a, b view) int { return a.addr.Compare(b.addr) })
}

// answered notes an answer of the address, and reports whether it was a set.
func (a *view) answered(r *fetch.Response, address string, now time.Time) bool {
	if a.keys == nil || a.body != r.BodySHA256 {
		set := jwks.Parse(r.Body)
		if !set.Usable() {
			return false
		}
		a.body, a.keys = r.BodySHA256, make([]jwks.Key, 0, min(len(set.Keys), maxViewKeys))
		for i := range set.Keys[:min(len(set.Keys), maxViewKeys)] {
			k := &set.Keys[i]
			// What is the reason to tell two sets apart, and no more.
			a.keys = append(a.keys, jwks.Key{ID: k.ID, Kty: k.Kty, Use: k.Use, Ops: k.Ops, HasOps: k.HasOps})
		}
		a.shown.Digest, a.shown.Keys = set.Digest, len(set.Keys)
	}
	if a.shown.Seen == nil {
		a.shown.Seen, a.shown.Since, a.shown.Address = map[jwks.Identity]rules.Span{}, now, address
	}
	a.shown.Last = now
	for i := range a.keys {
		k := &a.keys[i]
		span, ok := a.shown.Seen[k.ID]
		if !ok {
			span.First = now
		}
		span.Last, span.Signs = now, span.Signs || k.Class() == jwks.ClassSignature
		a.shown.Seen[k.ID] = span
	}
	for id, span := range a.shown.Seen {
		if now.Sub(span.Last) > viewFor || len(a.shown.Seen) > 2*maxViewKeys && span.Last.Before(now) {
			delete(a.shown.Seen, id)
		}
	}
	return true
}

// withPort is an address with the port of a URL that was checked.
func withPort(raw string, addr netip.Addr) string {
	port := "443"
	if u, err := url.Parse(raw); err == nil && u.Port() != "" {
		port = u.Port()
	} else if err == nil && u.Scheme == "http" {
		port = "80"
	}
	return net.JoinHostPort(addr.String(), port)
}

// seen is what the rules are shown; nil when there is nothing yet.
func (v *views) seen() *rules.Views {
	if v == nil {
		return nil
	}
	out := &rules.Views{}
	for i := range v.list {
		if v.list[i].shown.Seen != nil {
			out.List = append(out.List, v.list[i].shown)
		}
	}
	if len(out.List) == 0 {
		return nil
	}
	return out
}

// verdict is what the rules would make of it. Only another one makes an answer be
// judged that did not change.
func (v *views) verdict(interval time.Duration) [3]bool {
	seen := v.seen()
	after := rules.SplitAfter(interval, v.maxAge, len(seen.List))
	lacking, never := seen.Differ(after)
	return [3]bool{lacking > 0, never > 0, seen.Settled(after)}
}
