package watcher_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// faulted is one run of the story of two issuers, with one fault in it.
type faulted struct {
	t    *testing.T
	dir  string // of the state
	f    *fault
	town *town
	h    *watched

	out    bytes.Buffer // what the log sink wrote, over all lives
	mu     sync.Mutex
	log    bytes.Buffer // operations
	lives  int
	end    func() // of this life
	ended  chan error
	starts []error // why a life did not begin
}

func (r *faulted) Write(b []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Write(b)
}

// begin starts a watcher and the delivery of its events, as the daemon does. A
// start that fails is tried again, as by its supervisor.
func (r *faulted) begin() {
	r.f.revive()
	r.lives++
	in := r.h.db.Installation()
	store := failingStore{r.h.db, r.f}
	log := zerolog.New(r)
	r.h.client = &fetch.Client{Dial: r.town.pipe.Dial}
	w := &watcher.Watcher{
		Endpoints: []watcher.Endpoint{
			endpoint("one", "http://one.example/jwks", time.Minute),
			endpoint("two", "http://two.test/jwks", time.Minute),
		},
		Fetch: r.h.client, Store: store, Book: rules.Book(), IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch},
		Observer: observer(0), Log: log, FlushEvery: 10 * time.Minute, TurnEvery: time.Minute,
		Rand: func() float64 { return 0.5 }, Look: func(d time.Duration) time.Duration { return d },
	}
	d := &sinks.Delivery{
		Store: store, Sink: failingSink{&sinks.Log{Sink: "siem", Writer: &r.out}, r.f}, From: sinks.FromBeginning,
		Log: log, Drain: time.Second, Pace: 10 * time.Minute,
	}
	if err := d.Prepare(r.t.Context()); err != nil {
		r.starts = append(r.starts, err)
		r.h.client.CloseIdle()
		if len(r.starts) > 3 {
			r.t.Fatalf("it never starts: %v", err)
		}
		r.begin()
		return
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.t.Context()))
	r.ended = make(chan error, 2)
	go func() { r.ended <- w.Run(ctx) }()
	go func() { r.ended <- d.Run(ctx) }()
	r.end = func() {
		cancel()
		for range 2 {
			// A last write that fails is told by its error; nothing is lost by it.
			<-r.ended
		}
		r.h.client.CloseIdle()
	}
}

// pass lets time go by, and a supervisor start again what crashed.
func (r *faulted) pass(d time.Duration) {
	for ; d > 0; d -= 5 * time.Second {
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if r.f.dead() {
			r.end()
			r.begin()
			continue
		}
		select {
		case err := <-r.ended:
			r.t.Errorf("the watcher or the delivery gave up: %v", err)
			r.ended <- err
			d = 0
		default:
		}
	}
}

// play is the story: a baseline, a rotation, a substitution, a leak and its end,
// an outage and the recovery.
func (r *faulted) play() {
	one, two := r.town.issuers["one.example"], r.town.issuers["two.test"]
	r.begin()
	r.pass(5 * time.Minute)
	one.Add(lab.ECFromSeed("b", "P-256", "one b"))
	r.pass(4 * time.Minute)
	two.Mutate("b")
	r.pass(3 * time.Minute)
	one.Remove("a")
	r.pass(4 * time.Minute)
	two.Leak("a")
	r.pass(3 * time.Minute)
	one.Answer(lab.Status(503, nil, "sorry"))
	r.pass(2 * time.Minute)
	two.Publish(two.Keys()...)
	r.pass(10 * time.Minute)
	one.Answer(nil)
	r.pass(8 * time.Minute)
	r.end()
}

// outcome is what a run told.
type outcome struct {
	told     []string          // of each event, in short; by endpoint, then in order
	journal  map[string]string // the octets of each event, by id
	ops      []string
	hit      string
	repeated int // lines of the sink
}

// run plays the story over a copy of a state, so that ids compare.
func run(t *testing.T, state []byte, at int, kind string) (out outcome) {
	t.Helper()
	dir := stateDir(t)
	if err := os.WriteFile(filepath.Join(dir, "state.db"), state, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := newTown("one.example", "two.test")
		defer n.server.Close()
		for host, issuer := range n.issuers {
			issuer.Publish(lab.ECFromSeed("a", "P-256", host+" a"))
			if host == "two.test" {
				issuer.Add(lab.ECFromSeed("b", "P-256", host+" b"))
			}
		}
		r := &faulted{t: t, dir: dir, f: &fault{at: at, kind: kind}, town: n, h: &watched{t: t, db: open(t, dir), dir: dir}}
		r.play()
		out = r.judge()
		if err := r.h.db.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("operation %d (%s) %s\n%s", at, r.f.hit, kind, r.log.String())
		}
	})
	return out
}

