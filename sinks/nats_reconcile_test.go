package sinks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// losses collects what a delivery tells of.
type losses struct {
	mu   sync.Mutex
	list []Report
	fail error
}

func (l *losses) tell(_ context.Context, r Report) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fail != nil {
		return l.fail
	}
	l.list = append(l.list, r)
	return nil
}

func (l *losses) all() []Report {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.list)
}

// count is how many events were told to be lost.
func (l *losses) count() (n uint64) {
	for _, r := range l.all() {
		n += r.Count
	}
	return n
}

// asking are the settings of a sink that asks the stream all the time.
func asking(b *broker) NATSConfig {
	c := quick(b)
	c.Manage, c.ReconcileEvery = ManageVerify, 20*time.Millisecond
	return c
}

// runs delivers a journal with a given sink until stop.
func runs(t *testing.T, j Journal, s Sink, l *losses, log *ops) (d *Delivery, stop func()) {
	t.Helper()
	d = &Delivery{
		Store: j, Sink: s, From: FromBeginning, Log: log.logger(), Drain: 200 * time.Millisecond, Lost: l.tell, Pace: time.Millisecond,
		Backoff: Backoff{Min: 5 * time.Millisecond, Max: 40 * time.Millisecond},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}

// holds waits until the stream holds exactly these events, in any order.
func holds(t *testing.T, b *broker, want []state.Entry) []string {
	t.Helper()
	var ids []string
	js, err := jetstream.New(b.client())
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, fmt.Sprintf("the stream holds %d events", len(want)), func() bool {
		s, err := js.Stream(t.Context(), "JWKS")
		if err != nil || int(s.CachedInfo().State.Msgs) < len(want) {
			return false
		}
		ids = stored(t, s)
		ids = slices.DeleteFunc(ids, func(id string) bool { return !strings.HasPrefix(id, "jw1-") })
		return slices.Equal(slices.Sorted(slices.Values(ids)), slices.Sorted(slices.Values(idsOf(want))))
	})
	return ids
}

// A broker that comes back with an older copy of its store has lost what it
// acknowledged since. The first event that it lacks is found exactly, and all
// from there on is sent again, nothing of what it still has.
func TestNATSStoreRestored(t *testing.T) {
	t.Parallel()
	for name, manage := range map[string]Manage{"asked": ManageVerify, "by its sequences": ManageNone} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, nil)
			// The broker forgets ids at once: who sends what it still has stores it twice.
			stream(t, b.client(), func(c *jetstream.StreamConfig) { c.Duplicates = 100 * time.Millisecond })
			all := samples(330, 30)
			j, l, log := newJournal(all[:200]...), &losses{}, &ops{}
			c := asking(b)
			c.Manage = manage
			d, _ := runs(t, j, openNATS(t, c, log.logger()), l, log)
			eventually(t, "200 are sent", func() bool { return d.Stats().Sent == 200 })
			b.stop()
			old := t.TempDir()
			if err := os.CopyFS(old, os.DirFS(b.opts.StoreDir)); err != nil {
				t.Fatal(err)
			}
			b.start()
			j.add(all[200:320]...)
			eventually(t, "320 are sent", func() bool { return d.Stats().Sent == 320 })
			b.stop()
			b.opts.StoreDir = old
			b.start()
			if manage == ManageNone {
				j.add(all[320:]...) // only an answer shows it
			}
			eventually(t, "the loss is told", func() bool { return len(l.all()) == 1 })
			r := l.all()[0]
			if r.Cause != CauseReceiver || !r.Resent || r.Last != all[319].ID {
				t.Errorf("told %+v", r)
			}
			if manage == ManageNone {
				// Which of the events before the loss it still has is not known: some
				// are sent again. What matters is that none is missing.
				eventually(t, "all is there", func() bool {
					ids := stored(t, stream(t, b.client(), func(c *jetstream.StreamConfig) { c.Duplicates = 100 * time.Millisecond }))
					return len(slices.Compact(slices.Sorted(slices.Values(ids)))) == 330
				})
				if r.Count < 120 || r.Count > 240 {
					t.Errorf("%d events are told to be lost", r.Count)
				}
				return
			}
			if r.Count != 120 || r.First != all[200].ID {
				t.Errorf("told %+v", r)
			}
			if got := holds(t, b, all[:320]); !slices.Equal(got, idsOf(all[:320])) {
				t.Error("in another order")
			}
			if log.count("someone may be suppressing") != 0 {
				t.Error("what was lost is taken for an attack")
			}
		})
	}
}

