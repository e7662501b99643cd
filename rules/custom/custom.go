// Package custom is the operator's own book of rules: typed matchers over the
// fields of an event, which have the last word on its severity.
//
// It can do five things to an event and no more: add a finding of a severity,
// lower it until a date with a reason, hold down what was told not long ago,
// raise it by one step, and override a built-in rule. Nothing is ever dropped, and
// what must not be lowered is not. Evaluation is total: no loops, no patterns with
// a cost, no clock but the event's own time.
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
	Action   Action         // "" means Detect
	Severity event.Severity `json:",omitzero"` // 0 of a Raise
	Escalate []Escalation
	// Repeat is for how long a Detect holds down what it told already, of the same
	// type and about the same keys of the same endpoint; 0: it tells every time.
	Repeat  time.Duration
	Reason  string    // of a Downgrade
	Expires time.Time // of a Downgrade
	By      string    // who answers for it
	// Fixed says that no Downgrade touches what the rule matches.
	Fixed bool
	Off   bool   // it matches nothing, and is listed still
	Place string // file:line, for people
}

// Escalation gives a rule another severity where it also matches: the highest of
// those that match takes the place of the rule's own, which may be higher.
type Escalation struct {
	Where    Matcher
	Severity event.Severity
}

// Override changes a built-in rule. Of several that match the last one counts.
type Override struct {
	ID       string
	Where    Matcher
	Severity event.Severity `json:",omitzero"` // 0: unchanged
	Off      bool
	Place    string
}

// Set is the operator's book. The zero Set changes nothing. It is not changed by
// its use, and may be used at once by many.
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
// keys, exchanged material, keys that can be broken, and split views.
func Untouchable(e *event.Event) bool {
	f := &e.Data.Event
	return Pinned(f.Type) || f.Type == event.KeyWeak && f.Severity == event.SeverityCritical
}

// Pinned reports whether no event of the type may be lowered, however severe it is.
func Pinned(t event.Type) bool {
	switch t {
	case event.KeyPrivate, event.KeyCompromised, event.KeyMutated, event.SetSplit:
		return true
	}
	return false
}

// on reports whether one of the patterns names the type.
func on(patterns []string, typ string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		object, all := strings.CutSuffix(p, ".*")
		return p == "*" || p == typ || all && len(typ) > len(object) && typ[len(object)] == '.' && typ[:len(object)] == object
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
