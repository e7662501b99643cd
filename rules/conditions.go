package rules

import (
	"encoding/json"
	"slices"

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
	return slices.ContainsFunc(s.m.Conditions, func(c *history.Condition) bool {
		return slices.Contains(c.Flaws, id)
	})
}

// unknown reports whether any flaw is news.
func (s *step) unknown(flaws []Flaw) bool {
	return slices.ContainsFunc(flaws, func(f Flaw) bool { return !s.isOpen(f.ID) })
}

// ends reports whether a complete answer shows that the condition is over.
func ends(c *history.Condition, answers ...*answer) bool {
	switch event.Type(c.Type) {
	case event.EndpointUnreachable:
		return false // ended by polls, not by what they say
	case event.SetEmptied:
		return !slices.ContainsFunc(answers, (*answer).empty)
	}
	for _, a := range answers {
		for _, f := range a.flaws {
			if slices.Contains(c.Flaws, f.ID) {
				return false
			}
		}
	}
	return true
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
	for _, cond := range slices.Clone(s.m.Conditions) {
		if ends(cond, answers...) {
			s.closeOne(c, cond)
		}
	}
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
	c.Opened = append(c.Opened, list...)
}

// openFlaws tells at once what is wrong with an answer whose keys, or the want
// of them, are still to be confirmed: a flaw is proven by one answer.
func (s *step) openFlaws(a *answer) {
	if !s.unknown(a.flaws) {
		return
	}
	c := s.newCase(a)
	c.Seen = seen(a, nil)
	s.flawsOpened(c, a, nil)
	s.judge(c)
}

func (s *step) close(c *Case, t event.Type) {
	if cond := s.open(t); cond != nil {
		s.closeOne(c, cond)
	}
}

func (s *step) closeOne(c *Case, cond *history.Condition) {
	s.m.Conditions = slices.DeleteFunc(s.m.Conditions, func(o *history.Condition) bool { return o == cond })
	c.closed = append(c.closed, cond)
	s.out.Store = true
}

// judge lets the book speak on a case and puts what it says into the outcome.
func (s *step) judge(c *Case) {
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
			f.Condition.Key = &f.Key.Key
		}
		// Details are structs of lists, texts and numbers: they always encode.
		f.Condition.Details, _ = json.Marshal(f.Details)
		s.m.Conditions = append(s.m.Conditions, f.Condition)
		s.out.Store = true
	}
	s.out.Findings = append(s.out.Findings, found...)
}
