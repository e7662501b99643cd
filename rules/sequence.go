package rules

import (
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// storeSequence is how often a sequence number that rises alone is worth a write: an
// issuer may count every answer.
const storeSequence = 10 * time.Minute

// regressed is a sequence number that went down and stays there.
type regressed struct{ from, to uint64 }

// sequencePassing holds the set's sequence number against the highest that was
// seen. A lagging node has the time of any other: only what stays lower is told,
// once, and is then what the next one is held against.
func (s *step) sequencePassing(x *answer) {
	if !x.set.HasSequence {
		return
	}
	q, n := &s.m.Sequence, x.set.Sequence
	switch {
	case q.At.IsZero() || n > q.Highest && (s.o.At.Sub(q.At) >= storeSequence || !q.Since.IsZero()):
		*q, s.out.Store = history.Sequence{Highest: n, At: s.o.At}, true
	case n >= q.Highest && !q.Since.IsZero():
		q.Since, s.out.Store = time.Time{}, true
	case n < q.Highest && q.Since.IsZero():
		q.Since, s.out.Store = s.o.At, true
	case n < q.Highest && s.m.Pending == nil && s.o.At.Sub(q.Since) >= s.settling():
		c := s.passingCase(x)
		c.After, c.Seen.Attempts, c.Seen.Agreed = q.At, 2, 2 // it stood when the time began too
		c.regressed = &regressed{q.Highest, n}
		*q, s.out.Store = history.Sequence{Highest: n, At: s.o.At}, true
		s.judge(c)
	}
}

// sequenceReview is when a lower number has stood for long enough.
func (s *step) sequenceReview() time.Time {
	if q := &s.m.Sequence; !q.Since.IsZero() {
		return q.Since.Add(s.settling())
	}
	return time.Time{}
}

func sequenceRegressed(c *Case) []Finding {
	r := c.regressed
	if r == nil {
		return nil
	}
	f := Finding{
		When: c.When, Confirmed: true, Severity: event.SeverityHigh, Reasons: []string{"sequence_regressed"},
		Details: &event.SetRolledBackDetails{Code: "sequence_regressed", Confirmation: c.Seen},
	}
	f.Message = c.message(&f, "", fmt.Sprintf("the sequence number of the set went down from %d to %d and stays there", r.from, r.to), "keys that were withdrawn since may be trusted again")
	return []Finding{f}
}
