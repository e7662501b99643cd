package rules

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// RollUpOver findings of equal type, severity, verdict and reasons become one
// event with a count.
const RollUpOver = 8

// Judge lets every rule of the book speak on a case and orders what they say:
// the set first, then its keys.
func Judge(book []Rule, c *Case) []Finding { return order(rollUp(findings(book, c))) }

// Compare judges two documents of which nothing else is known, as the daemon
// would: changes, and the flaws that the new one has and the old one had not.
// Nothing is rolled up. Both sets must be usable.
func Compare(book []Rule, before, after *jwks.Set) []Finding {
	d := diff.Compare(before.Keys, after.Keys)
	c := &Case{Keys: after.Keys, Old: before.Keys, Seen: event.Confirmation{Attempts: 1, Agreed: 1, Addresses: []string{}}}
	if len(after.Keys) == 0 {
		if len(before.Keys) > 0 {
			c.Emptied = &Emptied{Known: len(d.Old)}
		}
		return order(findings(book, c))
	}
	changes := diff.Classify(d, diff.Alone(before.Keys, after.Keys))
	for _, ch := range changes {
		c.Changes = append(c.Changes, Change{Change: ch, Seen: c.Seen})
	}
	if diff.Replaced(d, changes) {
		c.Replaced = newReplaced(d, changes)
	}
	known := map[string]bool{}
	for _, f := range Inspect(book, before) {
		known[f.ID] = true
	}
	for _, f := range Inspect(book, after) {
		if !known[f.ID] {
			f.Seen = c.Seen
			c.Opened = append(c.Opened, f)
		}
	}
	return order(findings(book, c))
}

func findings(book []Rule, c *Case) []Finding {
	var out []Finding
	for i := range book {
		r := &book[i]
		if r.Judge == nil {
			continue
		}
		list := r.Judge
		if ofWay(r.Type) {
			list = func(c *Case) []Finding { return onWay(r, c) }
		}
		for _, f := range list(c) {
			f.Rule, f.Type, f.Count = r, r.Type, max(f.Count, 1)
			if f.Severity == 0 {
				f.Severity = r.Severity
			}
			if f.Verdict == "" {
				f.Verdict = r.Verdict
			}
			f.Base = f.Severity
			out = append(out, f)
		}
	}
	for _, f := range c.Opened {
		out = append(out, opened(c, f))
	}
	for _, cond := range c.closed {
		out = append(out, closed(book, c, cond))
	}
	for _, cond := range c.late {
		out = append(out, late(book, c, cond))
	}
	for i := range out {
		out[i].When = out[i].or(c.When)
		out[i].Evidence = c.evidence(&out[i])
	}
	explain(c, out)
	combined(c, out)
	learned(c, out)
	raise(c, out)
	windowed(c, out)
	declared(c, out)
	return out
}

// explain marks the companions of a leading finding. An addition or removal
// beside set.replaced says nothing more; what may never be explained away
// keeps its own severity.
func explain(c *Case, list []Finding) {
	for i := range list {
		f := &list[i]
		switch f.Type {
		case event.KeyAdded, event.KeyRemoved:
			if c.Replaced != nil {
				f.Reasons = append(f.Reasons, "explained_by:"+string(event.SetReplaced))
				if c.habit.verdict == "" || c.habit.verdict == "off_habit" {
					// That event calls somebody already; it does not where it is a habit.
					f.lower(event.SeverityMedium, "explained", "explained_by:"+string(event.SetReplaced))
				}
			}
		case event.SetNoSigningKeys:
			if c.Replaced != nil && !f.Closing {
				f.Reasons = append(f.Reasons, "explained_by:"+string(event.SetReplaced))
				f.lower(event.SeverityLow, "explained", "explained_by:"+string(event.SetReplaced))
			}
		case event.EndpointUnreachable:
			if by := c.cause(); by != "" && !f.Closing {
				f.Reasons = append(f.Reasons, "explained_by:"+string(by))
				f.lower(event.SeverityLow, "explained", "explained_by:"+string(by))
			}
		}
	}
}

// cause is what explains that an endpoint does not answer, "" for nothing.
func (c *Case) cause() event.Type {
	if c.Policy.Degraded {
		return event.AgentDegraded
	}
	for _, t := range [...]event.Type{event.EndpointTLSInvalid, event.EndpointDangling, event.EndpointRedirected} {
		if slices.ContainsFunc(c.open, func(o *history.Condition) bool { return o.Type == string(t) }) ||
			slices.ContainsFunc(c.Opened, func(f Flaw) bool { return f.Rule.Type == t }) {
			return t
		}
	}
	return ""
}

// lower brings the severity down to a level, if it is above.
func (f *Finding) lower(to event.Severity, kind, reason string) {
	if f.Severity <= to {
		return
	}
	f.Severity = to
	f.Adjusted = append(f.Adjusted, event.Adjustment{Rule: f.Rule.ID, Kind: kind, To: to, Reason: reason})
}

// evidence is that of the answer which first showed the finding.
func (c *Case) evidence(f *Finding) *event.Transport {
	if f.Failure != nil {
		return f.Failure.Evidence
	}
	for _, a := range c.looks {
		if a.at.Equal(f.At) && a.facts != nil {
			return a.facts.Evidence
		}
	}
	if len(c.looks) == 0 && c.Facts != nil {
		return c.Facts.Evidence // of the discovery before a failure
	}
	return nil
}

// raise lifts on critical endpoints what is a question elsewhere: by one level,
// and a plain addition to medium unless something is declared of the endpoint.
func raise(c *Case, list []Finding) {
	if c.Policy.Tier != "critical" {
		return
	}
	for i := range list {
		f := &list[i]
		if f.Closing {
			continue
		}
		to := f.Severity
		switch f.Type {
		case event.KeyAdded:
			if reasoned(f) {
				to++
			} else if !c.Policy.Expect.declares() {
				to = max(to, event.SeverityMedium)
			}
		case event.RotationOffCadence, event.SetRolledBack, event.KeyReappeared, event.KeyEphemeral, event.KeyRelabelled:
			to++
		case event.SetReplaced:
			to = max(to, event.SeverityMedium) // of a habit
		case event.SetAmbiguous:
			if slices.Contains(f.Reasons, openedByChange) {
				to++
			}
		}
		f.lift(min(to, event.SeverityCritical), "tier_critical")
	}
}

// setsFirst puts what is told of the endpoint and of the set before what is told
// of keys, over all cases of a step: they are one change set. All else stays as it
// is, so that no condition ends before it begins.
func setsFirst(list []Finding) []Finding {
	last := func(f *Finding) int {
		switch object, _, _ := strings.Cut(string(f.Type), "."); object {
		case "discovery", "endpoint", "document", "baseline", "set":
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return cmp.Compare(last(&a), last(&b)) })
	return list
}

// order puts findings of the endpoint first, then of the set, then of keys; of
// each the closings first. The order within is the book's.
func order(list []Finding) []Finding {
	rank := func(f *Finding) int {
		r := 4
		switch object, _, _ := strings.Cut(string(f.Type), "."); object {
		case "discovery", "endpoint", "document":
			r = 0
		case "baseline":
			r = 1
		case "set":
			r = 2
		}
		if !f.Closing && r == 2 {
			r++
		}
		return r
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return cmp.Compare(rank(&a), rank(&b)) })
	return list
}
