package agent

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// Thresholds of what is wrong with the agent itself.
const (
	clockJump = 30 * time.Second // between two ticks, against the monotonic clock
	clockCalm = time.Minute      // without a jump, and it is over
	backlogIs = 5 * time.Minute  // age of the oldest event that a sink does not have
)

// The codes of agent.degraded.
const (
	codeClock   = "clock_jump"
	codeState   = "state_unwritable"
	codeBacklog = "sink_backlog"
)

// SinkState is how far a sink is.
type SinkState struct {
	Name      string
	Connected bool
	Pending   uint64    // events in the journal that it does not have
	Oldest    time.Time // when the oldest of them was observed; zero when there is none
}

// Overseer looks at the whole every second: it tells our own outage from
// theirs, says when somebody is not seen, and that the agent is alive.
type Overseer struct {
	Voice     *Voice
	Fleet     func() []rules.FleetEndpoint
	Sinks     func(context.Context) []SinkState
	Heads     func(context.Context) ([]event.HeartbeatHead, error) // of all streams, sorted by name
	Polls     func() (polls, failed uint64)
	Lag       func() time.Duration
	StateSize func() int64 // octets
	// Failing says since when the state cannot be written and why; the zero time
	// when it can.
	Failing func() (time.Time, error)
	// Degraded is told whether the agent is in such trouble that what fails is
	// explained by it.
	Degraded func(bool)
	Every    time.Duration    // of the ticks; 0 means a second
	Wall     func() time.Time // the wall clock; nil means the system's

	beat    atomic.Int64 // period of the heartbeats, nanoseconds; 0: none
	started time.Time
	last    time.Time // tick, with its monotonic reading
	wall    time.Time // of that tick
	jumped  time.Time // last jump of the clock
	failing time.Time // since when the state is
	cause   string
	beaten  time.Time
	unsaid  bool // the last word could not be committed
}

// SetHeartbeat sets the period of the heartbeats; 0 ends them. It may be called
// at any time.
func (o *Overseer) SetHeartbeat(period time.Duration) { o.beat.Store(int64(period)) }

// Run looks until the context ends.
func (o *Overseer) Run(ctx context.Context) {
	o.started = time.Now()
	o.beaten, o.last, o.wall = o.started, o.started, o.now()
	t := time.NewTicker(o.every())
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := o.tick(ctx); err != nil && ctx.Err() == nil {
				if !o.unsaid {
					o.Voice.Log.Error().Err(err).Msg("what the agent says of itself is not stored; it is tried again")
				}
				o.unsaid = true
			} else {
				o.unsaid = false
			}
		}
	}
}

func (o *Overseer) every() time.Duration {
	if o.Every == 0 {
		return time.Second
	}
	return o.Every
}

func (o *Overseer) now() time.Time {
	if o.Wall != nil {
		return o.Wall()
	}
	return time.Now().Round(0)
}

// tick looks once.
func (o *Overseer) tick(ctx context.Context) error {
	mono, wall := time.Now(), o.now()
	jump := wall.Sub(o.wall) - mono.Sub(o.last)
	o.last, o.wall = mono, wall
	fleet := o.Fleet()
	return errors.Join(
		o.clock(ctx, jump, mono, wall),
		o.outage(ctx, fleet, wall),
		o.gaps(ctx, fleet, wall),
		o.backlogs(ctx, wall),
		o.state(ctx, wall),
		o.heartbeat(ctx, fleet, mono, wall),
	)
}

// clock tells of a wall clock that jumps: times of events before and after do
// not compare, and certificates may seem expired.
func (o *Overseer) clock(ctx context.Context, jump time.Duration, mono, wall time.Time) error {
	jumps := jump.Abs() > clockJump
	if jumps {
		o.jumped = mono
	}
	calm := o.jumped.IsZero() || mono.Sub(o.jumped) >= clockCalm
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		c := m.find(codeClock, "")
		switch {
		case jumps && c == nil:
			way := "forwards"
			if jump < 0 {
				way = "back"
			}
			return []word{o.opens(m, wall, condition{Code: codeClock},
				fmt.Sprintf("the clock jumped %s by %s; times before and after do not compare", way, lasting(jump.Abs())),
				event.AgentDegradedDetails{Since: new(event.At(wall)), JumpMS: new(jump.Milliseconds())})}, true
		case c != nil && calm:
			return []word{o.closes(m, wall, c, "the clock is steady again")}, true
		}
		return nil, false
	})
}

