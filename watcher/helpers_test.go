package watcher_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// watched is a watcher over a real state file and one or more issuers.
type watched struct {
	t      testing.TB
	db     *bolt.DB
	dir    string        // of db, for a restart
	store  state.Store   // db, or a store around it that fails on purpose
	dial   *lab.Pipe     // nil: real sockets
	client *fetch.Client // nil: the zero one
	flush  time.Duration
	wall   func() time.Time // nil: the clock of the bubble
	list   []watcher.Endpoint
	turn   time.Duration // of simulated time: an hour of five seconds is a lot of turns
	w      *watcher.Watcher
	stop   func()
}

func open(t testing.TB, dir string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(t.Context(), bolt.Options{Path: filepath.Join(dir, "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

func endpoint(name, url string, interval time.Duration) watcher.Endpoint {
	return watcher.Endpoint{
		Name: name, Interval: interval, Tier: "standard",
		Target: fetch.Target{URL: url, Timeout: 10 * time.Second, Policy: fetch.Policy{AllowPrivate: true}},
	}
}

// start watches until stop is called.
func (h *watched) start(endpoints ...watcher.Endpoint) {
	h.t.Helper()
	h.make(endpoints...)
	h.run()
}

// make makes a watcher that does not run yet.
func (h *watched) make(endpoints ...watcher.Endpoint) {
	h.t.Helper()
	if h.client == nil {
		h.client = &fetch.Client{}
	}
	if h.dial != nil {
		h.client.Dial = h.dial.Dial
	}
	if h.store == nil {
		h.store = h.db
	}
	in := h.db.Installation()
	h.w = &watcher.Watcher{
		Endpoints: endpoints, Fetch: h.client, Store: h.store, Book: rules.Book(),
		IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch}, Observer: observer(0),
		Log: zerolog.Nop(), FlushEvery: h.flush, TurnEvery: h.turn, Wall: h.wall,
	}
}

func (h *watched) run() {
	ctx, cancel := context.WithCancel(context.WithoutCancel(h.t.Context()))
	done := make(chan error, 1)
	go func() { done <- h.w.Run(ctx) }()
	h.stop = func() {
		h.t.Helper()
		cancel()
		if err := <-done; err != nil {
			h.t.Errorf("watcher: %v", err)
		}
		h.client.CloseIdle()
	}
}

// events reads the journal and holds its chains.
func (h *watched) events() []*event.Event {
	h.t.Helper()
	var out []*event.Event
	ids := map[string]bool{}
	heads := map[string]string{}
	for entry, err := range h.db.Events(h.t.Context(), "") {
		if err != nil {
			h.t.Fatal(err)
		}
		e, err := event.Decode(entry.JSON)
		if err != nil {
			h.t.Fatalf("%s: %v", entry.Type, err)
		}
		valid(h.t, entry)
		if ids[e.ID] {
			h.t.Errorf("%s: id %s stands twice in the journal", entry.Type, e.ID)
		}
		ids[e.ID] = true
		in := e.Data.Integrity
		previous := ""
		if in.Previous != nil {
			previous = *in.Previous
		}
		if previous != heads[in.Stream] {
			h.t.Errorf("%s: the chain of %s is broken at sequence %d", entry.Type, in.Stream, in.Sequence)
		}
		sum, err := event.Hash(entry.JSON)
		if err != nil {
			h.t.Fatal(err)
		}
		heads[in.Stream] = fmt.Sprintf("sha256:%x", sum)
		out = append(out, e)
	}
	return out
}

// schema is the published one.
var schema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(event.Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("event.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("event.json")
})

// valid holds an event to the published schema: what the engine makes, and not
// only what the goldens show.
func valid(t testing.TB, entry state.Entry) {
	t.Helper()
	s, err := schema()
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(entry.JSON))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Validate(v); err != nil {
		t.Errorf("%s is not valid: %v", entry.Type, err)
	}
}

// tell names events in short.
func tell(list []*event.Event) []string {
	out := []string{}
	for _, e := range list {
		s := e.Data.Event.Severity.String() + " " + string(e.Data.Event.Type)
		if k := e.Data.Key; k != nil && k.Kid != nil {
			s += " " + *k.Kid
		}
		if c := e.Data.Event.Condition; c != nil && c.State == event.Closed {
			s += " closed"
		}
		if e.Data.Event.Count > 1 {
			s += fmt.Sprint(" x", e.Data.Event.Count)
		}
		out = append(out, s)
	}
	return out
}

func (h *watched) expect(want ...string) {
	h.t.Helper()
	if got := tell(h.events()); !slices.Equal(got, want) {
		h.t.Errorf("told\n%q\nwant\n%q", got, want)
	}
}

// until waits for a condition on real time.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute) // others use the machine too
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
		time.Sleep(2 * time.Millisecond)
	}
}