// judge reads the journal and what the sink got.
func (r *faulted) judge() outcome {
	r.t.Helper()
	out := outcome{journal: map[string]string{}, ops: r.f.ops, hit: r.f.hit}
	heads := map[string]string{}
	order, told := map[string][]string{}, map[string][]string{}
	for entry, err := range r.h.db.Events(r.t.Context(), "") {
		if err != nil {
			r.t.Fatal(err)
		}
		e, err := event.Decode(entry.JSON)
		if err != nil {
			r.t.Fatal(err)
		}
		if out.journal[e.ID] != "" {
			r.t.Errorf("%s: id %s stands twice in the journal", entry.Type, e.ID)
		}
		out.journal[e.ID] = string(entry.JSON)
		in, previous := e.Data.Integrity, ""
		if in.Previous != nil {
			previous = *in.Previous
		}
		if previous != heads[in.Stream] || in.Sequence != uint64(len(order[in.Stream])+1) {
			r.t.Errorf("%s: the chain of %s is broken at sequence %d", entry.Type, in.Stream, in.Sequence)
		}
		sum, err := event.Hash(entry.JSON)
		if err != nil {
			r.t.Fatal(err)
		}
		heads[in.Stream] = fmt.Sprintf("sha256:%x", sum)
		order[in.Stream] = append(order[in.Stream], e.ID)
		told[in.Stream] = append(told[in.Stream], in.Stream+": "+tell([]*event.Event{e})[0])
	}
	for _, stream := range slices.Sorted(maps.Keys(told)) {
		out.told = append(out.told, told[stream]...)
	}
	out.repeated = r.received(out.journal, order)
	return out
}

// received holds what the sink got to the journal: all of it, in the order of
// each endpoint, with the same octets. It returns how many lines were repeated.
func (r *faulted) received(journal map[string]string, order map[string][]string) (repeated int) {
	r.t.Helper()
	seen := map[string]bool{}
	got := map[string][]string{}
	for line := range strings.Lines(r.out.String()) {
		var l struct{ Event json.RawMessage }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			r.t.Fatalf("%q: %v", line, err)
		}
		e, err := event.Decode(l.Event)
		if err != nil {
			r.t.Fatal(err)
		}
		if journal[e.ID] != string(l.Event) {
			r.t.Errorf("the sink has another event %s than the journal:\n%s\n%s", e.ID, l.Event, journal[e.ID])
		}
		if seen[e.ID] {
			repeated++
			continue
		}
		seen[e.ID] = true
		got[e.Data.Integrity.Stream] = append(got[e.Data.Integrity.Stream], e.ID)
	}
	for stream, ids := range order {
		if !slices.Equal(got[stream], ids) {
			r.t.Errorf("of %s the sink got %d events, and not the %d of the journal in their order", stream, len(got[stream]), len(ids))
		}
	}
	return repeated
}

// TestQuietFleetNotices has nothing to store but the times of good polls: that
// they cannot be is counted, since nothing else would find out.
func TestQuietFleetNotices(t *testing.T) {
	t.Parallel()
	bubble(t, time.Minute, func(h *watched, _ *lab.Issuer) {
		time.Sleep(5 * time.Minute) // the baseline, and what the checks of its keys found
		h.stop()
		f := &fault{at: 1 << 30}
		h.store = failingStore{h.db, f}
		h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
		time.Sleep(5 * time.Minute)
		f.mu.Lock()
		f.crashed = true
		f.mu.Unlock()
		before := h.w.Stats()
		time.Sleep(21 * time.Minute)
		if s := h.w.Stats(); s.StoreErrs < 2 || s.StoreErr == nil || before.StoreErrs > 0 || s.Commits != before.Commits {
			t.Errorf("%+v, and before %+v", s, before)
		}
		f.revive()
	})
}

func tally(list []string) map[string]int {
	out := map[string]int{}
	for _, s := range list {
		out[s]++
	}
	return out
}

// stateDir is a folder in memory, where there is one: the story is played
// hundreds of times.
func stateDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "jwkswatch-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// TestFaultsAtEveryOperation plays a story of two issuers once without a fault
// and then once for each operation of the state and the sink, and for each way in
// which it may go wrong. In the end the same is told, once, in whole chains, and
// the sink has all of it. The short form takes every way of what is
// stored and sent, and of every other operation one of its ways; JWKSWATCH_LONG=1
// takes every way of every operation.
func TestFaultsAtEveryOperation(t *testing.T) {
	t.Parallel()
	dir := stateDir(t)
	if err := open(t, dir).Close(); err != nil {
		t.Fatal(err)
	}
	empty, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	want := run(t, empty, 0, "")
	if len(want.ops) < 50 || want.repeated > 0 {
		t.Fatalf("%d operations, %d lines repeated: this proves little", len(want.ops), want.repeated)
	}
	for _, part := range []string{"baseline.established", "key.added", "key.removed", "rotation.completed", "key.mutated", "key.private", "endpoint.unreachable"} {
		if !slices.ContainsFunc(want.told, func(s string) bool { return strings.Contains(s, part) }) {
			t.Fatalf("the story has no %s: %q", part, want.told)
		}
	}
	points, same, repeated := 0, 0, 0
	for at := 1; at <= len(want.ops); at++ {
		op, kinds := want.ops[at-1], []string{failed, persisted, crashBefore, crashAfter}
		if op == "Send" || op == "Events" || op == "Snapshots" {
			kinds = append(kinds, half)
		}
		if op != "Commit" && op != "Send" && os.Getenv("JWKSWATCH_LONG") == "" {
			kinds = kinds[at%len(kinds):][:1]
		}
		for _, kind := range kinds {
			got := run(t, empty, at, kind)
			points++
			repeated += got.repeated
			if !slices.Equal(got.told, want.told) {
				t.Errorf("operation %d (%s) %s: told\n%q\nwant\n%q", at, got.hit, kind, got.told, want.told)
			}
			if maps.EqualFunc(got.journal, want.journal, func(string, string) bool { return true }) {
				same++
			}
			if t.Failed() {
				return
			}
		}
	}
	t.Logf("%d operations (%v), %d fault points: the same %d events each time, %d times with the very same ids; %d lines repeated to the sink",
		len(want.ops), tally(want.ops), points, len(want.told), same, repeated)
}
