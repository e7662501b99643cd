package rules

import (
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// How long a difference between addresses must last. Servers get a new set one
// after the other, and caches before them keep the old one.
const (
	splitLeast  = time.Hour
	splitMaxAge = 2 // times max-age
	splitGrace  = 4 // times the grace in which answers may go to and fro
	splitRounds = 2 // each address was asked so often meanwhile
	maxViews    = 16
)

// Views are what the single addresses of one endpoint showed, each asked by
// itself.
type Views struct{ List []View } // by address, each once

// View is what one address showed. Several servers may stand behind it and take
// turns: what counts is what all its answers of a time showed between them.
type View struct {
	Address     string // with port, as an event shows it
	Since, Last time.Time
	Digest      [32]byte // of the last answer, as is Keys
	Keys        int
	Seen        map[jwks.Identity]Span
}

// Span is when an address showed a key.
type Span struct {
	First, Last time.Time
	Signs       bool // it can verify signatures
}

// difference is a key that one address shows and another does not.
type difference struct {
	id    jwks.Identity
	span  Span // at the address that shows it
	never bool // the other one never did
	from  time.Time
	other *View
}

// SplitAfter is how long a difference between n addresses must last.
func SplitAfter(interval, maxAge time.Duration, n int) time.Duration {
	grace := max(min(15*interval, 15*time.Minute), min(2*maxAge, 2*time.Hour))
	return max(splitLeast, splitMaxAge*maxAge, splitGrace*grace, time.Duration(splitRounds*n)*interval)
}

// Settled reports whether all addresses were watched together for so long that
// what differs is known.
func (v *Views) Settled(after time.Duration) bool {
	if v == nil || len(v.List) == 0 {
		return false
	}
	begun := slices.MaxFunc(v.List, func(a, b View) int { return a.Since.Compare(b.Since) }).Since
	return !slices.ContainsFunc(v.List, func(a View) bool { return a.Last.Sub(begun) < after })
}

// Differ counts the keys that one address shows and another has not shown for the
// time, and those that it never showed. It is cheap.
func (v *Views) Differ(after time.Duration) (lacking, never int) {
	for _, d := range v.differences(after) {
		if lacking++; d.never {
			never++
		}
	}
	return lacking, never
}

func (v *Views) differences(after time.Duration) []difference {
	var out []difference
	for i := range v.List {
		for j := range v.List {
			if i != j {
				out = append(out, lacks(&v.List[i], &v.List[j], after)...)
			}
		}
	}
	return out
}

// lacks lists what a showed lately, when b had not shown it for the time. Servers
// behind one address may take turns, so no single answer decides.
func lacks(a, b *View, after time.Duration) []difference {
	var out []difference
	for id, s := range a.Seen {
		if a.Last.Sub(s.Last) >= after {
			continue
		}
		d := difference{id: id, span: s, other: b}
		if o, ok := b.Seen[id]; ok {
			d.from = o.Last
		} else {
			d.from, d.never = b.Since, true
		}
		if s.First.After(d.from) {
			d.from = s.First
		}
		if s.Last.Sub(d.from) >= after && b.Last.Sub(d.from) >= after {
			out = append(out, d)
		}
	}
	return out
}

// split finds addresses that serve different sets for longer than a roll-out
// takes. A signing key that one side shows and another never showed is what
// somebody serves to a part of the world.
func split(r *Recalled) []Flaw {
	if r.Views == nil {
		if !r.Policy.EachAddress {
			return nil
		}
		return r.held(event.SetSplit)
	}
	var maxAge time.Duration
	if r.Facts != nil {
		maxAge = r.Facts.MaxAge
	}
	after := SplitAfter(r.Policy.Interval, maxAge, len(r.Views.List))
	list := r.Views.differences(after)
	if len(list) == 0 {
		if r.Views.Settled(after) {
			return nil
		}
		return r.held(event.SetSplit)
	}
	d := &event.SetSplitDetails{Code: "rollout", Views: []event.View{}}
	f := Flaw{Severity: event.SeverityMedium, Details: d, What: "addresses of the host serve different sets, and not only for a while: verifiers disagree about tokens"}
	var since time.Time
	for _, x := range list {
		if since.IsZero() || x.from.Before(since) {
			since = x.from
		}
		if x.never && x.span.Signs && !r.knew(x.id, x.other.Since) {
			d.Code, f.Severity = "unknown_key", event.SeverityHigh
		}
	}
	if d.Code == "unknown_key" {
		f.What = "a signing key stands at some addresses of the host and never at others: who is sent there trusts it"
	}
	d.Since = event.AtOrNil(since)
	for i := range r.Views.List[:min(len(r.Views.List), maxViews)] {
		d.Views = append(d.Views, r.Views.told(i))
	}
	f.ID = history.FlawID(string(event.SetSplit), d.Code)
	return []Flaw{f}
}

// knew reports whether the key was published here before the time: what stands
// at one address alone may be left over from then.
func (r *Recalled) knew(id jwks.Identity, before time.Time) bool {
	s := r.Before.Sightings[id]
	return s != nil && s.FirstSeen.Before(before)
}

// told is what is told of an address.
func (v *Views) told(i int) event.View {
	a := &v.List[i]
	out := event.View{Address: event.Text(a.Address), Digest: fmt.Sprint("sha256:", hex.EncodeToString(a.Digest[:])), Keys: a.Keys}
	for id, s := range a.Seen {
		alone := !slices.ContainsFunc(v.List, func(o View) bool {
			_, shows := o.Seen[id]
			return shows && o.Address != a.Address
		})
		if alone && s.Last.Equal(a.Last) {
			out.Only++
		}
	}
	return out
}
