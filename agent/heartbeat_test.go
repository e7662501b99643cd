package agent_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
)

func (s *scene) beats() int {
	s.t.Helper()
	return len(s.events()) - len(tell(s.events()))
}

func TestHeartbeat(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(10, time.Minute)
		s.nodes[2].tier = "critical"
		s.beat = time.Minute
		var lines []byte
		for i := range 70 {
			h := evidence.Head{Stream: fmt.Sprintf("e%03d", i), Epoch: "1", Sequence: uint64(i), Hash: sum("h")}
			s.heads = append(s.heads, h)
			lines = fmt.Appendf(lines, "%s %s %d %s\n", h.Stream, h.Epoch, h.Sequence, h.Hash)
		}
		s.sinks = []agent.SinkState{{Name: "siem", Pending: 4, Oldest: time.Now()}, {Name: "stdout", Connected: true}}
		s.start()
		s.pass(59 * time.Second)
		if n := s.beats(); n != 0 {
			t.Fatalf("%d before the first was due", n)
		}
		s.pass(5*time.Minute + 2*time.Second)
		if n := s.beats(); n != 6 {
			t.Fatalf("%d heartbeats in six minutes", n)
		}
		s.down(s.nodes[2])
		s.pass(20 * time.Minute)
		e, d := last[event.AgentHeartbeatDetails](s)
		if d.PeriodS != 60 || d.UptimeS != 26*60 || d.Polls != 7 || d.Failed != 2 || d.LagMS != 12 || d.StateBytes != 4096 {
			t.Errorf("%+v", d)
		}
		if d.Endpoints != (event.HeartbeatFleet{Total: 10, Good: 9, Failing: 1, Blind: 1}) {
			t.Errorf("%+v", d.Endpoints)
		}
		if len(d.Heads) != 64 || d.HeadsTotal != 70 || d.HeadsDigest != fmt.Sprintf("sha256:%x", sha256.Sum256(lines)) {
			t.Errorf("%d of %d heads, digest %s", len(d.Heads), d.HeadsTotal, d.HeadsDigest)
		}
		if len(d.Sinks) != 2 || d.Sinks[0].Pending != 4 || d.Sinks[0].OldestS != d.UptimeS || d.Sinks[1].OldestS != 0 {
			t.Errorf("%+v", d.Sinks)
		}
		if len(d.Degraded) != 1 || d.Degraded[0] != "sink_backlog" || e.Data.Event.Severity != event.SeverityInformational {
			t.Errorf("%q, %s", d.Degraded, e.Data.Event.Severity)
		}
		s.o.SetHeartbeat(0)
		before := s.beats()
		s.pass(time.Hour)
		s.o.SetHeartbeat(10 * time.Second)
		s.pass(31 * time.Second)
		if n := s.beats() - before; n != 4 {
			t.Errorf("%d heartbeats after an hour without and half a minute with", n)
		}
	})
}

// Ticks come some milliseconds early or late: the period is kept to half a tick.
func TestHeartbeatBetweenTicks(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.beat = 1400 * time.Millisecond
		s.start()
		s.pass(10 * time.Second)
		if n := s.beats(); n != 10 {
			t.Errorf("%d heartbeats in ten ticks", n)
		}
	})
}

// A heartbeat that cannot be made is no storm: it is logged, and the next comes
// when its time has come.
func TestHeartbeatThatFails(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.beat, s.headsErr = time.Minute, errors.New("damaged page")
		s.start()
		s.pass(3*time.Minute + time.Second)
		if n, logged := s.beats(), s.logged("damaged page"); n != 0 || logged != 3 {
			t.Errorf("%d heartbeats, %d lines in three minutes", n, logged)
		}
		s.set(func() { s.headsErr = nil })
		s.pass(time.Minute)
		if n := s.beats(); n != 1 {
			t.Errorf("%d heartbeats when it works again", n)
		}
	})
}

// What changed is told first, and all others in turn: who sees some heartbeats in a
// row knows where every stream ends.
func TestHeartbeatHeads(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.beat = time.Minute
		for i := range 200 {
			s.heads = append(s.heads, evidence.Head{Stream: fmt.Sprintf("e%03d", i), Epoch: "1", Sequence: 1, Hash: sum("h")})
		}
		s.start()
		seen := map[string]bool{}
		for i := range 5 {
			s.pass(time.Minute)
			_, d := last[event.AgentHeartbeatDetails](s)
			if want := map[bool]int{true: 200, false: 0}[i == 0]; d.HeadsChanged != want || len(d.Heads) != 64 {
				t.Errorf("heartbeat %d: %d changed, %d heads", i, d.HeadsChanged, len(d.Heads))
			}
			for _, h := range d.Heads {
				seen[h.Stream] = true
			}
		}
		if len(seen) != 200 {
			t.Errorf("%d of 200 streams after five heartbeats", len(seen))
		}
		s.set(func() {
			s.heads = slices.Clone(s.heads)
			for _, i := range []int{9, 199} {
				s.heads[i].Sequence, s.heads[i].Hash = 2, sum("i")
			}
		})
		s.pass(time.Minute)
		_, d := last[event.AgentHeartbeatDetails](s)
		changed := 0
		for _, h := range d.Heads {
			if h.Sequence == 2 {
				changed++
			}
		}
		if d.HeadsChanged != 2 || changed != 2 || len(d.Heads) != 64 || !slices.IsSortedFunc(d.Heads, func(a, b event.HeartbeatHead) int { return strings.Compare(a.Stream, b.Stream) }) {
			t.Errorf("%d changed, %d of them told, %d heads", d.HeadsChanged, changed, len(d.Heads))
		}
	})
}
