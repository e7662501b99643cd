// Package custom is the operator's own book of rules: typed matchers over the
// fields of an event, which have the last word on its severity.
//
// It can do four things to an event and no more: add a finding of a severity,
// lower it until a date with a reason, raise it by one step, and override a
// built-in rule. Nothing is ever dropped, and what must not be lowered is not.
// Evaluation is total: no loops, no patterns with a cost, no clock but the
// event's own time.
package custom

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Action is what a rule does to the events that it matches.
type Action string

// The actions.
const (
	Detect    Action = "detect"    // the severity is at least that of the rule
	Downgrade Action = "downgrade" // at most that, until the rule expires
	Raise     Action = "raise"     // one step up
)

// Rule is one rule of the operator.
type Rule struct {
	ID       string
	Title    string
	On       []string // types, objects as "key.*", or "*"
	Where    Matcher
	Action   Action // "" means Detect
	Severity event.Severity
	Escalate []Escalation
	Reason   string    // of a Downgrade
	Expires  time.Time // of a Downgrade
	By       string    // who answers for it
	// Fixed says that no Downgrade touches what the rule matches.
	Fixed bool
	Place string // file:line, for people
}

// Escalation gives a rule another severity where it also matches.
type Escalation struct {
	Where    Matcher
	Severity event.Severity
}

// Override changes a built-in rule.
type Override struct {
	ID       string
	Where    Matcher
	Severity event.Severity // 0: unchanged
	Off      bool
	Place    string
}

// Set is the operator's book. The zero Set changes nothing.
type Set struct {
	Rules     []Rule
	Overrides []Override
	// NoBuiltin silences the built-in rules: what they find is told as
	// informational, but for what is never lowered.
	NoBuiltin bool
}

// Digest identifies the set: two with the same digest judge alike.
func (s *Set) Digest() [32]byte {
	if s == nil || len(s.Rules) == 0 && len(s.Overrides) == 0 && !s.NoBuiltin {
		return [32]byte{}
	}
	plain := *s
	plain.Rules, plain.Overrides = slices.Clone(s.Rules), slices.Clone(s.Overrides)
	for i := range plain.Rules {
		plain.Rules[i].Place = ""
	}
	for i := range plain.Overrides {
		plain.Overrides[i].Place = ""
	}
	b, err := json.Marshal(plain)
	if err != nil {
		panic(err) // texts, numbers and times
	}
	return sha256.Sum256(b)
}

// Untouchable reports whether nothing may lower the event: private and compromised
// keys, exchanged material, and keys that can be broken.
func Untouchable(e *event.Event) bool {
	switch f := &e.Data.Event; f.Type {
	case event.KeyPrivate, event.KeyCompromised, event.KeyMutated:
		return true
	case event.KeyWeak, event.SetSplit:
		return f.Severity == event.SeverityCritical || f.Type == event.SetSplit
	}
	return false
}

// Apply gives the set the last word on an event that is about to be published:
// its severity, the rules that fired, and why it moved. Closings are left alone:
// they pass every filter that their opening passed.
func (s *Set) Apply(e *event.Event) {
	f := &e.Data.Event
	if s == nil || f.Condition != nil && f.Condition.State == event.Closed {
		return
	}
	v := verdict{e: e, fixed: Untouchable(e)}
	s.override(&v)
	escalated := s.detect(&v)
	s.downgrade(&v)
	s.raise(&v, escalated)
	f.SeverityID = int(f.Severity)
}

// verdict is an event under judgement.
type verdict struct {
	e     *event.Event
	fixed bool
}

func (v *verdict) move(to event.Severity, rule, kind, reason, by string, expires time.Time) {
	f := &v.e.Data.Event
	if f.Severity == to {
		return
	}
	f.Severity = to
	a := event.Adjustment{Rule: rule, Kind: kind, To: to, Reason: event.Text(reason), Expires: event.AtOrNil(expires)}
	if by != "" {
		a.By = new(event.Text(by))
	}
	v.e.Data.Judgement.Adjustments = append(slices.Clone(v.e.Data.Judgement.Adjustments), a)
}

