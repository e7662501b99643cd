package rules

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// unsteady reports whether one more flip at this time makes the endpoint
// unstable: an earlier one within a week, or the fourth in a quarter. Flips of one
// rollout count once.
func (s *step) unsteady(at time.Time) (yes, slow bool) {
	g := s.settling()
	apart, lastAt := 1, at
	for _, f := range slices.Backward(s.m.Flips) {
		age := at.Sub(f)
		if age >= g && age <= flipWithin {
			return true, false
		}
		if age <= flipsOver && lastAt.Sub(f) >= g {
			apart, lastAt = apart+1, f
		}
	}
	return apart >= flipsSlow, apart >= flipsSlow
}

// opensUnstable opens the condition.
func (s *step) opensUnstable(c *Case, x *answer, slow bool) {
	st := &s.m.Stability
	st.Phase, st.Since, st.Back = history.Unstable, c.At, nil
	st.Flips, st.First, st.Last, st.Longest, st.Shares, st.Slow = 1, c.At, c.At, 0, nil, slow
	for _, f := range slices.Backward(s.m.Flips) {
		if c.At.Sub(f) <= flipWithin {
			st.Flips++
			st.First = f
			st.Longest = max(st.Longest, st.Last.Sub(f))
		}
	}
	for _, d := range s.m.Digests[max(0, len(s.m.Digests)-2):] {
		st.Shown(d.Sum, d.Keys)
	}
	st.Shown(x.set.Digest, len(x.set.Keys))
	st.Opened(c.At, flipsOver)
	s.flips(c.At)
	c.unstable = unstableDetails(st, c.Seen)
}

func unstableDetails(st *history.Stability, seen event.Confirmation) *event.SetUnstableDetails {
	d := &event.SetUnstableDetails{Flips: st.Flips, Since: event.AtOrNil(st.First), Last: event.AtOrNil(st.Last), Sets: []event.SetShare{}, Confirmation: seen}
	for _, h := range st.Shares {
		d.Sets = append(d.Sets, event.SetShare{Digest: "sha256:" + hex.EncodeToString(h.Sum[:]), Keys: h.Keys, Answers: h.Count})
	}
	slices.SortStableFunc(d.Sets, func(a, b event.SetShare) int { return int(b.Answers) - int(a.Answers) })
	return d
}
