package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// StartFacts are what a start knows.
type StartFacts struct {
	Endpoints    []Watched
	Sinks        []string
	ConfigDigest string // sha256:<hex>
	// Posture is what the configuration holds endpoints to, as it is stored, and Since
	// says what differs from one that was stored before: its lists, and whether a
	// critical endpoint went. Without them names, tiers and intervals are compared.
	Posture []byte
	Since   func(before []byte) (d event.AgentConfigChangedDetails, critical bool, err error)
}

// Watched is an endpoint that is watched from now on.
type Watched struct {
	Name     string
	Tier     string
	Interval time.Duration
}

// Start says that a run begins, and what the run before left unsaid: that it
// did not end in order, and which endpoints nobody saw for longer than their
// limit. It must be called before anything is polled.
func (v *Voice) Start(ctx context.Context, at time.Time, f StartFacts) error {
	rec, err := v.Store.Latest(ctx, event.AgentStream)
	if err != nil {
		return fmt.Errorf("reading the record of the agent: %w", err)
	}
	alive := rec.At
	if l := v.lost; l != nil { // the newest word is that of the loss
		if alive = l.Known.At; alive.Before(l.Found.At) {
			alive = l.Found.At
		}
	}
	seen := map[string]time.Time{}
	for _, e := range f.Endpoints {
		t, err := v.Store.LastSeen(ctx, e.Name)
		if err != nil {
			return fmt.Errorf("reading when %s was last seen: %w", e.Name, err)
		}
		if !t.IsZero() {
			seen[e.Name] = t
		}
		if t.After(alive) {
			alive = t
		}
	}
	before, err := decodeCoverage(rec.Body)
	if err != nil {
		return err
	}
	now := f.coverage()
	return v.record(ctx, at, now.encode(), func(m *memory) ([]word, bool) {
		var words []word
		last := m.Run
		if v.lost != nil {
			last = nil // how the run before ended stood in what was lost
		}
		if last != nil && !last.Ended {
			words = append(words, unclean(last, alive, at))
		}
		words = append(words, started(f, last, alive, at))
		if w, ok := missed(m, f, seen, at); ok {
			words = append(words, w)
		}
		if m.Run != nil && m.Run.ConfigDigest != f.ConfigDigest && before != nil {
			words = append(words, before.restarted(now, &f, m.Run.ConfigDigest))
		}
		m.Run = &runState{StartedAt: at, ConfigDigest: f.ConfigDigest, Version: v.Observer().Version}
		return words, true
	})
}

// Ran returns which version of the agent ran on this state last, and whether any did;
// "" is one that noted none.
func (v *Voice) Ran(ctx context.Context, now time.Time) (version string, ran bool, err error) {
	err = v.say(ctx, now, func(m *memory) ([]word, bool) {
		if m.Run != nil {
			version, ran = m.Run.Version, true
		}
		return nil, false
	})
	return version, ran, err
}

func started(f StartFacts, last *runState, alive, at time.Time) word {
	d := event.AgentStartedDetails{
		NewState: alive.IsZero(), Endpoints: len(f.Endpoints), Sinks: len(f.Sinks), LastAlive: event.AtOrNil(alive),
	}
	message := fmt.Sprintf("watching %s from now on", plural(len(f.Endpoints), "endpoint"))
	if last != nil {
		d.Clean = new(last.Ended)
	}
	if !alive.IsZero() {
		blind := max(0, at.Sub(alive))
		d.BlindS = new(int64(blind / time.Second))
		message += fmt.Sprintf("; nobody watched for %s, since %s", lasting(blind), clock(alive))
	}
	return word{
		typ: event.AgentStarted, severity: event.SeverityInformational, verdict: event.Informational, message: message, details: d,
	}
}

// unclean tells of a run that ended without a word.
func unclean(r *runState, alive, at time.Time) word {
	if alive.Before(r.StartedAt) {
		alive = r.StartedAt
	}
	blind := max(0, at.Sub(alive))
	return word{
		typ: event.AgentStopped, rule: ruleUnclean, severity: event.SeverityMedium, verdict: event.Unexpected, reasons: []string{"unclean"},
		message: fmt.Sprintf("the run before did not end in order: nobody watched for %s, since %s", lasting(blind), clock(alive)),
		details: event.AgentStoppedDetails{
			Reason: "unclean", StartedAt: new(event.At(r.StartedAt)), UptimeS: int64(alive.Sub(r.StartedAt) / time.Second),
			LastAlive: new(event.At(alive)), BlindS: new(int64(blind / time.Second)),
		},
	}
}