func (v *verdict) because(reason string) {
	f := &v.e.Data.Event
	if !slices.Contains(f.Reasons, reason) {
		f.Reasons = append(slices.Clone(f.Reasons), reason)
	}
}

// override changes what the built-in rules said.
func (s *Set) override(v *verdict) {
	f := &v.e.Data.Event
	if s.NoBuiltin && !v.fixed {
		v.move(event.SeverityInformational, "builtin", "override", "builtin rules are off", "", time.Time{})
	}
	for i := range s.Overrides {
		o := &s.Overrides[i]
		if !slices.ContainsFunc(v.e.Data.Rules, func(r event.Rule) bool { return r.ID == o.ID }) || !o.Where.match(v.e) {
			continue
		}
		to := o.Severity
		if o.Off {
			to = event.SeverityInformational
		}
		if to == 0 || v.fixed && to < f.Severity {
			continue
		}
		if o.Off {
			v.because("suppressed_by:" + o.ID)
		}
		v.move(to, o.ID, "override", "overridden by the operator", "", time.Time{})
	}
}

// detect takes the highest severity of the rules that match. It reports whether
// one of them was escalated, which counts as the one raise that an event may have.
func (s *Set) detect(v *verdict) (escalated bool) {
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Action != Detect && r.Action != "" || !r.matches(v.e) {
			continue
		}
		to := r.Severity
		for _, e := range r.Escalate {
			if e.Severity > to && e.Where.match(v.e) {
				to, escalated = e.Severity, true
			}
		}
		v.fixed = v.fixed || r.Fixed
		v.e.Data.Rules = append(slices.Clone(v.e.Data.Rules), event.Rule{ID: r.ID, Title: event.Text(r.Title), Severity: to})
		if to > v.e.Data.Event.Severity {
			v.move(to, r.ID, "raise", "rule "+r.ID, "", time.Time{})
			if to >= event.SeverityMedium {
				v.e.Data.Event.Verdict = event.Unexpected
			}
		}
	}
	return escalated
}

// downgrade lowers, and never drops.
func (s *Set) downgrade(v *verdict) {
	f := &v.e.Data.Event
	if v.fixed {
		return
	}
	for i := range s.Rules {
		r := &s.Rules[i]
		if r.Action != Downgrade || !v.e.Time.Before(r.Expires) || r.Severity >= f.Severity || !r.matches(v.e) {
			continue
		}
		v.because("suppressed_by:" + r.ID)
		v.e.Data.Rules = append(slices.Clone(v.e.Data.Rules), event.Rule{ID: r.ID, Title: event.Text(r.Title), Severity: r.Severity})
		v.move(r.Severity, r.ID, "downgrade", r.Reason, r.By, r.Expires)
	}
}

// raise lifts by one step, once.
func (s *Set) raise(v *verdict, escalated bool) {
	f := &v.e.Data.Event
	for i := range s.Rules {
		r := &s.Rules[i]
		if escalated || r.Action != Raise || f.Severity >= event.SeverityCritical || !r.matches(v.e) {
			continue
		}
		v.e.Data.Rules = append(slices.Clone(v.e.Data.Rules), event.Rule{ID: r.ID, Title: event.Text(r.Title), Severity: f.Severity + 1})
		v.move(f.Severity+1, r.ID, "raise", "rule "+r.ID, "", time.Time{})
		return
	}
}

func (r *Rule) matches(e *event.Event) bool {
	return on(r.On, string(e.Data.Event.Type)) && r.Where.match(e)
}

// on reports whether one of the patterns names the type.
func on(patterns []string, typ string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		object, all := strings.CutSuffix(p, ".*")
		return p == "*" || p == typ || all && strings.HasPrefix(typ, object+".")
	})
}

// Types are the types that patterns name; an unknown name is an error.
func Types(patterns []string) ([]event.Type, error) {
	var out []event.Type
	for _, p := range patterns {
		before := len(out)
		for _, t := range event.Types() {
			if on([]string{p}, string(t)) {
				out = append(out, t)
			}
		}
		if len(out) == before {
			return nil, fmt.Errorf("no event has the type %q", event.Text(p))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
