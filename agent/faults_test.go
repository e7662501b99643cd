package agent_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// faulty is a real state whose next commit fails in one way.
type faulty struct {
	state.Store
	mode  atomic.Value // string
	stuck atomic.Bool  // and every other one too
	fails atomic.Int64 // commits that failed
}

func (f *faulty) Commit(ctx context.Context, t state.Txn) error {
	if f.stuck.Load() {
		f.mode.Store("not stored")
	}
	switch f.mode.Swap("") {
	case "not stored":
		f.fails.Add(1)
		return fmt.Errorf("disk full: %w", state.ErrUnavailable)
	case "stored, and yet":
		f.fails.Add(1)
		if err := f.Store.Commit(ctx, t); err != nil {
			return err
		}
		return fmt.Errorf("answer lost: %w", state.ErrUnavailable)
	case "another was faster":
		f.fails.Add(1)
		other := t
		other.Events = nil
		rec, err := f.Latest(ctx, event.AgentStream)
		if err != nil {
			return err
		}
		other.Next.Head, other.Next.Memory, other.Next.Body = rec.Head, rec.Memory, nil
		if err := f.Store.Commit(ctx, other); err != nil {
			return err
		}
	}
	return f.Store.Commit(ctx, t)
}

// Whatever becomes of a commit, what is said is said once, and the chain holds.
func TestFaultsOfTheState(t *testing.T) {
	for _, mode := range []string{"not stored", "stored, and yet", "another was faster"} {
		t.Run(mode, func(t *testing.T) {
			inBubble(t, func(t *testing.T, s *scene) {
				var f *faulty
				s.wrap = func(st state.Store) state.Store { f = &faulty{Store: st}; f.mode.Store(""); return f }
				s.watch(10, time.Minute)
				s.every = 5 * time.Second
				s.start()
				s.pass(10 * time.Minute)
				s.down(s.nodes...)
				f.mode.Store(mode)
				s.pass(5 * time.Minute)
				s.expect("informational started", "high degraded outage")
				s.up(s.nodes...)
				f.mode.Store(mode)
				s.pass(5 * time.Minute)
				s.expect("informational started", "high degraded outage", "informational degraded condition_closed outage")
				f.mode.Store(mode)
				s.down(s.nodes[1:]...)
				s.pass(2 * time.Hour) // the outage, and the gap
				f.mode.Store(mode)
				s.down(s.nodes[0])
				s.pass(2 * time.Hour)
				s.expect("informational started", "high degraded outage", "informational degraded condition_closed outage",
					"high degraded outage", "medium gap unreachable", "medium gap unreachable")
				if f.fails.Load() != 4 {
					t.Errorf("%d commits failed", f.fails.Load())
				}
				want := 4 // lines
				if mode == "another was faster" {
					want = 0 // nothing is wrong with that
				}
				if n := s.logged("it is tried again"); n != want {
					t.Errorf("logged %d times: %s", n, s.log.String())
				}
			})
		})
	}
}

// Who asks for a word is told that it was not stored, and nothing is half-said:
// asked again, it is said.
func TestTheCallerIsTold(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		var f *faulty
		s.wrap = func(st state.Store) state.Store { f = &faulty{Store: st}; f.mode.Store(""); return f }
		s.open()
		s.halt = func() {}
		for _, say := range []func() error{
			func() error { return s.voice.Start(t.Context(), time.Now(), s.facts()) },
			func() error {
				return s.voice.ConfigChanged(t.Context(), time.Now(), event.AgentConfigChangedDetails{Outcome: "refused", Trigger: "file", Problems: []string{"a"}}, false, agent.StartFacts{})
			},
			func() error { return s.voice.Stop(t.Context(), time.Now(), "error") },
		} {
			before, counts := len(s.events()), s.voice.EventCounts()
			f.mode.Store("not stored")
			if err := say(); !errors.Is(err, state.ErrUnavailable) {
				t.Errorf("the caller is told %v", err)
			}
			if len(s.events()) != before || len(s.voice.EventCounts()) != len(counts) {
				t.Error("half-said")
			}
			if err := say(); err != nil {
				t.Error(err)
			}
			if err := say(); err != nil { // no word comes of it, but for a start
				t.Error(err)
			}
		}
		s.expect("informational started", "medium stopped unclean", "informational started", "medium config_changed refused", "low stopped error")
	})
}

