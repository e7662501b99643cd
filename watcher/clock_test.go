package watcher_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// skewed is a wall clock that can be set, beside the bubble's monotonic one. A
// machine that sleeps looks the same from within: its wall clock goes on, and
// what timers follow (CLOCK_MONOTONIC) stands still.
type skewed struct{ by atomic.Int64 }

func (s *skewed) now() time.Time      { return time.Now().Add(time.Duration(s.by.Load())).Round(0) }
func (s *skewed) set(d time.Duration) { s.by.Store(int64(d)) }

const year = 365 * 24 * time.Hour

// jumps are how the wall clock is set.
var jumps = []time.Duration{time.Hour, -time.Hour, year, -year}

// TestClockJumps sets the wall clock while all is quiet, while claims wait for
// their second look, and within rows of failures: polls go on at their pace, each
// change is told once and in the time of the contract, and no event holds a span
// below zero.
func TestClockJumps(t *testing.T) {
	for _, by := range jumps {
		for name, play := range map[string]func(*testing.T, *watched, *lab.Issuer, func()){
			"quiet": clockQuiet, "removed": clockRemoved, "emptied": clockEmptied, "unreachable": clockUnreachable,
		} {
			t.Run(fmt.Sprint(name, " ", by), func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				synctest.Test(t, func(t *testing.T) {
					clock := &skewed{}
					issuer, pipe := &lab.Issuer{}, lab.NewPipe()
					stop := issuer.Serve(pipe)
					issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
					h := &watched{t: t, db: open(t, dir), dial: pipe, wall: clock.now}
					h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
					time.Sleep(10 * time.Minute)
					play(t, h, issuer, func() { clock.set(by) })
					h.stop()
					stop()
					for _, e := range h.events() {
						spans(t, e)
					}
					if err := h.db.Close(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

// within lets the contract's two intervals, five seconds and a little pass, and
// holds that the last events are these.
func (h *watched) within(span time.Duration, want ...string) {
	h.t.Helper()
	time.Sleep(span)
	got := tell(h.events())
	if tail := got[max(0, len(got)-len(want)):]; !slices.Equal(tail, want) {
		h.t.Errorf("told %q, want %q at the end", got, want)
	}
}

const twoIntervals = 2*time.Minute + 5*time.Second

func clockQuiet(t *testing.T, h *watched, issuer *lab.Issuer, jump func()) {
	polls, told := issuer.Count(), len(h.events())
	jump()
	time.Sleep(20 * time.Minute)
	// Each poll comes 48 to 60 seconds after the one before it.
	if n := issuer.Count() - polls; n < 19 || n > 25+1 {
		t.Errorf("%d polls in the 20 minutes after", n)
	}
	if got := tell(h.events())[told:]; len(got) > 0 {
		t.Errorf("told of a clock: %q", got)
	}
	issuer.Add(lab.ECFromSeed("new", "P-256", "new"))
	time.Sleep(twoIntervals)
	issuer.Remove("new")
	time.Sleep(twoIntervals)
	// How grave they are depends on how long it was quiet before, by the clock.
	for _, want := range []string{"key.added new", "key.removed new"} {
		if got := tell(h.events()); !slices.ContainsFunc(got, func(s string) bool { return strings.HasSuffix(s, want) }) {
			t.Errorf("told %q, %s is not among it", got, want)
		}
	}
}

// clockRemoved jumps between the two looks at a removal.
func clockRemoved(t *testing.T, h *watched, issuer *lab.Issuer, jump func()) {
	polls := issuer.Count()
	issuer.Remove("k1")
	for issuer.Count() == polls {
		time.Sleep(100 * time.Millisecond)
	}
	synctest.Wait()
	jump()
	time.Sleep(twoIntervals)
	list := h.events()
	last := list[len(list)-1]
	if got := tell(list); len(list) != 2 || !strings.HasSuffix(got[1], "key.removed k1") {
		t.Fatalf("told %q", got)
	}
	if o := last.Data.Observed; !o.Uncertain && o.Before.Sub(o.After.Time) > 3*time.Minute {
		t.Errorf("said to be sure: %+v", o)
	}
}

func clockEmptied(_ *testing.T, h *watched, issuer *lab.Issuer, jump func()) {
	polls := issuer.Count()
	issuer.Answer(lab.Set())
	for issuer.Count() == polls {
		time.Sleep(100 * time.Millisecond)
	}
	synctest.Wait()
	jump()
	h.within(twoIntervals, "critical set.emptied")
	issuer.Answer(nil)
	h.within(twoIntervals, "informational set.emptied closed")
}

func clockUnreachable(t *testing.T, h *watched, issuer *lab.Issuer, jump func()) {
	issuer.Answer(lab.Status(500, nil, ""))
	polls := issuer.Count()
	for issuer.Count() < polls+2 {
		time.Sleep(time.Second)
	}
	synctest.Wait()
	told := len(h.events())
	jump()
	time.Sleep(8 * time.Minute)
	if got := tell(h.events())[told:]; len(got) != 1 || !strings.Contains(got[0], "endpoint.unreachable") {
		t.Errorf("told %q, want one endpoint.unreachable", got)
	}
	issuer.Answer(nil)
	time.Sleep(10 * time.Minute)
	if got := tell(h.events()); !strings.HasSuffix(got[len(got)-1], "endpoint.unreachable closed") {
		t.Errorf("told %q, want it closed", got)
	}
}

// spans holds that no span of an event is below zero.
func spans(t *testing.T, e *event.Event) {
	t.Helper()
	if o := e.Data.Observed; o != nil && o.After != nil && o.After.After(o.Before.Time) {
		t.Errorf("%s: observed after %s and before %s", e.Data.Event.Type, o.After, o.Before)
	}
	for _, k := range append(e.Data.Keys, deref(e.Data.Key), deref(e.Data.PreviousKey)) {
		if k.FirstSeen != nil && k.LastSeen != nil && k.LastSeen.Before(k.FirstSeen.Time) {
			t.Errorf("%s: a key seen first at %s and last at %s", e.Data.Event.Type, k.FirstSeen, k.LastSeen)
		}
	}
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	below(t, string(e.Data.Event.Type), v)
	if strings.Contains(e.Data.Event.Message, " -") {
		t.Errorf("%s: %s", e.Data.Event.Type, e.Data.Event.Message)
	}
}

func deref(k *event.Key) event.Key {
	if k == nil {
		return event.Key{}
	}
	return *k
}

// below looks for numbers below zero: no count, size or span is one.
func below(t *testing.T, path string, v any) {
	t.Helper()
	switch v := v.(type) {
	case map[string]any:
		for name, member := range v {
			below(t, path+"."+name, member)
		}
	case []any:
		for _, member := range v {
			below(t, path, member)
		}
	case float64:
		if v < 0 {
			t.Errorf("%s is %v", path, v)
		}
	}
}

// TestClockJumpIsNoStorm sets the clock under a fleet: in the interval after it no
// endpoint is polled more than once beyond its pace, and none less.
func TestClockJumpIsNoStorm(t *testing.T) {
	for _, by := range jumps {
		t.Run(by.String(), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				const fleet = 60
				clock := &skewed{}
				issuer, pipe := &lab.Issuer{}, lab.NewPipe()
				stop := issuer.Serve(pipe)
				issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
				h := &watched{t: t, db: open(t, dir), dial: pipe, wall: clock.now}
				for i := range fleet {
					e := endpoint(fmt.Sprint("idp", i), fmt.Sprintf("http://idp%d.example/jwks", i), time.Minute)
					h.list = append(h.list, e)
				}
				h.start(h.list...)
				time.Sleep(10 * time.Minute)
				before := map[string]uint64{}
				for _, s := range h.w.Status() {
					before[s.Name] = s.Polls
				}
				clock.set(by)
				time.Sleep(4 * time.Minute)
				for _, s := range h.w.Status() {
					if n := s.Polls - before[s.Name]; n < 3 || n > 5+1 {
						t.Errorf("%s: %d polls in the four minutes after", s.Name, n)
					}
				}
				if ago := time.Since(h.w.Alive()); ago < 0 || ago > 5*time.Second || h.w.Lag() > time.Second {
					t.Errorf("the loop turned %s ago, the next poll is late by %s", ago, h.w.Lag())
				}
				h.stop()
				stop()
				if err := h.db.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// TestAliveIsMonotonic holds that the age of the loop's last turn does not depend
// on the wall clock: one that is set back would hide a loop that hangs.
func TestAliveIsMonotonic(t *testing.T) {
	issuer := &lab.Issuer{}
	issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	h := &watched{t: t, db: open(t, t.TempDir())}
	defer h.db.Close()
	h.start(endpoint("idp", url, time.Hour))
	defer h.stop()
	until(t, "a turn", func() bool { return !h.w.Alive().IsZero() })
	if at := h.w.Alive(); !strings.Contains(at.String(), " m=") {
		t.Errorf("%s has no monotonic reading", at)
	}
}
