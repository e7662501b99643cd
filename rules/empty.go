package rules

import (
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
)

// firstEmpty starts the looks that an empty set needs. While the condition is
// open an empty answer is no news: the known keys stay the baseline.
func (s *step) firstEmpty(x *answer) {
	s.openFlaws(x)
	aside := s.m.Pending
	if aside != nil && !aside.Told {
		aside = nil // of no set: all that it claimed is told
	}
	if s.open(event.SetEmptied) == nil {
		if s.m.Shown.IsZero() {
			s.m.Shown = x.after
		}
		s.wait(x)
		s.m.Pending.Aside = aside
		return
	}
	if s.m.Pending != nil && aside == nil {
		s.drop()
	}
	if s.open(event.DocumentInvalid) != nil {
		c := s.newCase(x)
		c.Seen = seen(x, nil)
		s.close(c, event.DocumentInvalid)
		s.judge(c)
	}
}

// stillEmpty counts an empty answer and tells when there were enough, over a
// time that a deployment's restart does not take.
func (s *step) stillEmpty(first, x *answer) {
	s.openFlaws(x)
	p := s.m.Pending
	p.Looks++
	s.out.Store = true
	// The claim is due within two intervals: short ones cannot wait 30 s.
	need, since := min(EmptySpan, s.p.Interval*8/5), x.at.Sub(p.At)
	if p.Looks < EmptyLooks || since < need {
		s.out.Look = LookAfter
		if p.Looks >= EmptyLooks-1 {
			s.out.Look = max(need-since, LookAfter)
		}
		return
	}
	c := s.newCase(first, x)
	c.Emptied = &Emptied{Known: len(diff.Group(s.m.Live))}
	c.Seen = event.Confirmation{Attempts: p.Looks, Agreed: p.Looks, Addresses: addresses(x, nil)}
	s.m.Pending = p.Aside
	s.newest(x) // though not the baseline
	s.close(c, event.DocumentInvalid)
	s.judge(c)
}

// refilled drops the claim that the set is empty. What was told before the empty
// answers still waits for a look that is not empty: without it, an issuer that
// serves an empty set in between would never lose a key.
func (s *step) refilled(x *answer) {
	s.flips(x.at)
	aside := s.m.Pending.Aside
	s.drop()
	if aside == nil {
		s.first(x)
		return
	}
	s.m.Pending = aside
	s.second(s.restore(), x)
}

// lastShown is the last good poll that showed the keys that now are gone. Polls
// that showed an empty set were good, and showed none.
func (s *step) lastShown(after time.Time) time.Time {
	if !s.m.Shown.IsZero() && s.m.Shown.Before(after) {
		return s.m.Shown
	}
	return after
}