// Whoever owns the stream may empty it or make it anew, and others may fill it
// meanwhile. Everything is sent again.
func TestNATSStreamEmptied(t *testing.T) {
	t.Parallel()
	others := func(t *testing.T, b *broker, n int) {
		nc := b.client()
		for i := range n {
			if _, err := nc.Request("jwkswatch.v1.low.key.added.other", fmt.Appendf(nil, "%d", i), time.Second); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, do := range map[string]func(t *testing.T, b *broker, s jetstream.Stream){
		"purged": func(t *testing.T, _ *broker, s jetstream.Stream) {
			if err := s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
		},
		"purged and used by others": func(t *testing.T, b *broker, s jetstream.Stream) {
			if err := s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			others(t, b, 100)
		},
		"made anew": func(t *testing.T, b *broker, _ jetstream.Stream) { anew(t, b) },
		"made anew and used by others": func(t *testing.T, b *broker, _ jetstream.Stream) {
			anew(t, b)
			others(t, b, 100)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, nil)
			s := stream(t, b.client(), nil)
			all := samples(60, 7)
			j, l, log := newJournal(all...), &losses{}, &ops{}
			d, _ := runs(t, j, openNATS(t, asking(b), log.logger()), l, log)
			eventually(t, "all is sent", func() bool { return d.Stats().Sent == 60 })
			do(t, b, s)
			if got := holds(t, b, all); !slices.Equal(got, idsOf(all)) {
				t.Errorf("in another order: %v", got)
			}
			if l.count() < 60 {
				t.Errorf("told %+v", l.all())
			}
		})
	}
}

// What was published after a purge, before the stream was asked, hides nothing;
// and no more what was published before a look that found all well.
func TestNATSPurgedUnderUs(t *testing.T) {
	t.Parallel()
	for name, looked := range map[string]bool{"before the first look": false, "after a look": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, nil)
			s := stream(t, b.client(), nil)
			c := asking(b)
			c.ReconcileEvery = time.Hour
			all := samples(50, 7)
			j, l, log := newJournal(all[:40]...), &losses{}, &ops{}
			n := openNATS(t, c, log.logger())
			d, _ := runs(t, j, n, l, log)
			eventually(t, "40 are sent", func() bool { return d.Stats().Sent == 40 })
			if looked {
				asked := n.asked.Load()
				n.doubt()
				eventually(t, "it is asked", func() bool { return n.asked.Load() > asked && !n.due.Load() })
			}
			if err := s.Purge(t.Context()); err != nil {
				t.Fatal(err)
			}
			j.add(all[40:]...)
			eventually(t, "50 are sent", func() bool { return d.Stats().Sent >= 50 })
			n.doubt()
			holds(t, b, all)
			eventually(t, "the loss is told", func() bool { return l.count() == 40 })
		})
	}
}

// anew deletes the stream and makes it again.
func anew(t *testing.T, b *broker) {
	t.Helper()
	js, err := jetstream.New(b.client())
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(t.Context(), "JWKS"); err != nil {
		t.Fatal(err)
	}
	stream(t, b.client(), nil)
}

// Without any right to ask, the first answer of a stream that was made anew
// shows that what it had is gone.
func TestNATSStreamMadeAnewUnasked(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	stream(t, b.client(), nil)
	all := samples(41, 7)
	j, l, log := newJournal(all[:40]...), &losses{}, &ops{}
	d, _ := runs(t, j, openNATS(t, quick(b), log.logger()), l, log)
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 40 })
	anew(t, b)
	j.add(all[40])
	holds(t, b, all)
	eventually(t, "the loss is told", func() bool { return l.count() == 40 })
}

