package watcher_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/state"
)

// TestUnchangedPollParsesAndWritesNothing holds the promise of the fast path
// by counters: over real sockets and a real state file.
func TestUnchangedPollParsesAndWritesNothing(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"), lab.NewEC("b", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	h := &watched{t: t, db: open(t, t.TempDir())}
	defer h.db.Close()
	h.start(endpoint("idp", url, 2*time.Millisecond))
	until(t, "baseline, and what the checks of its keys found", func() bool { return h.w.Stats().Commits == 2 })
	writes, parses := h.db.Stats().Writes, h.w.Stats().Parses
	until(t, "200 polls", func() bool { return h.w.Stats().Polls >= 200 })
	s := h.w.Stats()
	if parses > 3 || s.Parses != parses || s.Unchanged < s.Polls-3 {
		t.Errorf("%d parses in %d polls, %d of them unchanged", s.Parses, s.Polls, s.Unchanged)
	}
	if got := h.db.Stats().Writes; got != writes {
		t.Errorf("%d write transactions for unchanged polls", got-writes)
	}
	h.stop()
}

// TestBodyThatChangesWithoutTheSet polls a set that carries another request id
// in each answer, as a large provider's does: parsed, but never written.
func TestBodyThatChangesWithoutTheSet(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	issuer.Answer(lab.RequestID())
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	h := &watched{t: t, db: open(t, t.TempDir())}
	defer h.db.Close()
	h.start(endpoint("idp", url, 2*time.Millisecond))
	until(t, "20 parses", func() bool { return h.w.Stats().Parses >= 20 })
	h.stop()
	if s := h.w.Stats(); s.Commits > 3 { // the baseline, and what the checks of the key and of the set found
		t.Errorf("%d commits", s.Commits)
	}
	h.expect("informational baseline.established")
}

// bubble runs a watcher over simulated time: the real client, server and state
// file, a network of pipes and a clock that jumps.
func bubble(t *testing.T, interval time.Duration, play func(h *watched, issuer *lab.Issuer)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		issuer := &lab.Issuer{}
		pipe := lab.NewPipe()
		stop := issuer.Serve(pipe)
		h := &watched{t: t, db: open(t, dir), dial: pipe, flush: 10 * interval, turn: interval}
		issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
		h.start(endpoint("idp", "http://idp.example/jwks", interval))
		play(h, issuer)
		h.stop()
		stop()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestAYearOfRotations polls hourly for a year in which an issuer rotates
// monthly, with two days of overlap, and has bad days.
func TestAYearOfRotations(t *testing.T) {
	t.Parallel()
	day := 24 * time.Hour
	bubble(t, time.Hour, func(h *watched, issuer *lab.Issuer) {
		want := []string{"informational baseline.established"}
		time.Sleep(day)
		for month := range 12 {
			next := "k" + string(rune('a'+month))
			issuer.Add(lab.ECFromSeed(next, "P-256", next))
			want = append(want, "low key.added "+next)
			time.Sleep(2 * day)
			old := issuer.Keys()[0].Kid
			issuer.Remove(old)
			want = append(want, "informational key.removed "+old, "informational rotation.completed")
			time.Sleep(10 * day)
			switch month {
			case 2: // a broken deployment for some hours
				issuer.Answer(lab.HTMLLogin())
				time.Sleep(6 * time.Hour)
				issuer.Answer(nil)
				want = append(want, "medium document.invalid", "informational document.invalid closed")
			case 4: // an outage
				issuer.Answer(lab.Status(503, nil, "sorry"))
				time.Sleep(12 * time.Hour)
				issuer.Answer(nil)
				want = append(want, "medium endpoint.unreachable", "informational endpoint.unreachable closed")
			case 6: // a substitution, and a week later the way back
				kid := issuer.Keys()[0].Kid
				issuer.Mutate(kid)
				want = append(want, "critical key.mutated "+kid)
			case 8: // a leak that is mended
				kid := issuer.Keys()[1].Kid
				issuer.Leak(kid)
				time.Sleep(day)
				issuer.Publish(issuer.Keys()...)
				want = append(want, "critical key.private "+kid, "informational key.private "+kid+" closed")
			case 10: // emptied and restored
				issuer.Answer(lab.Set())
				time.Sleep(6 * time.Hour)
				issuer.Answer(nil)
				want = append(want, "critical set.emptied", "informational set.emptied closed")
			}
			time.Sleep(18 * day)
		}
		h.expect(want...)
		if s := h.w.Stats(); s.Polls < 8760 || s.Parses > 100 {
			t.Errorf("%d polls and %d parses in a year of hours", s.Polls, s.Parses)
		}
	})
}

// TestToldWithinTwoIntervals holds the time of the contract for each
// two-snapshot change, over many phases of the poll.
func TestToldWithinTwoIntervals(t *testing.T) {
	t.Parallel()
	interval := 30 * time.Second
	bubble(t, interval, func(h *watched, issuer *lab.Issuer) {
		time.Sleep(time.Minute)
		for i := range 40 {
			time.Sleep(time.Duration(i) * 1700 * time.Millisecond)
			before := len(h.events())
			switch i % 4 {
			case 0:
				issuer.Add(lab.ECFromSeed("n", "P-256", "n"+string(rune(i))))
			case 1:
				issuer.Remove("n")
			case 2:
				issuer.Mutate("k0")
			case 3:
				issuer.Answer(lab.Set())
			}
			time.Sleep(2*interval + 5*time.Second)
			if len(h.events()) == before {
				t.Errorf("change %d is not told after two intervals and five seconds", i)
			}
			if i%4 == 3 {
				issuer.Answer(nil)
				time.Sleep(3 * interval)
			}
		}
	})
}

// TestPollsCannotBePredicted holds that polls keep the interval as an upper
// bound and do not come at equal distances.
func TestPollsCannotBePredicted(t *testing.T) {
	bubble(t, time.Minute, func(_ *watched, issuer *lab.Issuer) {
		time.Sleep(3 * time.Hour)
		served := issuer.Served()
		gaps := map[time.Duration]int{}
		for i := 1; i < len(served); i++ {
			gap := served[i].At.Sub(served[i-1].At)
			if gap > time.Minute || gap < 47*time.Second {
				t.Errorf("a gap of %v", gap)
			}
			gaps[gap.Truncate(time.Millisecond)]++
		}
		if len(served) < 180 || len(gaps) < len(served)/2 {
			t.Errorf("%d polls with %d different gaps", len(served), len(gaps))
		}
	})
}

// TestSecondLooksAreFreshAndFew holds that a second look takes a connection of
// its own, and that an issuer that changes with each answer gets few of them.
func TestSecondLooksAreFreshAndFew(t *testing.T) {
	bubble(t, 10*time.Second, func(h *watched, issuer *lab.Issuer) {
		time.Sleep(time.Minute)
		issuer.Remove("k0")
		time.Sleep(20 * time.Second)
		served := issuer.Served()
		remotes := map[string]int{}
		for _, s := range served {
			remotes[s.Remote]++
		}
		if len(remotes) != 2 {
			t.Errorf("%d connections for the polls and one second look", len(remotes))
		}
		issuer.Answer(lab.JunkKey())
		before := issuer.Count()
		time.Sleep(10 * time.Minute)
		if n := issuer.Count() - before; n > 75+45 { // polls in ten minutes, and four looks in each
			t.Errorf("%d fetches in ten minutes of an issuer that never answers twice alike", n)
		}
		for _, e := range tell(h.events()) {
			if strings.Contains(e, "key.removed k1") {
				t.Errorf("a key that stands in every answer was removed")
			}
		}
	})
}

// TestCrashBetweenTheLooks stops the daemon between first and second look: a
// rogue key that stood in a single answer is told all the same.
func TestCrashBetweenTheLooks(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		issuer := &lab.Issuer{}
		pipe := lab.NewPipe()
		defer issuer.Serve(pipe)()
		h := &watched{t: t, db: open(t, dir), dial: pipe}
		issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
		e := endpoint("idp", "http://idp.example/jwks", time.Minute)
		h.start(e)
		time.Sleep(3 * time.Minute)
		issuer.Add(lab.ECFromSeed("rogue", "P-256", "rogue"))
		polls := h.w.Stats().Polls
		for h.w.Stats().Polls == polls { // the first look
			time.Sleep(100 * time.Millisecond)
		}
		issuer.Remove("rogue")
		h.stop()
		h.expect("informational baseline.established")
		if err := h.db.Close(); err != nil {
			t.Fatal(err)
		}

		h.db, h.store = open(t, dir), nil
		defer h.db.Close()
		h.start(e)
		time.Sleep(3 * time.Minute)
		h.stop()
		h.expect("informational baseline.established", "low key.added rogue", "informational key.removed rogue")
	})
}

