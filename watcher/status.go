package watcher

import (
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// EndpointStatus is how it stands with one endpoint. Times are zero when there
// was none.
type EndpointStatus struct {
	Name   string
	Issuer string // masked; "" without discovery
	URL    string // of the key set, masked; "" while discovery has not led to one
	// Host and Site are those that are configured: where discovery leads may
	// be another.
	Host     string
	Site     string
	Tier     string
	Interval time.Duration
	LastPoll time.Time // that ended
	LastGood time.Time // complete answer that was a set; from the state after a restart, once it was polled
	NextPoll time.Time // past while one is late or under way
	// Failures counts the failed polls in a row, Since is the time of the first
	// of them, Phase and Code are those of the last. With Failures 0 and Phase
	// discovery, only the discovery document is missing, since Since, and the
	// last key set goes on.
	Failures int
	Since    time.Time
	Phase    string
	Code     string
	Keys     int       // of the last good set; 0 before this process saw one
	Watched  time.Time // since when this process watches it
	Polls    uint64    // that ended, second looks included
	Failed   uint64
	// Openings are those of its change windows in which something changed, of the
	// last days.
	Openings []history.Windowed
}

// Status tells how it stands with every endpoint, sorted by name. It may be
// called at any time and holds up no poll; there is nothing to tell before Run.
func (w *Watcher) Status() []EndpointStatus {
	slots := w.slots()
	out := make([]EndpointStatus, len(slots))
	for i, s := range slots {
		out[i] = s.status()
	}
	return out
}

func (w *Watcher) slots() []*slot {
	w.fleet.mu.RLock()
	defer w.fleet.mu.RUnlock()
	return w.fleet.slots // replaced by Update, never written
}

func (s *slot) status() EndpointStatus {
	s.mu.Lock()
	h := s.shown
	s.mu.Unlock()
	e := h.want
	st := EndpointStatus{
		Name: e.Name, Issuer: fetch.MaskURL(e.Issuer), URL: h.uri(), Host: e.host, Site: e.site, Tier: e.Tier,
		Interval: e.Interval, LastPoll: h.lastPoll, LastGood: h.lastGood, NextPoll: h.due, Keys: int(h.keys),
		Watched: h.watched, Polls: h.polls, Failed: h.failed, Openings: h.openings,
	}
	f := h.row
	if f != nil {
		st.Failures = f.Count
	} else if f = h.missing; f == nil {
		return st
	}
	st.Since, st.Phase, st.Code = f.Since, f.Phase, f.Code
	return st
}

// Damaged is an endpoint of which the state is damaged: it is polled, but nothing of it
// can be judged.
type Damaged struct {
	Endpoint string
	Since    time.Time
	Cause    string
}

// Damaged lists the endpoints of which the state is damaged, by name. It may be called
// at any time.
func (w *Watcher) Damaged() (out []Damaged) {
	for _, s := range w.slots() {
		s.mu.Lock()
		if !s.damaged.IsZero() {
			out = append(out, Damaged{s.named, s.damaged, s.unstored})
		}
		s.mu.Unlock()
	}
	return out
}

// trouble notes why a step was not stored, "" when it was, and reports whether that is
// another reason than before.
func (s *slot) trouble(why string, damaged bool, now time.Time) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	changed = s.unstored != why
	switch s.unstored = why; {
	case !damaged:
		s.damaged = time.Time{}
	case s.damaged.IsZero():
		s.damaged = now
	}
	return changed
}

// polled notes the end of a poll. row is the row of failures with this one in
// it, nil after an answer.
func (s *slot) polled(at time.Time, l *look, row *rules.Failure, good bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polls++
	s.lastPoll, s.row = at, row
	if row != nil {
		s.failed++
	}
	if good {
		s.lastGood = at
	}
	if l.facts != nil {
		s.missing, s.used = l.facts.Failure, l.used
	}
}

// uri is the URL of the key set, masked; "" when discovery has led to none.
func (h *shown) uri() string {
	if h.want.Issuer == "" {
		return fetch.MaskURL(h.want.Target.URL)
	}
	return h.used
}

// opened notes what is remembered of change windows.
func (s *slot) opened(list []history.Windowed) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.openings = list
}

// holds notes how many keys the last good set has.
func (s *slot) holds(keys int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys = int32(min(keys, math.MaxInt32))
}

// Lag is how late the most overdue endpoint is now: that which waits for a
// worker. It is 0 before Run.
func (w *Watcher) Lag() time.Duration {
	begun := w.begun.Load()
	if begun == nil {
		return 0
	}
	return max(0, time.Since(*begun)-time.Duration(w.top.Load()))
}

// Alive is the last time that the scheduler's loop turned; zero before Run. It
// turns every TurnEvery even when nothing is due: when this is longer ago, the
// loop hangs. It has a monotonic reading, so that time.Since means what it says
// when the clock was set.
func (w *Watcher) Alive() time.Time {
	begun := w.begun.Load()
	if begun == nil {
		return time.Time{}
	}
	return begun.Add(time.Duration(w.turned.Load()))
}

// SetDegraded says whether the agent itself is in trouble: what fails from now
// on is then explained by that. It may be called at any time.
func (w *Watcher) SetDegraded(is bool) { w.degraded.Store(is) }

// observing is who observes now.
func (w *Watcher) observing() *Observer {
	if o := w.observer.Load(); o != nil {
		return o
	}
	return &w.Observer
}

// Stats are counts since the start.
type Stats struct {
	Polls     uint64 // that ended, second looks included
	Unchanged uint64 // of them, answers that were what the last one was
	Failed    uint64
	Parses    uint64 // documents read, of keys and of discovery
	Commits   uint64 // steps stored
	Events    uint64
	StoreErrs uint64 // writes that failed
	StoreErr  error  // why the last of them did
}

type counters struct {
	polls, unchanged, failed, parses, commits, events, storeErrs atomic.Uint64

	mu       sync.Mutex
	kind     map[EventCount]uint64
	storeErr error
}

// EventCount is a kind of event.
type EventCount struct {
	Type     event.Type
	Severity event.Severity
}

// Stats returns the counts. It may be called at any time.
func (w *Watcher) Stats() Stats {
	w.stats.mu.Lock()
	defer w.stats.mu.Unlock()
	return Stats{
		w.stats.polls.Load(), w.stats.unchanged.Load(), w.stats.failed.Load(), w.stats.parses.Load(),
		w.stats.commits.Load(), w.stats.events.Load(), w.stats.storeErrs.Load(), w.stats.storeErr,
	}
}

// EventCounts returns how many events of each kind were committed since the
// start. The map is the caller's. It may be called at any time.
func (w *Watcher) EventCounts() map[EventCount]uint64 {
	w.stats.mu.Lock()
	defer w.stats.mu.Unlock()
	return maps.Clone(w.stats.kind)
}

// unstored counts a write that failed.
func (c *counters) unstored(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.storeErr = err
	c.storeErrs.Add(1)
}

// committed counts a step that was stored.
func (c *counters) committed(findings []rules.Finding) {
	c.commits.Add(1)
	c.events.Add(uint64(len(findings)))
	if len(findings) == 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kind == nil {
		c.kind = map[EventCount]uint64{}
	}
	for i := range findings {
		c.kind[EventCount{findings[i].Type, findings[i].Severity}]++
	}
}
