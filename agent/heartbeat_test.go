package agent_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
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
			h := event.HeartbeatHead{Stream: fmt.Sprintf("e%03d", i), Sequence: uint64(i), Hash: sum("h")}
			s.heads = append(s.heads, h)
			lines = fmt.Appendf(lines, "%s %d %s\n", h.Stream, h.Sequence, h.Hash)
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
