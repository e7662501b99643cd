package agent

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
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
	codeDamaged = "state_damaged" // of some endpoints; the others go on
	codeBacklog = "sink_backlog"
	// Of a sink that has events which were never sent.
	codeSuppressed = "sink_suppressed"
	codeUnsafe     = "sink_unsafe" // its receiver is set up to lose events
	codeParked     = "sink_parked" // it refused events for good
)

// SinkState is how far a sink is.
type SinkState struct {
	Name      string
	Connected bool
	Pending   uint64    // events in the journal that it does not have
	Oldest    time.Time // when the oldest of them was observed; zero when there is none
	// Suspicious counts answers that the sink had an event which was never sent.
	Suspicious uint64
	Parked     uint64 // events that it refused for good
	Problem    string // why its receiver may lose events; "" when it is set up well, or nobody looked
	Judged     bool   // somebody looked
}

// Overseer looks at the whole every second: it tells our own outage from
// theirs, says when somebody is not seen, and that the agent is alive. All
// functions but Wall must be set.
type Overseer struct {
	Voice     *Voice
	Fleet     func() []rules.FleetEndpoint
	Sinks     func(context.Context) []SinkState
	Heads     func(context.Context) ([]evidence.Head, error) // of all streams, sorted by name
	Polls     func() (polls, failed uint64)
	Lag       func() time.Duration
	StateSize func() int64 // octets
	// Failing says since when the state cannot be written and why; the zero time
	// when it can.
	Failing func() (time.Time, error)
	// Damaged are the endpoints of which the state is damaged, sorted, and why of the
	// first; nil means that nobody looks.
	Damaged func() (endpoints []string, why string)
	// Degraded is told whether the agent is in such trouble that what fails is
	// explained by it.
	Degraded func(bool)
	Every    time.Duration    // of the ticks; 0 means a second
	Wall     func() time.Time // the wall clock; nil means the system's
	// Slept is for how long in all the machine has slept; nil where nobody knows.
	Slept func() time.Duration

	beat    atomic.Int64 // period of the heartbeats, nanoseconds; 0: none
	started time.Time
	last    time.Time     // tick, with its monotonic reading
	wall    time.Time     // of that tick
	jumped  time.Time     // last jump of the clock
	jump    time.Duration // that is not told yet
	back    time.Time     // by the wall clock, when it was last set back, or the start
	asleep  time.Duration // what Slept said at that tick
	// overslept is a gap that is not told yet.
	overslept *gap
	owed      int // endpoints in an outage that is not told yet
	// gathering is since when a gap of many waits for the rest of them.
	gathering   time.Time
	waiting     map[string]time.Time        // since when a sink has something to get
	tallies     map[string]map[string]tally // by code of the condition and name of the sink
	unsafeSince map[string]time.Time        // since when a sink has a problem
	failing     time.Time                   // since when the state is, by the wall clock
	cause       string                      // "" before it is known
	beaten      time.Time
	told        toldHeads
	unsaid      bool // the last word could not be committed
}

// SetHeartbeat sets the period of the heartbeats; 0 ends them. It may be called
// at any time.
func (o *Overseer) SetHeartbeat(period time.Duration) { o.beat.Store(int64(period)) }

// Run looks until the context ends.
func (o *Overseer) Run(ctx context.Context) {
	o.started = time.Now()
	o.beaten, o.last, o.wall = o.started, o.started, o.now()
	o.slept()
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
	slept := o.slept()
	jump := wall.Sub(o.wall) - mono.Sub(o.last) - slept
	if jump < -clockJump {
		o.back = wall
	}
	o.last, o.wall = mono, wall
	fleet := o.Fleet()
	var counts []error
	for _, k := range mishaps() {
		counts = append(counts, o.rises(ctx, k, mono, wall))
	}
	return errors.Join(append(counts,
		o.clock(ctx, jump, mono, wall),
		o.outage(ctx, fleet, mono, wall),
		o.suspended(ctx, fleet, slept, wall),
		o.gaps(ctx, o.dated(fleet, wall), mono, wall),
		o.backlogs(ctx, mono, wall),
		o.unsafe(ctx, mono, wall),
		o.state(ctx, wall),
		o.damaged(ctx, wall),
		o.heartbeat(ctx, fleet, mono, wall),
	)...)
}

// clock tells of a wall clock that jumps: times of events before and after do
// not compare, and certificates may seem expired.
func (o *Overseer) clock(ctx context.Context, jump time.Duration, mono, wall time.Time) error {
	if jump.Abs() > clockJump {
		o.jumped = mono
		if o.jump == 0 {
			o.jump = jump
		}
	}
	since := o.jumped
	if since.IsZero() {
		since = o.started // a run before may have left the condition open
	}
	calm := mono.Sub(since) >= clockCalm
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		c := m.find(codeClock, "")
		switch {
		case o.jump != 0 && c == nil:
			text := "the clock jumped forwards by %s: it was set, or the machine stood still and nobody watched; times before and after do not compare"
			if o.jump < 0 {
				text = "the clock jumped back by %s; times before and after do not compare"
			}
			return []word{opens(m, wall, condition{Code: codeClock}, fmt.Sprintf(text, lasting(o.jump.Abs())),
				event.AgentDegradedDetails{Since: new(event.At(wall)), JumpMS: new(o.jump.Milliseconds())})}, true
		case c != nil && calm:
			return []word{closes(m, wall, c, "the clock is steady again")}, true
		}
		return nil, false
	})
	if err == nil {
		o.jump = 0
	}
	return err
}
