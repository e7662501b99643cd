//go:build unix

package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// large is an overseer over so many endpoints, of which all are seen or none.
func large(t testing.TB, n int, seen bool) *Overseer {
	t.Helper()
	db, err := bolt.Open(t.Context(), bolt.Options{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	in := db.Installation()
	now := time.Now()
	fleet := make([]rules.FleetEndpoint, n)
	f := StartFacts{ConfigDigest: fmt.Sprintf("sha256:%064d", 0)}
	for i := range fleet {
		name := fmt.Sprintf("endpoint-%06d", i)
		fleet[i] = rules.FleetEndpoint{
			Name: name, Host: name + ".example", Site: name + ".example", Tier: "standard", Interval: time.Minute,
			Watched:  now.Add(-24 * time.Hour),
			LastGood: now.Add(-time.Hour), FailingSince: now.Add(-time.Minute), Failures: 3, Phase: "timeout",
		}
		if seen {
			fleet[i].LastGood, fleet[i].FailingSince, fleet[i].Failures, fleet[i].Phase = now, time.Time{}, 0, ""
		}
		f.Endpoints = append(f.Endpoints, Watched{Name: name, Tier: "standard", Interval: time.Minute})
	}
	o := &Overseer{
		Voice: &Voice{Store: db, IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch}, Log: zerolog.Nop(), Observer: func() event.Observer {
			return event.Observer{Name: "soc-1", Version: "test", ConfigDigest: f.ConfigDigest, RulesDigest: f.ConfigDigest}
		}},
		Fleet:     func() []rules.FleetEndpoint { return fleet },
		Sinks:     func(context.Context) []SinkState { return nil },
		Heads:     func(context.Context) ([]evidence.Head, error) { return nil, nil },
		Polls:     func() (uint64, uint64) { return 0, 0 },
		Lag:       func() time.Duration { return 0 },
		StateSize: func() int64 { return 0 },
		Failing:   func() (time.Time, error) { return time.Time{}, nil },
		Degraded:  func(bool) {},
	}
	if err := o.Voice.Start(t.Context(), now, f); err != nil {
		t.Fatal(err)
	}
	o.started, o.last, o.wall = now, now, now.Round(0)
	return o
}

// A tick over a large fleet is cheap, for it comes every second; also when all of
// it is down and that is told.
func TestCostOfATick(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // or it would count what others left behind
	for name, n := range map[string]int{"all seen": 100_000, "all down": 20_000} {
		seen := name == "all seen"
		o := large(t, n, seen)
		o.gathering = time.Now().Add(-time.Hour)
		spent := func() time.Duration {
			var u syscall.Rusage
			if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
				t.Fatal(err)
			}
			return time.Duration(u.Utime.Nano() + u.Stime.Nano())
		}
		tick := func() time.Duration {
			before := spent()
			if err := o.tick(t.Context()); err != nil {
				t.Fatal(err)
			}
			return spent() - before
		}
		first := tick() // tells of the outage and of one gap
		if told := len(o.Voice.mem.Gaps) == n && len(o.Voice.mem.Conditions) == 1; told == seen {
			t.Fatalf("%s: %d gaps, %d conditions", name, len(o.Voice.mem.Gaps), len(o.Voice.mem.Conditions))
		}
		best := time.Hour
		for range 5 {
			best = min(best, tick())
		}
		t.Logf("%d endpoints, %s: the first tick takes %v, a quiet one %v", n, name, first, best)
		if best > 200*time.Millisecond { // 4 and 17 ms, and ten times that under the race detector
			t.Errorf("%s: a tick takes %v", name, best)
		}
	}
}

func BenchmarkTick(b *testing.B) {
	for name, seen := range map[string]bool{"seen": true, "down": false} {
		b.Run(name, func(b *testing.B) {
			o := large(b, 100_000, seen)
			o.gathering = time.Now().Add(-time.Hour)
			for b.Loop() {
				if err := o.tick(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
