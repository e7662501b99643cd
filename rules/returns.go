package rules

import (
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// setRolledBack tells of an older set that is served again, by what it holds or by
// what the issuer counts it as.
func setRolledBack(c *Case) []Finding {
	r := c.resurrection
	if r == nil || r.olderAt.IsZero() {
		return sequenceRegressed(c)
	}
	f := Finding{
		When: c.When, Confirmed: c.Seen.Agreed > 1,
		Details: &event.SetRolledBackDetails{
			Code: "older_set", FirstObserved: event.AtOrNil(r.olderAt), Returned: len(r.changes), Retired: r.retired, Confirmation: c.Seen,
		},
	}
	what := "an older set is served again"
	if r.retired {
		f.Severity, what = event.SeverityHigh, what+", with a retired key"
		f.Reasons = []string{"retired_key"}
	}
	c.returned(&f)
	f.Message = c.message(&f, "", what, "tokens of what came back verify again")
	return []Finding{f}
}

// keyReappeared tells of keys that are back, in one event a step.
func keyReappeared(c *Case) []Finding {
	r := c.resurrection
	if r == nil || !r.olderAt.IsZero() || len(r.changes) == 0 {
		return nil
	}
	details := &event.KeyReappearedDetails{Retired: r.retired, Confirmation: r.changes[0].Seen}
	f := Finding{When: r.changes[0].or(c.When), Confirmed: r.changes[0].Seen.Agreed > 1}
	for i := range r.changes {
		s, ok := c.sighting(r.changes[i].ID)
		if !ok {
			continue
		}
		if retired := s.Retired(f.At); i == 0 || retired && !details.Retired || retired {
			details.AbsentS, details.PublishedS = int64(max(0, f.At.Sub(s.GoneBy))/time.Second), int64(s.Published/time.Second)
		}
	}
	what, subject := "came back", "key that was gone"
	if r.retired {
		f.Severity, subject = event.SeverityHigh, "retired key"
		f.Reasons = []string{"retired_key"}
	}
	f.Details = details
	c.returned(&f)
	if f.Key == nil {
		subject, what = "", fmt.Sprintf("%d keys that were gone came back", f.Count)
	}
	f.Message = c.message(&f, subject, what, "tokens of what came back verify again")
	return []Finding{f}
}

// returned names the keys that are back: one as the key of the event, several as a
// list.
func (c *Case) returned(f *Finding) {
	var list []KeyFact
	for _, ch := range c.resurrection.changes {
		fact := c.fact(*ch.Material.Key(), f.When)
		fact.LastSeen = f.At
		list = append(list, fact)
	}
	if f.Count = max(1, len(list)); len(list) == 1 {
		f.Key = &list[0]
		return
	}
	f.Keys = list
}

func setUnstable(c *Case) []Finding {
	d := c.unstable
	if d == nil {
		return nil
	}
	f := Finding{When: c.When, Confirmed: true, Details: d, opens: []string{history.FlawID(string(event.SetUnstable))}}
	f.Message = c.message(&f, "", "answers alternate between known sets", "nodes of the issuer are not equal: tokens verify or fail by chance")
	return []Finding{f}
}
