package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// Bounds of what one endpoint may tell. No bound is shared between endpoints:
// who floods silences nobody else.
const (
	// MaxEvents in a period may be told one by one, unless the policy says
	// otherwise.
	MaxEvents   = 60
	floodPeriod = time.Hour
	floodSpared = 10 // more of high, and as many of critical severity
	noisyFor    = 10 * time.Minute
)

// bounded lets through what the endpoint may tell and counts the rest. The
// severest come first, and the severe have room of their own: what an attacker
// would hide in a flood of additions is told all the same. What opens stays open
// untold; what ends is told, since it is bounded by the openings that were.
func (s *step) bounded(found []Finding) []Finding {
	places := make([]int, len(found))
	for i := range places {
		places[i] = i
	}
	slices.SortStableFunc(places, func(a, b int) int { return cmp.Compare(found[b].Severity, found[a].Severity) })
	withheld := make([]bool, len(found))
	for _, i := range places {
		f := &found[i]
		if f.Closing || f.late || f.Type == event.EndpointNoisy || f.Type == event.BaselineEstablished || s.room(f.Severity) {
			continue
		}
		withheld[i] = true
		if f.Condition != nil {
			f.Condition.Untold = true
		}
		s.m.Flood.Withhold(string(f.Type), uint8(f.Severity), s.o.At)
		s.out.Store = true
	}
	var out []Finding
	for i := range found {
		if !withheld[i] {
			out = append(out, found[i])
		}
	}
	return out
}

// room takes the room for one more event, if there is any.
func (s *step) room(severity event.Severity) bool {
	fl, now := &s.m.Flood, s.o.At
	return severity == event.SeverityCritical && fl.Critical.Take(now, floodSpared, floodPeriod) ||
		severity == event.SeverityHigh && fl.High.Take(now, floodSpared, floodPeriod) ||
		fl.Regular.Take(now, cmp.Or(s.p.MaxEvents, MaxEvents), floodPeriod)
}

// noisy tells that something is withheld, and of what severity at most, as soon
// as it is; and after a while how much of what it was.
func (s *step) noisy() {
	fl := &s.m.Flood
	if fl.Since.IsZero() {
		return
	}
	open := s.open(event.EndpointNoisy)
	worst := event.SeverityMedium
	for _, w := range fl.Withheld {
		worst = max(worst, event.Severity(w.Severity))
	}
	over := s.o.At.Sub(fl.Since) >= noisyFor || s.o.At.Before(fl.Since)
	c := s.newCase()
	c.aside = true
	c.Seen = event.Confirmation{Attempts: 1, Agreed: 1, Addresses: []string{}}
	if open != nil && (over || uint8(worst) > open.Severity) {
		open.Details, _ = json.Marshal(noise(fl)) // times, texts and numbers: it always encodes
		s.close(c, event.EndpointNoisy)
		open = nil
	}
	switch {
	case over:
		*fl = history.Flood{Regular: fl.Regular, High: fl.High, Critical: fl.Critical}
		s.retell(c)
	case open == nil:
		c.noise, c.noiseSeverity = noise(fl), worst
	}
	if len(c.closed) > 0 || c.noise != nil || len(c.late) > 0 {
		s.judge(c)
	}
}

// retell tells, as far as there is room, of conditions that still stand and were
// withheld when they opened.
func (s *step) retell(c *Case) {
	for _, o := range s.m.Conditions {
		if o.Untold && s.room(event.Severity(o.Severity)) {
			o.Untold = false
			c.late = append(c.late, o)
		}
	}
	if slices.ContainsFunc(s.m.Conditions, func(o *history.Condition) bool { return o.Untold }) {
		s.m.Flood.Since = s.o.At // the next ones after another while
	}
	s.out.Store = true
}

// floodReview is when what is withheld is to be counted.
func (s *step) floodReview() time.Time {
	if s.m.Flood.Since.IsZero() {
		return time.Time{}
	}
	return s.m.Flood.Since.Add(noisyFor)
}

func noise(fl *history.Flood) *event.EndpointNoisyDetails {
	d := &event.EndpointNoisyDetails{Since: event.AtOrNil(fl.Since), Types: []event.NoiseType{}}
	for _, w := range fl.Withheld {
		d.Types = append(d.Types, event.NoiseType{
			Type: event.Type(w.Type), Severity: event.Severity(w.Severity), Count: w.Count,
			First: event.AtOrNil(w.First), Last: event.AtOrNil(w.Last),
		})
	}
	return d
}

func endpointNoisy(c *Case) []Finding {
	if c.noise == nil {
		return nil
	}
	return []Finding{{
		Severity: c.noiseSeverity, Details: c.noise, opens: []string{history.FlawID(string(event.EndpointNoisy))},
		Message: short(fmt.Sprintf("%s: more than %d events in an hour: the rest is counted for %d minutes; show the endpoint to see what it serves",
			c.Policy.Endpoint, cmp.Or(c.Policy.MaxEvents, MaxEvents), int(noisyFor/time.Minute))),
	}}
}

// late makes the finding of a condition that was withheld when it opened.
func late(book []Rule, c *Case, cond *history.Condition) Finding {
	f := closed(book, c, cond)
	f.Closing, f.late, f.Severity, f.Base = false, true, event.Severity(cond.Severity), event.Severity(cond.Severity)
	f.Verdict, f.Reasons = f.Rule.Verdict, []string{"withheld_before"}
	f.Message = short(fmt.Sprintf("%s: since %s, told late: %s", c.Policy.Endpoint, clock(cond.OpenedAt), f.Rule.Title))
	return f
}
