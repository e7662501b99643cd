package sinks

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// shelf is a Sink that keeps what it is sent, and refuses all while it is shut.
type shelf struct {
	mu   sync.Mutex
	shut bool
	ids  []string
}

func (s *shelf) Name() string { return "shelf" }

func (s *shelf) Send(_ context.Context, batch []state.Entry) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shut {
		return 0, errors.New("shut")
	}
	s.ids = append(s.ids, idsOf(batch)...)
	return len(batch), nil
}

func (s *shelf) set(shut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = shut
}

func (s *shelf) has() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.ids)
}

// A sink that lacks more than it may loses the oldest, down to nine tenths, and
// only after it was told.
func TestMaxBacklog(t *testing.T) {
	t.Parallel()
	all := samples(130, 7)
	all[3] = sampleOf(3, "ep-3", "key.added", event.SeverityLow, "below the filter")
	j, s, l, log := newJournal(all[:100]...), &shelf{shut: true}, &losses{fail: errors.New("the state is full")}, &ops{}
	d := &Delivery{
		Store: j, Sink: s, From: FromBeginning, MinSeverity: event.SeverityHigh, Log: log.logger(), MaxBacklog: 100, Lost: l.tell, Pace: 1,
		Backoff: Backoff{Min: 1, Max: 1000},
	}
	stop := start(d)
	eventually(t, "it is tried", func() bool { return d.Stats().Retries > 5 })
	if got := l.all(); len(got) != 0 || d.Stats().Position != "" {
		t.Fatalf("dropped %+v with no more than it may lack", got)
	}
	j.add(all[100:]...)
	eventually(t, "that it cannot be told is in the log", func() bool { return log.count("the state is full") == 1 })
	if d.Stats().Position != "" {
		t.Fatal("dropped without a word")
	}
	l.mu.Lock()
	l.fail = nil
	l.mu.Unlock()
	eventually(t, "it is told", func() bool { return len(l.all()) == 1 })
	// 130 wait, 90 stay: 40 go, of which the filter would have left one out.
	want := Report{Sink: "shelf", Cause: CauseBacklog, Count: 39, First: all[0].ID, Last: all[39].ID}
	if got := l.all()[0]; got != want {
		t.Errorf("told %+v, want %+v", got, want)
	}
	s.set(false)
	eventually(t, "the rest is sent", func() bool { return d.Stats().CaughtUp })
	if got := s.has(); !slices.Equal(got, idsOf(all[40:])) {
		t.Errorf("sent %v", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if st := d.Stats(); st.Lost != 39 || len(l.all()) != 1 || j.cursor("shelf") != j.at(129) {
		t.Errorf("%+v, told %+v", st, l.all())
	}
}

// A cursor is set back while the delivery waits, and while it fails; never forth.
func TestReplay(t *testing.T) {
	t.Parallel()
	all := samples(20, 7)
	j, s, log := newJournal(all...), &shelf{}, &ops{}
	d := &Delivery{Store: j, Sink: s, From: FromBeginning, Log: log.logger(), Backoff: Backoff{Min: 1 << 40, Max: 1 << 40}}
	if err := d.Replay(t.Context(), ""); !errors.Is(err, ErrEnded) {
		t.Fatalf("before it runs: %v", err)
	}
	stop := start(d)
	eventually(t, "all is sent", func() bool { return d.Stats().CaughtUp })
	if err := d.Replay(t.Context(), j.at(14)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "five are sent again", func() bool { return len(s.has()) == 25 && d.Stats().CaughtUp })
	if err := d.Replay(t.Context(), j.at(19)); err != nil || d.Stats().Position != j.at(19) || len(s.has()) != 25 {
		t.Fatal(err, d.Stats())
	}
	s.set(true)
	j.add(sample(20, "ep"))
	eventually(t, "it fails, and rests for long", func() bool { return d.Stats().Retries == 1 })
	s.set(false)
	if err := d.Replay(t.Context(), j.at(9)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "eleven are sent", func() bool { return len(s.has()) == 36 && d.Stats().CaughtUp })
	want := slices.Concat(idsOf(all), idsOf(all[15:]), idsOf(j.entries[10:]))
	if got := s.has(); !slices.Equal(got, want) {
		t.Errorf("sent %v", got)
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if err := d.Replay(t.Context(), ""); !errors.Is(err, ErrEnded) || j.cursor("shelf") != j.at(20) {
		t.Errorf("after it ran: %v, cursor %s", err, j.cursor("shelf"))
	}
}

// Who gives up waiting for a replay gets none, and holds up nobody.
func TestReplayGivenUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c, gate := &collector{}, make(chan struct{})
		o := &outlet{"shelf", func(ctx context.Context, batch []state.Entry) (int, error) {
			if len(c.ids) == 3 {
				<-gate
			}
			return c.Send(ctx, batch)
		}}
		all := samples(4, 1)
		j := newJournal(all[:3]...)
		d := &Delivery{Store: j, Sink: o, From: FromBeginning}
		stop := start(d)
		synctest.Wait()
		j.add(all[3])
		synctest.Wait() // it hangs in Send
		ctx, giveUp := context.WithCancel(t.Context())
		first, last := make(chan error, 1), make(chan error, 1)
		go func() { first <- d.Replay(ctx, "") }()
		synctest.Wait()
		if err := d.Replay(t.Context(), ""); !errors.Is(err, ErrReplaying) {
			t.Errorf("beside another: %v", err)
		}
		giveUp()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("given up: %v", err)
		}
		go func() { last <- d.Replay(t.Context(), j.at(2)) }()
		synctest.Wait()
		close(gate)
		if err := <-last; err != nil {
			t.Errorf("after one that was given up: %v", err)
		}
		synctest.Wait()
		if want := slices.Concat(idsOf(all), idsOf(all[3:])); !slices.Equal(c.ids, want) {
			t.Errorf("sent %v", c.ids)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A sink that was away for longer than the retention is told of once, and goes on
// with what there is.
func TestLapsed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := samples(6, 1)
	old := time.Now().Add(-time.Hour)
	for i := range all {
		all[i].At = old
	}
	all[5].At = time.Now()
	err = db.Commit(t.Context(), state.Txn{Events: all, Next: state.Record{
		Endpoint: "ep-0", Revision: 1, At: old, Evidence: []byte("{}"), Memory: []byte{1}, Head: state.Head{Epoch: "e", Sequence: 6, Hash: [32]byte{1}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	var first string
	for e := range db.Events(t.Context(), "") {
		first = e.Position
		break
	}
	if err := db.SetCursor(t.Context(), "shelf", first); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Prune(t.Context(), time.Now().Add(-time.Minute), nil); err != nil {
		t.Fatal(err)
	}
	s, l, log := &shelf{}, &losses{}, &ops{}
	for range 2 {
		d := &Delivery{Store: db, Sink: s, Log: log.logger(), Lost: l.tell, Pace: 1}
		stop := start(d)
		eventually(t, "it has caught up", func() bool { return d.Stats().CaughtUp })
		if err := stop(); err != nil {
			t.Error(err)
		}
	}
	if got := l.all(); len(got) != 1 || got[0] != (Report{Sink: "shelf", Cause: CauseRetention, Count: 4}) {
		t.Errorf("told %+v", got)
	}
	if got := s.has(); !slices.Equal(got, idsOf(all[5:])) {
		t.Errorf("sent %v", got)
	}
}