// faulty fails commits on purpose: before they are stored, or after, when only
// the answer is lost.
type faulty struct {
	state.Store
	mu   sync.Mutex
	fail func() (before, after bool)
}

func (f *faulty) Commit(ctx context.Context, txn state.Txn) error {
	f.mu.Lock()
	before, after := f.fail()
	f.mu.Unlock()
	if before {
		return errors.Join(state.ErrUnavailable, errors.New("no space left on device"))
	}
	err := f.Store.Commit(ctx, txn)
	if after && err == nil {
		return errors.Join(state.ErrUnavailable, errors.New("the answer was lost"))
	}
	return err
}

// TestStoreThatFails holds that nothing becomes a baseline until committed, and
// that a commit whose answer was lost is not told twice.
func TestStoreThatFails(t *testing.T) {
	for name, fault := range map[string]func(n int) (before, after bool){
		"not stored":             func(n int) (bool, bool) { return n%3 != 0, false },
		"stored, but not told":   func(n int) (bool, bool) { return false, n%2 == 1 },
		"now this way, now that": func(n int) (bool, bool) { return n%4 == 1, n%4 == 3 },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				issuer := &lab.Issuer{}
				pipe := lab.NewPipe()
				defer issuer.Serve(pipe)()
				h := &watched{t: t, db: open(t, dir), dial: pipe}
				defer h.db.Close()
				n := 0
				h.store = &faulty{Store: h.db, fail: func() (bool, bool) { n++; return fault(n) }}
				issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
				h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
				time.Sleep(10 * time.Minute)
				issuer.Add(lab.ECFromSeed("k2", "P-256", "k2"))
				time.Sleep(10 * time.Minute)
				issuer.Remove("k0")
				time.Sleep(10 * time.Minute)
				issuer.Mutate("k1")
				time.Sleep(10 * time.Minute)
				h.stop()
				h.expect("informational baseline.established", "low key.added k2", "informational key.removed k0",
					"informational rotation.completed", "critical key.mutated k1")
				if h.w.Stats().StoreErrs == 0 {
					t.Error("no commit failed: the test tests nothing")
				}
			})
		})
	}
}
