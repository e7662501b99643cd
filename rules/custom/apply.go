package custom

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// maxListed bounds how many rules of the operator one event lists, severest first:
// a large book must not push evidence out of an event.
const maxListed = 32

// Apply gives the set the last word on an event that is about to be published:
// its severity, the rules that fired, and why it moved. Closings are left alone:
// they pass every filter that their opening passed. No rule repeats.
func (s *Set) Apply(e *event.Event) { s.ApplyAfter(e, nil) }

// ApplyAfter is Apply with a memory of what was told, which it changes: rules with
// a Repeat hold down what stands there. The memory is of one endpoint; nil is none.
func (s *Set) ApplyAfter(e *event.Event, told *Told) {
	f := &e.Data.Event
	if s == nil || f.Condition != nil && f.Condition.State == event.Closed {
		return
	}
	v := verdict{e: e, fixed: Untouchable(e)}
	s.override(&v)
	s.detect(&v)
	s.repeat(&v, told)
	s.downgrade(&v)
	s.raise(&v)
	s.remember(&v, told)
	v.list()
	f.SeverityID = int(f.Severity)
}

// verdict is an event under judgement.
type verdict struct {
	e         *event.Event
	fixed     bool
	escalated bool // which counts as the one raise that an event may have
	found     []finding
	fired     []event.Rule
	owned     bool // the lists of the event are our own to append to
}

// finding is a detection that matched.
type finding struct {
	rule *Rule
	to   event.Severity
	held bool // told already
}

func (v *verdict) own() {
	if v.owned {
		return
	}
	v.owned = true
	d := &v.e.Data
	d.Rules, d.Event.Reasons = slices.Clone(d.Rules), slices.Clone(d.Event.Reasons)
	d.Judgement.Adjustments = slices.Clone(d.Judgement.Adjustments)
}

func (v *verdict) move(to event.Severity, rule, kind, reason, by string, expires time.Time) {
	f := &v.e.Data.Event
	if f.Severity == to {
		return
	}
	v.own()
	f.Severity = to
	a := event.Adjustment{Rule: rule, Kind: kind, To: to, Reason: event.Text(reason), Expires: event.AtOrNil(expires)}
	if by != "" {
		a.By = new(event.Text(by))
	}
	v.e.Data.Judgement.Adjustments = append(v.e.Data.Judgement.Adjustments, a)
}

func (v *verdict) suppressed(by string) {
	f := &v.e.Data.Event
	if reason := "suppressed_by:" + by; !slices.Contains(f.Reasons, reason) {
		v.own()
		f.Reasons = append(f.Reasons, reason)
	}
}

func (v *verdict) fire(r *Rule, to event.Severity) {
	v.fired = append(v.fired, event.Rule{ID: r.ID, Title: event.Text(r.Title), Severity: to})
}

// list adds the rules that fired to the event. Those that set its severity must be
// among them, so the severest come first when they are too many.
func (v *verdict) list() {
	if len(v.fired) == 0 {
		return
	}
	if len(v.fired) > maxListed {
		slices.SortStableFunc(v.fired, func(a, b event.Rule) int { return int(b.Severity) - int(a.Severity) })
		v.fired = v.fired[:maxListed]
	}
	v.own()
	v.e.Data.Rules = append(v.e.Data.Rules, v.fired...)
}

// override changes what the built-in rules said.
func (s *Set) override(v *verdict) {
	f := &v.e.Data.Event
	if s.NoBuiltin && !v.fixed {
		v.move(event.SeverityInformational, "builtin", "override", "builtin rules are off", "", time.Time{})
	}
	var last *Override
	for i := range s.Overrides {
		o := &s.Overrides[i]
		to := o.to(f.Severity)
		if !slices.ContainsFunc(v.e.Data.Rules, func(r event.Rule) bool { return r.ID == o.ID }) || !o.Where.fits(v.e, to < f.Severity) {
			continue
		}
		if v.fixed && to < f.Severity {
			continue
		}
		last = o
	}
	if last == nil {
		return
	}
	if last.Off {
		v.suppressed(last.ID)
	}
	v.move(last.to(f.Severity), last.ID, "override", "overridden by the operator", "", time.Time{})
}

func (o *Override) to(now event.Severity) event.Severity {
	switch {
	case o.Off:
		return event.SeverityInformational
	case o.Severity == 0:
		return now
	}
	return o.Severity
}

// detect takes the highest severity of the rules that match.
func (s *Set) detect(v *verdict) {
	f := &v.e.Data.Event
	var best *finding
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Action != Detect && r.Action != "" || !r.matches(v.e, false) {
			continue
		}
		found, escalated := finding{rule: r, to: r.Severity}, event.Severity(0)
		for j := range r.Escalate {
			if e := &r.Escalate[j]; e.Severity > escalated && e.Where.fits(v.e, false) {
				escalated = e.Severity
			}
		}
		if escalated != 0 {
			found.to = escalated
			v.escalated = v.escalated || escalated > r.Severity
		}
		v.fixed = v.fixed || r.Fixed
		v.found = append(v.found, found)
		v.fire(r, found.to)
		if best == nil || found.to > best.to {
			best = &found
		}
	}
	if best == nil || best.to <= f.Severity {
		return
	}
	v.move(best.to, best.rule.ID, "raise", "rule "+best.rule.ID, "", time.Time{})
	if best.to >= event.SeverityMedium {
		f.Verdict = event.Unexpected
	}
}

// downgrade lowers, and never drops.
func (s *Set) downgrade(v *verdict) {
	f := &v.e.Data.Event
	if v.fixed {
		return
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Action != Downgrade || !v.e.Time.Before(r.Expires) || r.Severity >= f.Severity || !r.matches(v.e, true) {
			continue
		}
		v.suppressed(r.ID)
		v.fire(r, r.Severity)
		v.move(r.Severity, r.ID, "downgrade", r.Reason, r.By, r.Expires)
	}
}

// raise lifts by one step, once.
func (s *Set) raise(v *verdict) {
	f := &v.e.Data.Event
	for i := range s.Rules {
		r := &s.Rules[i]
		if v.escalated || r.Action != Raise || f.Severity >= event.SeverityCritical || !r.matches(v.e, false) {
			continue
		}
		v.fire(r, f.Severity+1)
		v.move(f.Severity+1, r.ID, "raise", "rule "+r.ID, "", time.Time{})
		return
	}
}

// matches reports whether the rule concerns the event; of every key of it, where it
// stands for several and the rule lowers.
func (r *Rule) matches(e *event.Event, lowers bool) bool {
	return !r.Off && on(r.On, string(e.Data.Event.Type)) && r.Where.fits(e, lowers)
}
