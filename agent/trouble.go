package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// backlogs tells of sinks that do not get what they should. An event that is
// old because nobody ran, or because the clock jumped, is no backlog yet: the
// sink has as long as any other time to get it.
func (o *Overseer) backlogs(ctx context.Context, mono, wall time.Time) error {
	sinks := o.Sinks(ctx)
	waiting := make(map[string]time.Time, len(sinks))
	for _, s := range sinks {
		if s.Pending == 0 {
			continue
		}
		waiting[s.Name] = mono
		if at, ok := o.waiting[s.Name]; ok {
			waiting[s.Name] = at
		}
	}
	o.waiting = waiting
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		var words []word
		known := map[string]bool{}
		for _, s := range sinks {
			known[s.Name] = true
			old := s.Pending > 0 && wall.Sub(s.Oldest) > backlogIs
			c := m.find(codeBacklog, s.Name)
			switch {
			case c == nil && old && mono.Sub(waiting[s.Name]) > backlogIs:
				words = append(words, opens(m, wall, condition{Code: codeBacklog, Subject: s.Name},
					fmt.Sprintf("sink %s is behind: %s wait, the oldest since %s", s.Name, plural(int(s.Pending), "event"), clock(s.Oldest)),
					event.AgentDegradedDetails{Subject: new(s.Name), Pending: new(s.Pending), Since: event.AtOrNil(s.Oldest)}))
			case c != nil && (s.Pending == 0 || !old && s.Connected):
				words = append(words, closes(m, wall, c, fmt.Sprintf("sink %s has caught up", s.Name)))
			}
		}
		for _, c := range slices.Clone(m.Conditions) {
			if c.Code == codeBacklog && !known[c.Subject] {
				words = append(words, closes(m, wall, c, fmt.Sprintf("sink %s is not configured any more", c.Subject)))
			}
		}
		return words, len(words) > 0
	})
}

// state tells of a state that cannot be written. While it cannot, nothing can be
// told; it is told, opened and closed, when it can be written again.
func (o *Overseer) state(ctx context.Context, wall time.Time) error {
	since, cause := o.Failing()
	if !since.IsZero() {
		if o.cause == "" && cause != nil {
			o.cause = event.Text(cause.Error())
			o.Voice.Log.Error().Str("type", string(event.AgentDegraded)).Str("code", codeState).Str("error", o.cause).Msg("the state cannot be written: nothing becomes a baseline and nothing is published")
		}
		if o.failing.IsZero() {
			o.failing = since
		}
		return nil
	}
	if o.failing.IsZero() {
		return nil
	}
	began := o.failing
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		d := event.AgentDegradedDetails{Since: new(event.At(began)), Error: text(o.cause)}
		opened := opens(m, began, condition{Code: codeState},
			fmt.Sprintf("the state could not be written since %s; nothing became a baseline meanwhile", clock(began)), d)
		return []word{opened, closes(m, wall, opened.opens, "the state can be written again; what changed is found by the next polls")}, true
	})
	if err == nil {
		o.failing, o.cause = time.Time{}, ""
	}
	return err
}

// damaged tells of endpoints of which the state is damaged: they are polled, and nobody
// can say what changed. The next start finds the damage and goes on with a backup.
func (o *Overseer) damaged(ctx context.Context, wall time.Time) error {
	if o.Damaged == nil {
		return nil
	}
	list, why := o.Damaged()
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		c := m.find(codeDamaged, "")
		switch {
		case c == nil && len(list) > 0:
			return []word{opens(m, wall, condition{Code: codeDamaged, Count: len(list)},
				fmt.Sprintf("the state of %s is damaged: polled, but blind; a restart checks the state and goes on with a backup", plural(len(list), "endpoint")),
				event.AgentDegradedDetails{Failing: len(list), Endpoints: list[:min(len(list), maxListed)], Since: new(event.At(wall)), Error: text(why)})}, true
		case c != nil && len(list) == 0:
			return []word{closes(m, wall, c, "the state of no endpoint is damaged any more")}, true
		}
		return nil, false
	})
}

// opens notes a condition in the memory and makes its word.
func opens(m *memory, at time.Time, c condition, message string, d event.AgentDegradedDetails) word {
	c.OpenedAt, c.Severity = at.UTC().Truncate(time.Millisecond), uint8(event.SeverityHigh)
	m.Conditions = append(m.Conditions, &c)
	d.Code = c.Code
	return word{
		typ: event.AgentDegraded, severity: event.SeverityHigh, verdict: event.Unexpected, reasons: []string{c.Code},
		message: message, details: d, opens: &c,
	}
}

// closes takes a condition out of the memory and makes its word.
func closes(m *memory, at time.Time, c *condition, message string) word {
	m.drop(c)
	d := event.AgentDegradedDetails{Code: c.Code, Since: new(event.At(c.OpenedAt))}
	if c.Subject != "" {
		d.Subject = new(c.Subject)
	}
	return word{
		typ: event.AgentDegraded, severity: event.SeverityInformational, verdict: event.Informational,
		reasons: []string{"condition_closed", c.Code},
		message: message + fmt.Sprintf("; it lasted %s", lasting(at.Sub(c.OpenedAt))), details: d, closes: c,
	}
}
