package rules

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// open returns the open condition of the type, nil when there is none.
func (s *step) open(t event.Type) *history.Condition {
	for _, c := range s.m.Conditions {
		if c.Type == string(t) {
			return c
		}
	}
	return nil
}

// isOpen reports whether a condition holds the flaw.
func (s *step) isOpen(id string) bool {
	if s.held == nil {
		s.held = map[string]bool{}
		for _, c := range s.m.Conditions {
			for _, f := range c.Flaws {
				s.held[f] = true
			}
		}
	}
	return s.held[id]
}

// unknown reports whether any flaw is news.
func (s *step) unknown(flaws []Flaw) bool {
	return slices.ContainsFunc(flaws, func(f Flaw) bool { return !s.isOpen(f.ID) })
}

// tells reports whether the answer says anything of conditions of the type: one
// whose discovery failed says nothing of the discovery document.
func (a *answer) tells(t event.Type) bool {
	object, _, _ := strings.Cut(string(t), ".")
	switch {
	case object != "discovery" && object != "endpoint":
		return true
	case a.facts == nil, ofSet(t) && !a.valid():
		return false
	}
	return object == "endpoint" || a.facts.Discovery == nil || a.facts.Discovery.Failure == nil
}

// byState reports whether the condition is one that the state machine ends: that an
// answer does not show it says nothing.
func byState(t event.Type) bool {
	switch t {
	case event.EndpointNoisy, event.SetUnstable, event.RotationNoOverlap:
		return true
	}
	return byTime(t)
}

// ends reports whether complete answers show that the condition is over.
func ends(c *history.Condition, answers ...*answer) bool {
	switch t := event.Type(c.Type); {
	case byFailure(t):
		return false // ended by polls, not by what they say
	case byState(t):
		return false // by what is remembered, in their own time
	case t == event.SetEmptied:
		return !slices.ContainsFunc(answers, (*answer).empty)
	}
	return !slices.ContainsFunc(answers, func(a *answer) bool { return a.hasAny(c) || !a.tells(event.Type(c.Type)) })
}

// closable counts the open conditions that the answer says are over.
func (s *step) closable(x *answer) int {
	n := 0
	for _, c := range s.m.Conditions {
		if ends(c, x) {
			n++
		}
	}
	return n
}

// flaws opens what the answers show and closes what none of them shows. first
// may be nil.
func (s *step) flaws(c *Case, first, x *answer) {
	s.flawsOpened(c, first, x)
	answers := []*answer{x}
	if first != nil {
		answers = append(answers, first)
	}
	var over []*history.Condition
	for _, cond := range s.m.Conditions {
		if ends(cond, answers...) {
			over = append(over, cond)
		}
	}
	s.closeAll(c, over)
}

// flawsOpened notes the flaws that are news, each with the number of answers
// that showed it. Either answer may be nil.
func (s *step) flawsOpened(c *Case, first, x *answer) {
	var list []Flaw
	at := map[string]int{}
	attempts := 0
	for _, a := range []*answer{first, x} {
		if a == nil {
			continue
		}
		attempts++
		for _, f := range a.flaws {
			if s.isOpen(f.ID) {
				continue
			}
			f.Seen = event.Confirmation{Addresses: addresses(first, x)}
			i, ok := at[f.ID]
			if !ok {
				if a == x && first != nil {
					f.When = When{first.at, x.at}
				}
				i = len(list)
				at[f.ID] = i
				list = append(list, f)
			} else {
				f.Seen, f.When = list[i].Seen, list[i].When
				list[i] = f
			}
			list[i].Seen.Agreed++
		}
	}
	for i := range list {
		list[i].Seen.Attempts = attempts
	}
	if c.Baseline == "" {
		list = slices.DeleteFunc(list, func(f Flaw) bool { return f.Want && f.Seen.Agreed < 2 })
	}
	c.Opened = append(c.Opened, list...)
}

// openFlaws tells at once what is wrong with an answer whose keys, or the want
// of them, are still to be confirmed, and what is new on its way: a flaw is
// proven by one answer.
func (s *step) openFlaws(a *answer) {
	if !s.unknown(a.flaws) && !s.novel(a) {
		s.learn(a)
		return
	}
	c := s.newCase(a)
	c.Seen = seen(a, nil)
	s.flawsOpened(c, a, nil)
	s.out.Store = true
	s.judge(c)
	s.learn(a)
}

func (s *step) close(c *Case, t event.Type) {
	if cond := s.open(t); cond != nil {
		s.closeAll(c, []*history.Condition{cond})
	}
}

// closeAll takes the conditions, which are in the order of the memory, out of it.
func (s *step) closeAll(c *Case, over []*history.Condition) {
	if len(over) == 0 {
		return
	}
	rest := over
	s.m.Conditions = slices.DeleteFunc(s.m.Conditions, func(o *history.Condition) bool {
		if len(rest) == 0 || rest[0] != o {
			return false
		}
		rest = rest[1:]
		return true
	})
	for _, o := range over {
		if !o.Untold { // whose opening nobody heard of
			c.closed = append(c.closed, o)
		}
	}
	s.held = nil
	s.out.Store = true
}

// judge lets the book speak on a case and puts what it says into the outcome.
func (s *step) judge(c *Case) {
	c.open = s.m.Conditions
	found := Judge(s.book, c)
	for i := range found {
		f := &found[i]
		if len(f.opens) == 0 {
			continue
		}
		f.Condition = &history.Condition{
			Type: string(f.Type), Flaws: f.opens, OpenedAt: c.At, Severity: uint8(f.Severity), Rule: f.Rule.ID,
		}
		if f.Key != nil {
			f.Condition.Key = new(history.Slim(f.Key.Key))
		}
		// Details are structs of lists, texts and numbers: they always encode.
		f.Condition.Details, _ = json.Marshal(f.Details)
		s.m.Conditions = append(s.m.Conditions, f.Condition)
		s.held, s.out.Store = nil, true
	}
	s.out.Findings = append(s.out.Findings, s.bounded(found)...)
}
