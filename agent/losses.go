package agent

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// EventsLost says that events were lost to a sink. It may be said again after a
// crash: that is better than never.
func (v *Voice) EventsLost(ctx context.Context, at time.Time, d event.AgentEventsLostDetails) error {
	what := "events"
	if d.Count == 1 {
		what = "event"
	}
	var message string
	switch d.Cause {
	case "receiver_lost":
		message = fmt.Sprintf("sink %s has lost %d %s that it had acknowledged", d.Sink, d.Count, what)
	case "max_backlog":
		message = fmt.Sprintf("sink %s lacks more than its max_backlog: the oldest %d %s will never reach it", d.Sink, d.Count, what)
	default:
		message = fmt.Sprintf("sink %s was away for so long that retention dropped up to %d %s", d.Sink, d.Count, what)
	}
	if d.Since != nil {
		message += ", of " + clock(d.Since.Time) + " and later"
	}
	if d.Resent {
		message += "; sent again"
	}
	return v.say(ctx, at, func(*memory) ([]word, bool) {
		return []word{{
			typ: event.AgentEventsLost, severity: event.SeverityHigh, verdict: event.Unexpected, reasons: []string{d.Cause},
			message: message, details: d,
		}}, true
	})
}

// suppressedCalm is how long a sink must not be suspicious any more.
const suppressedCalm = time.Hour

// suspicion is what a sink said it had, though it was never sent.
type suspicion struct {
	count uint64    // at the last look
	at    time.Time // of the last rise, or of the first look
}

// suppressed tells of sinks that have events which were never sent. Who may
// publish to the stream, and knows or guesses an id, can make it drop ours.
func (o *Overseer) suppressed(ctx context.Context, mono, wall time.Time) error {
	sinks := o.Sinks(ctx)
	rise := map[string]uint64{}
	if o.suspicions == nil {
		o.suspicions = map[string]suspicion{}
	}
	for _, s := range sinks {
		was, known := o.suspicions[s.Name]
		if s.Suspicious > was.count {
			rise[s.Name] = s.Suspicious - was.count
		}
		if !known || s.Suspicious != was.count {
			o.suspicions[s.Name] = suspicion{s.Suspicious, mono}
		}
	}
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		var words []word
		for name, n := range rise {
			if m.find(codeSuppressed, name) != nil {
				continue
			}
			words = append(words, opens(m, wall, condition{Code: codeSuppressed, Subject: name},
				fmt.Sprintf("sink %s says it has %s already that it was never sent: someone may take ids to suppress events", name, plural(int(n), "event")),
				event.AgentDegradedDetails{Subject: new(name), Since: new(event.At(wall))}))
		}
		for _, c := range slices.Clone(m.Conditions) {
			if c.Code == codeSuppressed && rise[c.Subject] == 0 && mono.Sub(o.suspicions[c.Subject].at) >= suppressedCalm {
				words = append(words, closes(m, wall, c, fmt.Sprintf("sink %s took all as new for an hour", c.Subject)))
			}
		}
		return words, len(words) > 0
	})
}

// unsafeIs is how long a receiver must be badly set up: who makes a stream may
// take a moment to finish it, and one question that nobody answers is no setting.
const unsafeIs = 90 * time.Second

// unsafe tells of receivers that are set up to lose what they acknowledge.
func (o *Overseer) unsafe(ctx context.Context, mono, wall time.Time) error {
	known := map[string]SinkState{}
	since := map[string]time.Time{}
	for _, s := range o.Sinks(ctx) {
		if known[s.Name] = s; s.Problem == "" {
			continue
		}
		since[s.Name] = mono
		if at, ok := o.unsafeSince[s.Name]; ok {
			since[s.Name] = at
		}
	}
	o.unsafeSince = since
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		var words []word
		for _, c := range slices.Clone(m.Conditions) {
			s, configured := known[c.Subject]
			if c.Code == codeUnsafe && (!configured || s.Judged && s.Problem == "") {
				words = append(words, closes(m, wall, c, fmt.Sprintf("the receiver of sink %s is well set up, or not ours any more", c.Subject)))
			}
		}
		for _, name := range slices.Sorted(maps.Keys(since)) {
			if mono.Sub(since[name]) < unsafeIs || m.find(codeUnsafe, name) != nil {
				continue
			}
			words = append(words, opens(m, wall, condition{Code: codeUnsafe, Subject: name},
				fmt.Sprintf("the receiver of sink %s is not set up to keep every event; events are sent nevertheless", name),
				event.AgentDegradedDetails{Subject: new(name), Since: new(event.At(wall)), Error: text(known[name].Problem)}))
		}
		return words, len(words) > 0
	})
}