// A word is stored although who asked for it does not wait any more.
func TestAWordOutlivesItsContext(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := s.voice.Stop(ctx, time.Now(), "signal"); err != nil {
			t.Error(err)
		}
		s.expect("informational started", "low stopped signal")
	})
}

// A state that takes nothing is logged once, and what there was to say is said
// when it takes it.
func TestAStateThatTakesNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		var f *faulty
		s.wrap = func(st state.Store) state.Store { f = &faulty{Store: st}; f.mode.Store(""); return f }
		s.watch(10, time.Minute)
		s.start()
		s.pass(10 * time.Minute)
		s.down(s.nodes...)
		f.stuck.Store(true)
		s.pass(2 * time.Minute)
		s.set(func() { s.skew = time.Hour })
		s.pass(8 * time.Minute)
		if n := s.logged("it is tried again"); n != 1 || f.fails.Load() < 400 || s.isDegraded() {
			t.Errorf("logged %d times over %d commits, the watcher was told: %v", n, f.fails.Load(), s.isDegraded())
		}
		f.stuck.Store(false)
		s.pass(2 * time.Second)
		s.expect("informational started", "high degraded clock_jump", "high degraded outage", "informational degraded condition_closed clock_jump")
	})
}

// Who asks what is open is answered while the disk hangs in the middle of a word: that
// is when it matters.
func TestAnsweredWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	hang := &hanging{begun: make(chan struct{}), end: make(chan struct{})}
	s := &scene{t: t, dir: t.TempDir(), wrap: func(st state.Store) state.Store { hang.Store = st; return hang }}
	s.open()
	said := make(chan error, 1)
	go func() { said <- s.voice.Start(t.Context(), time.Now(), s.facts()) }()
	<-hang.begun
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		_, _ = s.voice.Open(), s.voice.EventCounts()
	}()
	select {
	case <-answered:
	case <-time.After(time.Minute):
		t.Error("waits for the disk")
	}
	close(hang.end)
	<-answered
	if err := errors.Join(<-said, s.db.Close()); err != nil {
		t.Error(err)
	}
}

// hanging is a state whose commits wait.
type hanging struct {
	state.Store
	begun, end chan struct{}
}

func (h *hanging) Commit(ctx context.Context, t state.Txn) error {
	close(h.begun)
	<-h.end
	return h.Store.Commit(ctx, t)
}

// A state of another version is an error, not a new beginning.
func TestMemoryOfALaterVersion(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		s.crash()
		s.open()
		s.halt = func() {}
		rec, err := s.db.Latest(t.Context(), event.AgentStream)
		if err != nil {
			t.Fatal(err)
		}
		for _, memory := range []string{`{"version":2}`, `{"version":`} {
			next := rec
			next.Revision, next.Memory = rec.Revision+1, []byte(memory)
			if err := s.db.Commit(t.Context(), state.Txn{Prev: rec.Revision, Next: next}); err != nil {
				t.Fatal(err)
			}
			rec = next
			if err := s.voice.Start(t.Context(), time.Now(), s.facts()); err == nil {
				t.Errorf("started over %s", memory)
			}
		}
	})
}

// A restored state has another epoch: its chain begins anew, with ids of its own.
func TestANewEpochIsANewChain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		s.pass(time.Minute)
		s.crash()
		s.open()
		s.halt = func() {}
		s.voice.IDs.Epoch = "another"
		if err := s.voice.Start(t.Context(), time.Now(), s.facts()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for entry, err := range s.db.Events(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			e, err := event.Decode(entry.JSON)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, fmt.Sprint(e.Data.Integrity.Sequence, e.Data.Integrity.Previous == nil))
		}
		if !slices.Equal(got, []string{"1 true", "1 true", "2 false"}) {
			t.Errorf("sequences and beginnings %q", got)
		}
	})
}
