package configs

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// lowers tells of rules by which events may be less severe than before: who may
// write a file of rules may be who should be seen.
func (d *Delta) lowers(old, new *custom.Set) {
	if new.NoBuiltin && !old.NoBuiltin {
		d.shrinks("rules.builtin is turned off")
	}
	for i := range new.Rules {
		r := &new.Rules[i]
		if before := ruleOf(old, r.ID); r.Action == custom.Downgrade && !r.Off && (before == nil || !sameRule(before, r)) {
			if before == nil || before.Action != custom.Downgrade || before.Off {
				d.shrinks("rule %s lowers severities", r.ID)
			} else {
				d.shrinks("rule %s lowers severities otherwise than before", r.ID)
			}
		}
	}
	for i := range old.Rules {
		r := &old.Rules[i]
		if r.Action == custom.Downgrade || r.Off {
			continue
		}
		switch now := ruleOf(new, r.ID); {
		case now == nil:
			d.shrinks("rule %s is gone", r.ID)
		case now.Off:
			d.shrinks("rule %s is switched off", r.ID)
		case now.Action != r.Action && now.Action != custom.Downgrade:
			d.shrinks("rule %s has action %s and no longer %s", r.ID, now.Action, r.Action)
		case now.Severity < r.Severity && now.Action == r.Action:
			d.shrinks("rule %s is %s and no longer %s", r.ID, now.Severity, r.Severity)
		case r.Fixed && !now.Fixed:
			d.shrinks("what rule %s finds may be lowered", r.ID)
		case now.Repeat > r.Repeat:
			d.shrinks("rule %s is silent for %s once it told", r.ID, formatDuration(now.Repeat))
		}
	}
	d.overrides(old, new)
}

// overrides tells of overrides that came and lower, and of those that went and
// raised.
func (d *Delta) overrides(old, new *custom.Set) {
	builtin := map[string]event.Severity{}
	for _, r := range rules.Book() {
		builtin[r.ID] = r.Severity
	}
	has := func(s *custom.Set, o *custom.Override) bool {
		return slices.ContainsFunc(s.Overrides, func(other custom.Override) bool {
			return digestOf(custom.Set{Overrides: []custom.Override{other}}) == digestOf(custom.Set{Overrides: []custom.Override{*o}})
		})
	}
	for i := range new.Overrides {
		switch o := &new.Overrides[i]; {
		case has(old, o):
		case o.Off:
			d.shrinks("rule %s is switched off", o.ID)
		case o.Severity < builtin[o.ID]:
			d.shrinks("rule %s is overridden as %s", o.ID, o.Severity)
		}
	}
	for i := range old.Overrides {
		if o := &old.Overrides[i]; !o.Off && o.Severity > builtin[o.ID] && !has(new, o) {
			d.shrinks("rule %s is no longer overridden as %s", o.ID, o.Severity)
		}
	}
}

func ruleOf(s *custom.Set, id string) *custom.Rule {
	for i := range s.Rules {
		if s.Rules[i].ID == id {
			return &s.Rules[i]
		}
	}
	return nil
}

func sameRule(a, b *custom.Rule) bool {
	return digestOf(custom.Set{Rules: []custom.Rule{*a}}) == digestOf(custom.Set{Rules: []custom.Rule{*b}})
}

func digestOf(s custom.Set) [32]byte { return s.Digest() }
