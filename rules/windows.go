package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Why a change inside or outside of the change windows is judged as it is.
const (
	insideWindow  = "in_change_window"
	outsideWindow = "outside_change_window"
)

const (
	// longestCritical is how long a window of a critical endpoint may be open.
	longestCritical = 4 * time.Hour
	// sameStep is within what additions of one opening are one rotation: nodes do
	// not change at once.
	sameStep = 5 * time.Minute
	// openingKept is how long a past opening is remembered: until its use was told
	// and for a day could be acknowledged.
	openingKept = 72 * time.Hour
)

// expectable reports whether a change window may lower findings of the type. What
// only an attacker does is expected at no time.
func expectable(t event.Type) bool {
	switch t {
	case event.KeyAdded, event.KeyRemoved, event.KeyRelabelled, event.KeyCertificateChanged, event.SetReplaced,
		event.RotationOffCadence, event.RotationRemovedEarly, event.RotationNoOverlap:
		return true
	}
	return false
}

// opening is the one that was open when something of the case may have happened;
// nil for none.
func (c *Case) opening() *Opening {
	for i := range c.Policy.Windows {
		w := &c.Policy.Windows[i]
		if o, ok := w.Opening(c.At); ok {
			return &o
		}
		// A change is seen after it was made, and the window may be over by then.
		if c.After.IsZero() {
			continue
		}
		if o, ok := w.Opening(c.After); ok {
			return &o
		}
		if o, ok := w.Next(c.After); ok && !o.From.After(c.At) {
			return &o
		}
	}
	return nil
}

// windowed holds findings against the change windows of the endpoint.
func windowed(c *Case, list []Finding) {
	if len(c.Policy.Windows) == 0 || c.Before == nil || c.Before.Baseline.IsZero() || c.Baseline != "" {
		return
	}
	o := c.opening()
	if o != nil && c.uncertain() {
		return // it may have been inside as well as outside
	}
	if o != nil && c.usedUp(o) {
		o = nil
	}
	for i := range list {
		f := &list[i]
		switch {
		case f.Closing:
		case o != nil && expectable(f.Type):
			if c.fits(f, list) {
				f.Verdict = event.Expected
				f.because(insideWindow)
				f.lower(event.SeverityLow, "approval", "change window "+o.Name)
			}
		case o == nil && (f.Type == event.SetReplaced || f.Type == event.KeyAdded && f.Key != nil && f.Key.Key.Class() == jwks.ClassSignature):
			f.Verdict = event.Unexpected
			f.because(outsideWindow)
			f.lift(event.SeverityHigh, outsideWindow)
		}
	}
}

// usedUp reports whether the opening had its rotation: a second one in it is
// nobody's plan.
func (c *Case) usedUp(o *Opening) bool {
	if c.come() == 0 {
		return false
	}
	return slices.ContainsFunc(c.Before.Windowed, func(w history.Windowed) bool {
		return w.Name == o.Name && w.From.Equal(o.From) && w.Steps > 0 && c.At.Sub(w.Added) > c.oneStep()
	})
}

func (c *Case) oneStep() time.Duration { return max(sameStep, uncertainAfter*c.Policy.Interval) }

// fits reports whether a finding looks like a change that somebody makes in a
// window: of the usual kind, alone, and without anything new on the way. Who waits
// for an open window is not let in by it.
func (c *Case) fits(f *Finding, list []Finding) bool {
	if f.overNewWay() {
		return false
	}
	for _, r := range f.Reasons {
		switch r {
		case newProfile, weakerProfile, becameSigning:
			return false
		case rider:
			if m := c.Policy.Expect.KeysMax; m == 0 || c.signing() > m {
				return false
			}
		}
	}
	return !slices.ContainsFunc(list, func(f Finding) bool {
		switch f.Type {
		case event.DiscoveryMoved, event.DiscoveryEndpointMoved, event.DiscoveryIssuerMismatch, event.DiscoveryWeakened,
			event.EndpointCertificateChanged, event.EndpointTLSInvalid, event.EndpointRedirected, event.EndpointDangling,
			event.KeyMutated, event.KeyPrivate, event.KeyCompromised, event.KeyWeak:
			return !f.Closing
		}
		return false
	})
}