// missed tells of endpoints that nobody saw for longer than their limit while
// no agent ran.
func missed(m *memory, f StartFacts, seen map[string]time.Time, at time.Time) (word, bool) {
	g := gap{cause: "not_running", total: len(f.Endpoints)}
	for _, e := range f.Endpoints {
		last, ok := seen[e.Name]
		limit := rules.GapLimit(e.Tier, e.Interval)
		// A clock that is behind what it said before says nothing of how long.
		if !ok || at.Sub(last) <= limit && last.Sub(at) <= clockJump || m.told(e.Name, last) {
			continue
		}
		g.add(e.Name, last, limit)
	}
	if len(g.endpoints) == 0 {
		return word{}, false
	}
	return g.word(m, at), true
}

// Stop says that a run ends. Reason is signal or error.
func (v *Voice) Stop(ctx context.Context, at time.Time, reason string) error {
	return v.say(ctx, at, func(m *memory) ([]word, bool) {
		if m.Run == nil || m.Run.Ended {
			return nil, false
		}
		up := max(0, at.Sub(m.Run.StartedAt))
		m.Run.Ended = true
		return []word{{
			typ: event.AgentStopped, severity: event.SeverityLow, verdict: event.Informational, reasons: []string{reason},
			message: fmt.Sprintf("nobody watches from now on: the agent ends in order (%s) after %s", reason, lasting(up)),
			details: event.AgentStoppedDetails{
				Clean: true, Reason: reason, StartedAt: new(event.At(m.Run.StartedAt)), UptimeS: int64(up / time.Second),
				LastAlive: new(event.At(at)),
			},
		}}, true
	})
}

// gap gathers endpoints that were not seen.
type gap struct {
	cause     string
	total     int
	limit     time.Duration
	endpoints []event.GapEndpoint
	last      map[string]time.Time
}

// maxListed caps lists of names in details; counts are whole.
const maxListed = 64

func (g *gap) add(name string, last time.Time, limit time.Duration) {
	if g.last == nil {
		g.last = map[string]time.Time{}
	}
	g.last[name] = last
	g.endpoints = append(g.endpoints, event.GapEndpoint{Name: name, LastGood: event.AtOrNil(last)})
	if g.limit == 0 || limit < g.limit {
		g.limit = limit
	}
}

// word tells of the gap and notes in the memory that it was told.
func (g *gap) word(m *memory, at time.Time) word {
	m.own()
	var since time.Time
	for name, t := range g.last {
		m.Gaps[name] = t
		if since.IsZero() || t.Before(since) {
			since = t
		}
	}
	who, were := g.endpoints[0].Name, "was"
	if n := len(g.endpoints); n > 1 {
		who, were = fmt.Sprintf("%d of %s", n, plural(g.total, "endpoint")), "were"
	}
	message := fmt.Sprintf("%s %s not seen for over %s", who, were, lasting(g.limit))
	switch {
	case since.After(at):
		message = fmt.Sprintf("%s %s last seen at %s, which the clock has not reached: how long nobody watched is not known", who, were, clock(since))
	case !since.IsZero():
		message += ", since " + clock(since)
	}
	if g.cause == "suspended" {
		message += ": the machine slept"
	}
	return word{
		typ: event.AgentGap, severity: event.SeverityMedium, verdict: event.Unexpected, reasons: []string{g.cause},
		message: message + "; a change may hide in it",
		details: event.AgentGapDetails{
			Cause: g.cause, Total: g.total, Count: len(g.endpoints), LimitS: int64(g.limit / time.Second),
			Endpoints: g.endpoints[:min(len(g.endpoints), maxListed)],
		},
	}
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// lasting is a span as people say it.
func lasting(d time.Duration) string {
	switch {
	case d < time.Second:
		return "less than a second"
	case d < 2*time.Minute:
		return plural(int(d/time.Second), "second")
	case d < 2*time.Hour:
		return plural(int(d/time.Minute), "minute")
	case d < 48*time.Hour:
		return plural(int(d/time.Hour), "hour")
	}
	return plural(int(d/(24*time.Hour)), "day")
}
