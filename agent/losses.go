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

// sinkCalm is how long nothing of its kind must have happened to a sink until a
// condition about it closes.
const sinkCalm = time.Hour

// tally is a counter of a sink as it was last seen.
type tally struct {
	count uint64
	at    time.Time // of the last rise, or of the first look
}

// mishap is a condition that opens when a counter of a sink rises.
type mishap struct {
	code   string
	count  func(*SinkState) uint64
	opened string // text, with the name of the sink and the number of events
	closed string // text, with the name of the sink
}

// mishaps are the conditions of this kind.
func mishaps() []mishap {
	return []mishap{
		// Who may publish to the stream, and knows or guesses an id, can make it drop ours.
		{
			codeSuppressed, func(s *SinkState) uint64 { return s.Suspicious },
			"sink %s says it has %s already that it was never sent: someone may take ids to suppress events", "sink %s took all as new for an hour",
		},
		{
			codeParked, func(s *SinkState) uint64 { return s.Parked },
			"sink %s refused %s for good: in the journal only; the ops log names each", "sink %s refused nothing for an hour",
		},
	}
}

// rises tells of sinks one of whose counters rises.
func (o *Overseer) rises(ctx context.Context, k mishap, mono, wall time.Time) error {
	rise, seen := map[string]uint64{}, map[string]tally{}
	for _, s := range o.Sinks(ctx) {
		was, known := o.tallies[k.code][s.Name]
		n := k.count(&s)
		if n > was.count {
			rise[s.Name] = n - was.count
		}
		if seen[s.Name] = was; !known || n != was.count {
			seen[s.Name] = tally{n, mono}
		}
	}
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		var words []word
		for _, name := range slices.Sorted(maps.Keys(rise)) {
			if m.find(k.code, name) != nil {
				continue
			}
			words = append(words, opens(m, wall, condition{Code: k.code, Subject: name},
				fmt.Sprintf(k.opened, name, plural(int(rise[name]), "event")),
				event.AgentDegradedDetails{Subject: new(name), Since: new(event.At(wall))}))
		}
		for _, c := range slices.Clone(m.Conditions) {
			if c.Code == k.code && rise[c.Subject] == 0 && mono.Sub(seen[c.Subject].at) >= sinkCalm {
				words = append(words, closes(m, wall, c, fmt.Sprintf(k.closed, c.Subject)))
			}
		}
		return words, len(words) > 0
	})
	if err != nil {
		return err // what rose is still to be told
	}
	if o.tallies == nil {
		o.tallies = map[string]map[string]tally{}
	}
	o.tallies[k.code] = seen
	return nil
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