// outage tells when endpoints fail together: more likely our own network than
// theirs.
func (o *Overseer) outage(ctx context.Context, fleet []rules.FleetEndpoint, wall time.Time) error {
	var degraded bool
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		open := m.find("outage", "")
		if open == nil {
			open = m.find("tls_intercepted", "")
		}
		before := 0
		if open != nil {
			before = max(open.Count, 1)
		}
		v := rules.Outage(fleet, wall, before)
		degraded = v.Open
		switch {
		case v.Open && open == nil:
			what := "many endpoints fail together"
			if v.Code != "outage" {
				what = "many endpoints show a certificate of a CA that is not trusted"
			}
			return []word{o.opens(m, wall, condition{Code: v.Code, Count: len(v.Failing)},
				fmt.Sprintf("%s: %d of %d on %s, since %s; more likely our own network than theirs",
					what, len(v.Failing), v.Due, plural(v.Hosts, "host"), clock(v.Since)),
				event.AgentDegradedDetails{
					Failing: len(v.Failing), Due: v.Due, Hosts: v.Hosts, Since: event.AtOrNil(v.Since),
					Endpoints: v.Failing[:min(len(v.Failing), maxListed)],
				})}, true
		case !v.Open && open != nil:
			return []word{o.closes(m, wall, open, "endpoints do not fail together any more; what changed meanwhile has an uncertain time")}, true
		}
		return nil, false
	})
	if err == nil {
		o.Degraded(degraded)
	}
	return err
}

// gaps tells of endpoints that were not seen for longer than their limit.
func (o *Overseer) gaps(ctx context.Context, fleet []rules.FleetEndpoint, wall time.Time) error {
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		list := rules.Gaps(fleet, wall, func(name string, last time.Time) bool {
			at, ok := m.Gaps[name]
			return ok && at.Equal(last)
		})
		if len(list) == 0 {
			return nil, false
		}
		forget(m, fleet)
		var words []word
		for _, v := range list {
			g := gap{cause: "unreachable", total: len(fleet)}
			for _, e := range v.Endpoints {
				g.add(e.Name, e.LastGood, v.Limit)
			}
			words = append(words, g.word(m))
		}
		return words, true
	})
}

// forget drops what was told of endpoints that were seen again or are gone.
func forget(m *memory, fleet []rules.FleetEndpoint) {
	last := map[string]time.Time{}
	for _, e := range fleet {
		last[e.Name] = e.LastGood
	}
	for name, at := range m.Gaps {
		if good, watched := last[name]; !watched || good.After(at) {
			delete(m.Gaps, name)
		}
	}
}

// backlogs tells of sinks that do not get what they should.
func (o *Overseer) backlogs(ctx context.Context, wall time.Time) error {
	sinks := o.Sinks(ctx)
	return o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		var words []word
		known := map[string]bool{}
		for _, s := range sinks {
			known[s.Name] = true
			behind := s.Pending > 0 && wall.Sub(s.Oldest) > backlogIs
			c := m.find(codeBacklog, s.Name)
			switch {
			case behind && c == nil:
				words = append(words, o.opens(m, wall, condition{Code: codeBacklog, Subject: s.Name},
					fmt.Sprintf("sink %s is behind: %s wait, the oldest since %s", s.Name, plural(int(s.Pending), "event"), clock(s.Oldest)),
					event.AgentDegradedDetails{Subject: new(s.Name), Pending: new(s.Pending), Since: event.AtOrNil(s.Oldest)}))
			case c != nil && s.Pending == 0, c != nil && !behind && s.Connected:
				words = append(words, o.closes(m, wall, c, fmt.Sprintf("sink %s has caught up", s.Name)))
			}
		}
		for _, c := range m.clone().Conditions {
			if c.Code == codeBacklog && !known[c.Subject] {
				words = append(words, o.closes(m, wall, m.find(codeBacklog, c.Subject), fmt.Sprintf("sink %s is not configured any more", c.Subject)))
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
		if o.failing.IsZero() && cause != nil {
			o.cause = event.Text(cause.Error())
			o.Voice.Log.Error().Str("error", o.cause).Msg("the state cannot be written: nothing becomes a baseline and nothing is published")
		}
		o.failing = since
		return nil
	}
	if o.failing.IsZero() {
		return nil
	}
	began := o.failing
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		d := event.AgentDegradedDetails{Since: new(event.At(began)), Error: new(o.cause)}
		opened := o.opens(m, began, condition{Code: codeState},
			fmt.Sprintf("the state could not be written since %s; nothing became a baseline meanwhile", clock(began)), d)
		return []word{opened, o.closes(m, wall, opened.opens, "the state can be written again; what changed is found by the next polls")}, true
	})
	if err == nil {
		o.failing = time.Time{}
	}
	return err
}

// opens notes a condition in the memory and makes its word.
func (o *Overseer) opens(m *memory, at time.Time, c condition, message string, d event.AgentDegradedDetails) word {
	c.OpenedAt, c.Severity = at.UTC().Truncate(time.Millisecond), uint8(event.SeverityHigh)
	m.Conditions = append(m.Conditions, &c)
	d.Code = c.Code
	return word{
		typ: event.AgentDegraded, severity: event.SeverityHigh, verdict: event.Unexpected, reasons: []string{c.Code},
		message: message, details: d, opens: &c,
	}
}

// closes takes a condition out of the memory and makes its word.
func (o *Overseer) closes(m *memory, at time.Time, c *condition, message string) word {
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
