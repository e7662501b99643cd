package agent_test

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// scene is an agent over a real state file, in a bubble of simulated time.
// Fields are set before start, or under mu.
type scene struct {
	t     *testing.T
	dir   string
	db    *bolt.DB
	wrap  func(state.Store) state.Store // nil: the state as it is
	voice *agent.Voice
	o     *agent.Overseer
	beat  time.Duration
	every time.Duration // of the ticks; 0 means a second
	cfg   string        // stands for its digest
	names []string
	log   bytes.Buffer
	halt  func()

	mu       sync.Mutex
	nodes    []*node
	sinks    []agent.SinkState
	skew     time.Duration // of the wall clock
	slept    time.Duration // of the machine, in all
	jump     time.Time     // polls after this have the time of the skewed clock
	failing  time.Time
	damaged  []string
	cause    error
	heads    []evidence.Head
	headsErr error
	degraded bool
	posture  string // JSON; "" for none
	since    func(before []byte) (event.AgentConfigChangedDetails, bool, error)
}

// inBubble runs a scene.
func inBubble(t *testing.T, play func(*testing.T, *scene)) {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, dir: dir, cfg: "a", names: []string{"stdout"}}
		defer func() { // a bubble must be left in order, also by a test that failed
			if s.halt != nil {
				s.crash()
			}
		}()
		play(t, s)
	})
}

func (s *scene) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.Write(b)
}

func (s *scene) logged(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.log.String(), text)
}

func (s *scene) open() {
	s.t.Helper()
	db, err := bolt.Open(s.t.Context(), bolt.Options{Path: filepath.Join(s.dir, "state.db")})
	if err != nil {
		s.t.Fatal(err)
	}
	s.db = db
	var store state.Store = db
	if s.wrap != nil {
		store = s.wrap(db)
	}
	in := db.Installation()
	s.voice = &agent.Voice{
		Store: store, IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch}, Observer: observer, Log: zerolog.New(s),
	}
}

func observer() event.Observer {
	return event.Observer{Name: "soc-1", Version: "test", ConfigDigest: sum("a"), RulesDigest: sum("r")}
}

func sum(s string) string { return fmt.Sprintf("sha256:%064x", s) }

func (s *scene) facts() agent.StartFacts {
	f := agent.StartFacts{ConfigDigest: sum(s.cfg), Sinks: s.names, Posture: []byte(s.posture), Since: s.since}
	for _, n := range s.nodes {
		f.Endpoints = append(f.Endpoints, agent.Watched{Name: n.name, Tier: n.tier, Interval: n.interval})
	}
	return f
}

// start begins a run.
func (s *scene) start() {
	s.t.Helper()
	s.open()
	if err := s.voice.Start(s.t.Context(), time.Now(), s.facts()); err != nil {
		s.t.Fatal(err)
	}
	for _, n := range s.nodes {
		n.watched = time.Now()
	}
	s.oversee()
}

func (s *scene) oversee() {
	s.o = &agent.Overseer{
		Voice: s.voice, Wall: s.wall, Fleet: s.fleet, Every: s.every,
		Slept: func() time.Duration { s.mu.Lock(); defer s.mu.Unlock(); return s.slept },
		Sinks: func(context.Context) []agent.SinkState {
			s.mu.Lock()
			defer s.mu.Unlock()
			return slices.Clone(s.sinks)
		},
		Heads: func(context.Context) ([]evidence.Head, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.heads, s.headsErr
		},
		Polls:     func() (uint64, uint64) { return 7, 2 },
		Lag:       func() time.Duration { return 12 * time.Millisecond },
		StateSize: func() int64 { return 4096 },
		Damaged:   func() ([]string, string) { s.mu.Lock(); defer s.mu.Unlock(); return s.damaged, "digest does not match" },
		Failing:   func() (time.Time, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.failing, s.cause },
		Degraded:  func(is bool) { s.mu.Lock(); defer s.mu.Unlock(); s.degraded = is },
	}
	s.o.SetHeartbeat(s.beat)
	ctx, cancel := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan struct{})
	go func() { defer close(done); s.o.Run(ctx) }()
	s.halt = func() { cancel(); <-done }
}

func (s *scene) wall() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Now().Add(s.skew).Round(0)
}

func (s *scene) fleet() []rules.FleetEndpoint {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []rules.FleetEndpoint
	for _, n := range s.nodes {
		e := n.at(time.Now())
		if !s.jump.IsZero() && e.LastGood.After(s.jump) {
			e.LastGood = e.LastGood.Add(s.skew)
		}
		out = append(out, e)
	}
	return out
}

// crash ends a run without a word; what was seen is in the state.
func (s *scene) crash() {
	s.t.Helper()
	s.halt()
	s.halt = nil
	seen := map[string]time.Time{}
	for _, e := range s.fleet() {
		if !e.LastGood.IsZero() {
			seen[e.Name] = e.LastGood
		}
	}
	if err := s.db.Seen(s.t.Context(), seen); err != nil {
		s.t.Error(err)
	}
	for _, n := range s.nodes {
		n.was = seen[n.name]
	}
	if err := s.db.Close(); err != nil {
		s.t.Error(err)
	}
}

// end ends a run in order.
func (s *scene) end() {
	s.t.Helper()
	if err := s.voice.Stop(s.t.Context(), time.Now(), "signal"); err != nil {
		s.t.Error(err)
	}
	s.crash()
}

// pass lets time go by.
func (s *scene) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (s *scene) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

func (s *scene) isDegraded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.degraded
}

// watch adds n endpoints, each on a host of its own, polled one after the other.
func (s *scene) watch(n int, interval time.Duration) {
	for i := range n {
		s.nodes = append(s.nodes, &node{
			name: fmt.Sprintf("e%03d", i), tier: "standard", interval: interval,
			offset: interval * time.Duration(i) / time.Duration(n), phase: "timeout",
		})
	}
}

func (s *scene) down(nodes ...*node) { s.set(func() { fall(nodes, time.Now()) }) }
func (s *scene) up(nodes ...*node)   { s.set(func() { fall(nodes, time.Time{}) }) }

func fall(nodes []*node, at time.Time) {
	for _, n := range nodes {
		n.down = at
	}
}

// node is an endpoint that is polled at its offset after the start and then
// every interval, with a second try five seconds after a failure.
type node struct {
	name, tier, phase, code string
	interval, offset        time.Duration
	watched, down           time.Time
	was                     time.Time // last good poll before the start
}

func (n *node) at(now time.Time) rules.FleetEndpoint {
	e := rules.FleetEndpoint{
		Name: n.name, Host: n.name + ".example", Site: n.name + ".example", Tier: n.tier, Interval: n.interval, Watched: n.watched,
	}
	first := n.watched.Add(n.offset)
	if now.Before(first) {
		return e
	}
	e.LastGood = first.Add(now.Sub(first) / n.interval * n.interval)
	if n.down.IsZero() {
		return e
	}
	fails := first
	e.LastGood = n.was
	if n.down.After(first) {
		e.LastGood = first.Add((n.down.Sub(first) - 1) / n.interval * n.interval)
		fails = e.LastGood.Add(n.interval)
	}
	if now.Before(fails) {
		return e
	}
	e.FailingSince, e.Phase, e.Code = fails, n.phase, n.code
	e.Failures = 1 + int(now.Sub(fails)/n.interval)
	if now.Sub(fails) >= 5*time.Second {
		e.Failures++
	}
	return e
}