// signing counts the signing keys of the baseline after the step.
func (c *Case) signing() int {
	n := 0
	for _, m := range diff.Group(c.Keys) {
		if m.In(jwks.ClassSignature) {
			n++
		}
	}
	return n
}

// windowed remembers what came and went in an opening. The case is about to become
// the baseline.
func (s *step) windowed(c *Case) {
	o := c.opening()
	if o == nil {
		return
	}
	changes := 0
	var came []string
	for _, ch := range c.Changes {
		switch ch.Kind {
		case diff.Added:
			if t := identified(ch.Material.ID); t != nil {
				came = append(came, *t)
			}
			changes++
		case diff.Removed, diff.Relabelled:
			changes++
		}
	}
	if changes == 0 {
		return
	}
	w := s.within(o, false)
	if c.come() > 0 && (w.Steps == 0 || c.At.Sub(w.Added) > c.oneStep()) {
		w.Steps++
		w.Added = c.At
	}
	w.Changes += changes
	w.Keys = append(slices.Clone(w.Keys), came...)
	w.Keys = w.Keys[:min(len(w.Keys), history.MaxWindowedKeys)]
	s.out.Store = true
}

// within is what is remembered of the opening.
func (s *step) within(o *Opening, dated bool) *history.Windowed {
	list := slices.Clone(s.m.Windowed)
	i := slices.IndexFunc(list, func(w history.Windowed) bool { return w.Name == o.Name && w.From.Equal(o.From) })
	if i < 0 {
		if len(list) == history.MaxWindowed {
			list = slices.Delete(list, 0, 1)
		}
		list = append(list, history.Windowed{Name: o.Name, From: o.From, Until: o.To})
		i = len(list) - 1
	}
	list[i].Dated = list[i].Dated || dated
	s.m.Windowed = list
	return &list[i]
}

// windowsPassing tells of dated windows in which nothing came, and forgets what is
// long over.
func (s *step) windowsPassing(x *answer) {
	for i := range s.p.Windows {
		w := &s.p.Windows[i]
		if !w.Dated() {
			continue
		}
		if o, ok := w.Opening(s.o.At); ok && !slices.ContainsFunc(s.m.Windowed, func(m history.Windowed) bool { return m.Name == o.Name && m.From.Equal(o.From) }) {
			s.within(&o, true)
			s.out.Store = true
		}
	}
	var missed []history.Windowed
	list := slices.DeleteFunc(slices.Clone(s.m.Windowed), func(w history.Windowed) bool {
		return s.o.At.Sub(w.Until) > openingKept
	})
	for i := range list {
		w := &list[i]
		if !w.Dated || w.Told || w.Changes > 0 || s.o.At.Before(w.Until) {
			continue
		}
		w.Told = true
		if slices.ContainsFunc(s.p.Windows, func(p Window) bool { return p.Name == w.Name }) { // else it was called off
			missed = append(missed, *w)
		}
		s.out.Store = true
	}
	if len(list) != len(s.m.Windowed) {
		s.out.Store = true
	}
	if len(list) == 0 {
		list = nil
	}
	s.m.Windowed = list
	if len(missed) > 0 {
		c := s.passingCase(x)
		c.unused = missed
		s.judge(c)
	}
}

// windowsReview is when a dated window will have been missed.
func (s *step) windowsReview() time.Time {
	var next time.Time
	for _, w := range s.m.Windowed {
		if w.Dated && !w.Told && w.Changes == 0 && (next.IsZero() || w.Until.Before(next)) {
			next = w.Until
		}
	}
	for i := range s.p.Windows {
		// Its beginning must be noticed, and an endpoint may show nothing new for days.
		if o, ok := s.p.Windows[i].Next(s.o.At); ok && s.p.Windows[i].Dated() && (next.IsZero() || o.From.Before(next)) {
			next = o.From
		}
	}
	return next
}
