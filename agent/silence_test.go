package agent_test

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// counting is a real state that counts how often it is asked for a record and
// how often it is given one.
type counting struct {
	state.Store
	reads, commits atomic.Int64
}

func (c *counting) Latest(ctx context.Context, endpoint string) (state.Record, error) {
	c.reads.Add(1)
	return c.Store.Latest(ctx, endpoint)
}

func (c *counting) LastSeen(ctx context.Context, endpoint string) (time.Time, error) {
	c.reads.Add(1)
	return c.Store.LastSeen(ctx, endpoint)
}

func (c *counting) Commit(ctx context.Context, t state.Txn) error {
	c.commits.Add(1)
	return c.Store.Commit(ctx, t)
}

// A tick that has nothing to say leaves the state alone, also while conditions
// and gaps are open.
func TestAQuietTickLeavesTheStateAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		var c *counting
		s.wrap = func(st state.Store) state.Store { c = &counting{Store: st}; return c }
		s.watch(10, time.Minute)
		s.every = 5 * time.Second
		s.start()
		s.pass(10 * time.Minute)
		if c.reads.Load() == 0 || c.commits.Load() != 1 {
			t.Fatalf("the start makes %d reads and %d commits", c.reads.Load(), c.commits.Load())
		}
		s.down(s.nodes...)
		s.pass(2 * time.Hour)
		want := []string{"informational started", "high degraded outage", "medium gap unreachable"}
		s.expect(want...)
		reads, commits := c.reads.Load(), c.commits.Load()
		if commits != 3 {
			t.Errorf("%d commits for three events", commits)
		}
		s.pass(3 * time.Hour) // more than two thousand ticks
		if c.reads.Load() != reads || c.commits.Load() != commits {
			t.Errorf("quiet ticks made %d reads and %d commits", c.reads.Load()-reads, c.commits.Load()-commits)
		}
		s.expect(want...)
	})
}

// Another certificate authority in front of everybody is told by a code of its
// own, opens and closes once, and survives a crash.
func TestInterceptedTLS(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		for _, n := range s.nodes {
			n.phase, n.code = "tls", "unknown_ca"
		}
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes...)
		s.pass(3 * time.Minute)
		want := []string{"informational started", "high degraded tls_intercepted"}
		s.expect(want...)
		if _, d := last[event.AgentDegradedDetails](s); d.Code != "tls_intercepted" || d.Failing < 2 || d.Due != 10 || !s.isDegraded() {
			t.Errorf("%+v, told to the watcher: %v", d, s.isDegraded())
		}
		s.crash()
		s.start()
		s.pass(5 * time.Minute)
		want = append(want, "medium stopped unclean", "informational started")
		s.expect(want...)
		s.up(s.nodes...)
		s.pass(2 * time.Minute)
		s.expect(append(want, "informational degraded condition_closed tls_intercepted")...)
		if s.isDegraded() {
			t.Error("the watcher was not told that it is over")
		}
	})
}

// Who failed alone, long ago, did not turn bad just now because the clock was set
// back.
func TestAClockThatGoesBackIsNoOutage(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.start()
		for _, n := range s.nodes[:3] {
			s.pass(10 * time.Minute)
			s.down(n)
		}
		s.pass(10 * time.Minute)
		s.expect("informational started")
		s.set(func() { s.skew = -3 * time.Hour })
		s.pass(2 * time.Second)
		s.expect("informational started", "high degraded clock_jump")
		if e, d := last[event.AgentDegradedDetails](s); *d.JumpMS != (-3*time.Hour).Milliseconds() || !s.wall().After(e.Time.Time) {
			t.Errorf("%s: %+v", e.Data.Event.Message, d)
		}
		s.pass(2 * time.Minute)
		s.expect("informational started", "high degraded clock_jump", "informational degraded condition_closed clock_jump")
	})
}

// Two that speak for the same state by mistake do not break it: each decides
// again on what the other said, and nothing is said twice.
func TestTwoVoices(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		in := s.db.Installation()
		other := &agent.Voice{Store: s.db, IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch}, Observer: observer}
		for i := range 10 {
			d := event.AgentConfigChangedDetails{Outcome: "refused", Trigger: "file", Problems: []string{fmt.Sprint("problem ", i)}}
			for _, v := range []*agent.Voice{other, s.voice} {
				if err := v.ConfigChanged(t.Context(), time.Now(), d, false, agent.StartFacts{}); err != nil {
					t.Fatal(err)
				}
			}
		}
		want := []string{"informational started"}
		for range 10 {
			want = append(want, "medium config_changed refused")
		}
		s.expect(want...)
		k := s.voice.EventCounts()
		for key, n := range other.EventCounts() {
			k[key] += n
		}
		total := uint64(0)
		for _, n := range k {
			total += n
		}
		if total != 11 {
			t.Errorf("%d events are counted", total)
		}
	})
}

