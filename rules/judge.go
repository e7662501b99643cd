package rules

import (
	"cmp"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
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
		for _, f := range r.Judge(c) {
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
	for i := range out {
		out[i].When = out[i].or(c.When)
	}
	explain(c, out)
	raise(c, out)
	return out
}

// explain marks the companions of a leading finding. An addition or removal
// beside set.replaced says nothing more; what may never be explained away
// keeps its own severity.
func explain(c *Case, list []Finding) {
	if c.Replaced == nil {
		return
	}
	for i := range list {
		f := &list[i]
		if f.Type != event.KeyAdded && f.Type != event.KeyRemoved {
			continue
		}
		f.Reasons = append(f.Reasons, "explained_by:"+string(event.SetReplaced))
	}
}

// raise lifts on critical endpoints, where nothing announces a change yet:
// a plain addition to medium, a returning key and a new label by one level.
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
			to = max(to, event.SeverityMedium)
		case event.KeyReappeared, event.KeyRelabelled:
			to = min(to+1, event.SeverityCritical)
		}
		if to == f.Severity {
			continue
		}
		f.Severity = to
		f.Adjusted = append(f.Adjusted, event.Adjustment{Rule: f.Rule.ID, Kind: "raise", To: to, Reason: "tier_critical"})
	}
}

// rollUp joins findings that differ in the key only. Mutations and leaks are
// never joined: each is an incident.
func rollUp(list []Finding) []Finding {
	groups := map[string][]int{}
	for i := range list {
		if k := groupOf(&list[i]); k != "" {
			groups[k] = append(groups[k], i)
		}
	}
	var out []Finding
	for i := range list {
		f := list[i]
		g := groups[groupOf(&f)]
		if len(g) <= RollUpOver {
			out = append(out, f)
			continue
		}
		if g[0] != i {
			continue
		}
		f.Count = 0
		for _, j := range g {
			o := &list[j]
			f.Count += o.Count
			f.opens = append(f.opens[:len(f.opens):len(f.opens)], o.opens...)
			f.Confirmed = f.Confirmed && o.Confirmed
			if o.Key != nil {
				f.Keys = append(f.Keys, *o.Key)
			}
		}
		f.opens = slices.Compact(slices.Sorted(slices.Values(f.opens)))
		f.Key, f.Previous, f.Change = nil, nil, event.Change{}
		f.Message = rolledUp(&f)
		out = append(out, f)
	}
	return out
}

func groupOf(f *Finding) string {
	switch {
	case f.Type == event.KeyPrivate, f.Type == event.KeyMutated, f.Closing, f.Key == nil && len(f.opens) == 0:
		return ""
	}
	return strings.Join(append([]string{string(f.Type), f.Severity.String(), string(f.Verdict)}, f.Reasons...), "\x00")
}

// order puts findings of the endpoint first, then of the set, then of keys; of
// each the closings first. The order within is the book's.
func order(list []Finding) []Finding {
	rank := func(f *Finding) int {
		r := 4
		switch object, _, _ := strings.Cut(string(f.Type), "."); object {
		case "endpoint", "document":
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