// What the stream is set up to drop is not lost: it is not sent for ever.
func TestNATSLimitsAreNoLoss(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	s := stream(t, b.client(), func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 })
	j, l, log := newJournal(samples(30, 7)...), &losses{}, &ops{}
	d, _ := runs(t, j, openNATS(t, asking(b), log.logger()), l, log)
	eventually(t, "all is sent", func() bool { return d.Stats().Sent == 30 })
	nc := b.client()
	for range 10 { // somebody else fills it
		if _, err := nc.Request("jwkswatch.v1.low.key.added.other", []byte("x"), time.Second); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the limits are told of", func() bool { return log.count("limits of the stream JWKS drop events") == 1 })
	if got := stored(t, s); slices.ContainsFunc(got, func(id string) bool { return id != "" }) || len(l.all()) != 0 {
		t.Errorf("told %+v, stored %v", l.all(), got)
	}
}

// What was acknowledged is remembered over a restart of the agent.
func TestNATSLossOverARestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	b := newBroker(t, nil)
	s := stream(t, b.client(), nil)
	all := samples(50, 1)
	l, log := &losses{}, &ops{}
	run := func(until func(*Delivery) bool) {
		db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		if head, _ := db.Head(t.Context()); head == "" {
			err := db.Commit(t.Context(), state.Txn{
				Next:   state.Record{Endpoint: "ep-0", Revision: 1, At: time.Now(), Evidence: []byte("{}"), Memory: []byte{1}, Head: state.Head{Epoch: "e", Sequence: 50, Hash: [32]byte{1}}},
				Events: all,
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		n := openNATS(t, asking(b), log.logger())
		d, stop := runs(t, db, n, l, log)
		eventually(t, "it is done", func() bool { return until(d) })
		stop()
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	run(func(d *Delivery) bool { return d.Stats().Sent == 50 })
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	run(func(*Delivery) bool { return l.count() == 50 && count(t, s) == 50 })
	if got := stored(t, s); !slices.Equal(got, idsOf(all)) {
		t.Errorf("stored %v", got)
	}
}

// While a loss cannot be told, what is missing is sent again all the same; the
// cursor is not stored, so that a crash would find the loss again.
func TestNATSLossUntold(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	s := stream(t, b.client(), nil)
	all := samples(20, 7)
	j, l, log := newJournal(all...), &losses{}, &ops{}
	d, _ := runs(t, j, openNATS(t, asking(b), log.logger()), l, log)
	eventually(t, "the cursor is stored", func() bool { return j.cursor("nats") == j.at(19) && d.Stats().CaughtUp })
	l.mu.Lock()
	l.fail = state.ErrUnavailable
	l.mu.Unlock()
	if err := s.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	holds(t, b, all)
	j.add(sample(20, "ep"), sample(21, "ep"))
	holds(t, b, j.entries)
	if got := j.cursor("nats"); got != j.at(19) || len(l.all()) != 0 {
		t.Errorf("the cursor is %s, told %+v", got, l.all())
	}
	l.mu.Lock()
	l.fail = nil
	l.mu.Unlock()
	j.add(sample(22, "ep"))
	eventually(t, "it is told, and the cursor stored", func() bool { return l.count() == 20 && j.cursor("nats") == j.at(22) })
}

// A stream that is purged again while what it lost is sent again gets all of it: what
// it had after the first loss is not taken to be there after the second.
func TestNATSLostAgain(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	s := stream(t, b.client(), nil)
	all := newJournal(samples(6, 6)...).entries
	c := asking(b)
	c.ReconcileEvery = time.Hour // asked by hand
	n := openNATS(t, c, (&ops{}).logger())
	n.Recall(nil, "", "", func() {})
	send := func(batch []state.Entry) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d events are sent", len(batch)), func() bool {
			sent, err := n.Send(t.Context(), batch)
			if errors.Is(err, ErrUnsure) {
				t.Fatal(err)
			}
			batch = batch[sent:]
			return len(batch) == 0
		})
	}
	lost := func() *Loss {
		t.Helper()
		n.due.Store(true)
		loss, err := n.Missing(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return loss
	}
	purge := func() {
		t.Helper()
		if err := s.Purge(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	send(all[:5])
	if loss := lost(); loss != nil {
		t.Fatalf("lost %+v", loss)
	}
	purge()
	send(all[5:])
	if loss := lost(); loss == nil || loss.After != "" || len(loss.Has) != 1 {
		t.Fatalf("lost %+v", loss)
	}
	send(all[:3])
	purge()
	if loss := lost(); loss == nil || loss.After != "" || len(loss.Has) != 0 {
		t.Fatalf("lost again %+v", loss)
	}
	send(all)
	holds(t, b, all)
}