// A restart with other sinks and endpoints lists them; of very many it lists 64
// and judges by all.
func TestARestartWithAnotherLargeConfiguration(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(300, time.Minute)
		s.nodes[299].tier = "critical" // far beyond the 64 by its name
		s.names = []string{"siem"}
		s.start()
		s.end()
		s.nodes = []*node{{name: "new", tier: "low", interval: time.Minute}}
		s.names, s.cfg = []string{"archive", "stdout"}, "b"
		s.start()
		e, d := last[event.AgentConfigChangedDetails](s)
		if e.Data.Event.Severity != event.SeverityHigh || len(d.EndpointsRemoved) != 64 || len(d.Shrinks) != 64 || d.Shrinks[0] != "critical endpoint e299 is removed" {
			t.Errorf("%s: %d removed are listed, shrinks begin %q", e.Data.Event.Message, len(d.EndpointsRemoved), d.Shrinks[0])
		}
		if !slices.Equal(d.EndpointsAdded, []string{"new"}) || !slices.Equal(d.SinksRemoved, []string{"siem"}) ||
			!slices.Equal(d.SinksAdded, []string{"archive", "stdout"}) || d.DigestBefore == nil || *d.DigestBefore != sum("a") {
			t.Errorf("%+v", d)
		}
	})
}

// Each call is followed by a crash: what it said stands once, and the next run
// tells no more than that nobody said goodbye.
func TestACrashAfterEachCall(t *testing.T) {
	refused := event.AgentConfigChangedDetails{Outcome: "refused", Trigger: "file", Problems: []string{"a"}}
	applied := event.AgentConfigChangedDetails{Outcome: "applied", Trigger: "file"}
	for name, c := range map[string]struct {
		call func(*scene) error
		said string
		ends bool
	}{
		"refused": {func(s *scene) error {
			return s.voice.ConfigChanged(s.t.Context(), time.Now(), refused, false, agent.StartFacts{})
		}, "medium config_changed refused", false},
		"applied": {func(s *scene) error {
			s.cfg = "b"
			return s.voice.ConfigChanged(s.t.Context(), time.Now(), applied, false, s.facts())
		}, "low config_changed", false},
		"stopped": {func(s *scene) error { return s.voice.Stop(s.t.Context(), time.Now(), "signal") }, "low stopped signal", true},
		"nothing": {func(*scene) error { return nil }, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *scene) {
				s.start()
				want := []string{"informational started"}
				if err := c.call(s); err != nil {
					t.Fatal(err)
				}
				if c.said != "" {
					want = append(want, c.said)
				}
				s.crash()
				s.start()
				if !c.ends {
					want = append(want, "medium stopped unclean")
				}
				want = append(want, "informational started")
				s.expect(want...)
				if name == "refused" { // the file is still wrong: that was told
					if err := c.call(s); err != nil {
						t.Fatal(err)
					}
				}
				s.pass(time.Hour)
				s.expect(want...)
			})
		})
	}
}

// A heartbeat counts who was never seen, and passes its limit too.
func TestHeartbeatCountsTheUnseen(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(5, time.Minute)
		s.beat, s.every = time.Minute, 5*time.Second
		for _, n := range s.nodes[:2] {
			n.phase, n.down = "status", time.Now() // dead since before the start
		}
		s.start()
		s.pass(30*time.Minute + time.Second)
		if _, d := last[event.AgentHeartbeatDetails](s); d.Endpoints != (event.HeartbeatFleet{Total: 5, Good: 3, Unseen: 2}) {
			t.Errorf("%+v", d.Endpoints)
		}
		s.pass(time.Hour)
		if _, d := last[event.AgentHeartbeatDetails](s); d.Endpoints != (event.HeartbeatFleet{Total: 5, Good: 3, Unseen: 2, Blind: 2}) {
			t.Errorf("%+v", d.Endpoints)
		}
	})
}

// So many sinks that a heartbeat outgrows the limit of an event do not silence
// it.
func TestHeartbeatOfVeryManySinks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.beat = time.Minute
		for i := range 1000 {
			s.sinks = append(s.sinks, agent.SinkState{Name: fmt.Sprintf("a-sink-with-a-name-that-is-rather-long-%04d", i), Connected: true})
		}
		s.start()
		s.pass(3*time.Minute + time.Second)
		if n := s.beats(); n != 3 {
			t.Errorf("%d heartbeats: %s", n, s.log.String())
		}
	})
}

// A gap that was told by a clock that ran ahead hides no later one.
func TestAGapAfterAClockThatWentBack(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.nodes[3].phase = "status"
		s.every = 15 * time.Second
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes[3])
		s.pass(2 * time.Hour)
		want := []string{"informational started", "medium gap unreachable"}
		s.expect(want...)
		s.set(func() { s.skew, s.jump = -12*time.Hour, time.Now() })
		s.pass(10 * time.Minute)
		want = append(want, "high degraded clock_jump", "informational degraded condition_closed clock_jump")
		s.expect(want...)
		s.up(s.nodes...)
		s.pass(10 * time.Minute)
		s.down(s.nodes[3])
		s.pass(2 * time.Hour)
		want = append(want, "medium gap unreachable")
		s.expect(want...)
		s.pass(14 * time.Hour) // the clock comes by the first gap again
		s.expect(want...)
	})
}
