package watcher

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// slot is what is kept in memory of one endpoint between polls. The scheduler
// owns it, and lends it to a worker for each poll; what the worker uses is
// never touched meanwhile. Nobody but the owner writes, so the owner reads
// without mu; mu is for Status, which reads at any time.
type slot struct {
	e     *Endpoint // as polled
	named string    // never changes
	// marked asks for the next answer to be judged whatever it is: what others
	// show may change the verdict on it.
	marked atomic.Bool

	// The scheduler's alone.
	at      int  // place in the queue; -1 while a poll is under way
	changed bool // want is not e in a way that matters
	gone    bool // no longer configured; its last poll is under way

	mu sync.Mutex
	shown

	key    [32]byte // fast-path key of the last answer that left nothing open
	window time.Time
	looks  int32 // second looks since window
	good   int32 // good polls in a row
	known  bool  // key is set
	loaded bool  // lastGood was read from the store
	usable bool  // the answer of key was a set, so that seeing it again is a good poll
	// attentive says that even an unchanged answer means something: a claim is
	// pending, or a row of failures may be over.
	attentive bool
	// review is when an answer must be judged again even if it shows nothing new;
	// zero for never.
	review time.Time
	found  findings // of the examiner, for the next observation
	fresh  bool     // the next poll is a second look

	recent recent
	views  *views // of single addresses; nil unless each is to be asked
	way    *way   // from the issuer to the key set; nil without discovery
}

// shown is the part of a slot that Status reads.
type shown struct {
	want     *Endpoint // as configured
	due      time.Time
	watched  time.Time // since when this process watches it
	lastPoll time.Time
	lastGood time.Time
	row      *rules.Failure // the last of the row of failures; nil after a good poll
	missing  *rules.Failure // the same of discovery, when only that fails
	unstored string         // why the last step was not stored; "" when it was
	damaged  time.Time      // since when that is for damage of the state; zero when it is not
	used     string         // the key set asked last, masked; "" before, and without discovery
	keys     int32          // of the last good set
	polls    uint64
	failed   uint64
	openings []history.Windowed // of change windows, of the last days; never changed in place
}

// fleet is all that is watched.
type fleet struct {
	changing sync.Mutex  // one Update, or one start or end of a Run, at a time
	staged   []*Endpoint // what the next Run watches; nil: Watcher.Endpoints
	updates  chan update // to the scheduler; nil while no Run is
	over     chan struct{}

	mu    sync.RWMutex
	slots []*slot // by name
}

// update asks the scheduler to replace the fleet.
type update struct {
	endpoints []*Endpoint
	observer  Observer
	applied   chan struct{}
}

// Update replaces the fleet and the observer, while Run runs or before. An
// endpoint that is what it was keeps its place in the schedule and is not
// disturbed; one whose target, policy, interval, tier or issuer changed keeps
// what is remembered of it and is polled soon; one that is gone is not polled
// again, but a poll of it that is under way ends in order; a new one is polled
// soon. When Update has returned, every new event carries the new observer. An
// error refuses the whole: nothing has changed then. It may be called from any
// goroutine.
func (w *Watcher) Update(endpoints []Endpoint, observer Observer) error {
	next, err := prepare(endpoints)
	if err != nil {
		return err
	}
	f := &w.fleet
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.updates == nil {
		f.staged = next
		w.observer.Store(&observer)
		return nil
	}
	u := update{next, observer, make(chan struct{})}
	select {
	case f.updates <- u:
		<-u.applied
	case <-f.over: // Run is about to return
		f.staged = next
		w.observer.Store(&observer)
	}
	return nil
}

// prepare checks endpoints and returns copies of them, sorted by name.
func prepare(endpoints []Endpoint) ([]*Endpoint, error) {
	if len(endpoints) == 0 {
		return nil, errors.New("watcher: no endpoints")
	}
	out := make([]*Endpoint, len(endpoints))
	for i := range endpoints {
		e := new(endpoints[i])
		if err := e.prepare(); err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
		}
		out[i] = e
	}
	slices.SortFunc(out, func(a, b *Endpoint) int { return cmp.Compare(a.Name, b.Name) })
	for i := range out[1:] {
		if out[i].Name == out[i+1].Name {
			return nil, fmt.Errorf("endpoint %s: the name stands twice", out[i].Name)
		}
	}
	return out, nil
}

// same reports whether polling a is polling b: what differs at most is told in
// events and has no part in how they come about.
func same(a, b *Endpoint) bool {
	return a.Interval == b.Interval && a.Tier == b.Tier && a.EachAddress == b.EachAddress && a.MaxEvents == b.MaxEvents && reflect.DeepEqual(a.Expect, b.Expect) && reflect.DeepEqual(a.Windows, b.Windows) && reflect.DeepEqual(a.Approvals, b.Approvals) &&
		maps.Equal(a.Compromised, b.Compromised) && sameWay(a, b)
}

// sameWay reports whether a and b ask the same of the same.
func sameWay(a, b *Endpoint) bool {
	s, t := &a.Target, &b.Target
	return a.Issuer == b.Issuer && s.URL == t.URL && samePolicy(s.Policy, t.Policy) && s.Timeout == t.Timeout &&
		s.MaxBody == t.MaxBody && s.Redirects == t.Redirects && maps.EqualFunc(s.Header, t.Header, slices.Equal)
}

// samePolicy compares by content: a reload reads every certificate anew.
func samePolicy(a, b fetch.Policy) bool {
	same := a.TLS.Digest() == b.TLS.Digest()
	a.TLS, b.TLS = nil, nil
	return same && a == b
}

// begin makes the fleet of a Run.
func (w *Watcher) begin() (*queue, error) {
	f := &w.fleet
	f.changing.Lock()
	defer f.changing.Unlock()
	if f.updates != nil {
		return nil, errors.New("watcher: running already")
	}
	if f.staged == nil {
		var err error
		if f.staged, err = prepare(w.Endpoints); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	f.slots = nil
	f.mu.Unlock()
	q := &queue{leaving: map[string]*slot{}}
	w.replace(q, f.staged)
	f.staged = nil
	f.updates, f.over = make(chan update), make(chan struct{})
	return q, nil
}

// end leaves what a later Run would watch.
func (w *Watcher) end() {
	f := &w.fleet
	f.changing.Lock()
	defer f.changing.Unlock()
	f.updates = nil
	if f.staged != nil {
		return // by an Update that came too late for this one
	}
	for _, s := range f.slots {
		f.staged = append(f.staged, s.want)
	}
}

// replace makes the fleet that of next. It belongs to the scheduler.
func (w *Watcher) replace(q *queue, next []*Endpoint) {
	f := &w.fleet
	before := maps.Clone(q.leaving)
	for _, s := range f.slots {
		before[s.want.Name] = s
	}
	now := time.Now()
	slots := make([]*slot, len(next))
	var soon []*slot // to be polled for the first time, or anew
	for i, e := range next {
		s := before[e.Name]
		delete(before, e.Name)
		switch {
		case s == nil:
			s = &slot{at: -1, named: e.Name, shown: shown{want: e, watched: w.now()}}
			soon = append(soon, s)
		case s.gone: // came back while its last poll is under way
			s.gone = false
			delete(q.leaving, e.Name)
			s.configure(e, !same(s.want, e))
		default:
			if s.configure(e, !same(s.want, e)); s.changed && s.at >= 0 {
				soon = append(soon, s)
			}
		}
		slots[i] = s
	}
	for name, s := range before {
		s.gone = true
		if s.at < 0 {
			q.leaving[name] = s
		} else {
			q.remove(s)
		}
	}
	for _, s := range soon {
		due := now.Add(w.soon(s.want, len(soon)))
		if s.at >= 0 && s.due.Before(due) {
			continue // or updates in a quick row would put it off for ever
		}
		q.put(s, due)
	}
	f.mu.Lock()
	f.slots = slots
	f.mu.Unlock()
	w.judgeAgain(w.peers.configure(next))
}

// soon is the time to the first poll of one of n endpoints. They are spread so
// that a large fleet does not start at once, and no longer than that: until its
// first poll an endpoint is not watched.
func (w *Watcher) soon(e *Endpoint, n int) time.Duration {
	spread := time.Second + time.Duration(n)*2*time.Millisecond
	return time.Duration(w.phase(e.Name) * float64(min(e.Interval, spread)))
}

// configure notes what the endpoint is to be from its next poll on.
func (s *slot) configure(e *Endpoint, changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.want = e
	s.changed = s.changed || changed
}

// adopt makes the endpoint what it is configured to be. What is remembered of
// it stands in the store and stays; what was a shortcut does not.
func (s *slot) adopt() {
	if s.e == s.want {
		return
	}
	was := s.e
	s.e = s.want
	if !s.changed {
		return
	}
	s.changed, s.known = false, false
	if was != nil && !sameWay(was, s.e) {
		// A row of failures, and the way to the key set, were those of another.
		s.good, s.way, s.recent, s.views = 0, nil, recent{}, nil
		s.mu.Lock()
		defer s.mu.Unlock()
		s.row, s.missing, s.used = nil, nil, ""
	}
}

// prepare checks the endpoint once, so that a poll need not.
func (e *Endpoint) prepare() error {
	if e.Issuer != "" {
		e.Target.URL = e.Issuer // by which a discovered key set is measured
	}
	if err := e.Target.Prepare(); err != nil {
		return err
	}
	e.host = hostOf(e.Target.URL)
	e.site = fetch.Site(e.host)
	if e.Issuer == "" {
		return nil
	}
	for i := range forms {
		if _, err := e.form(i); err != nil {
			return fmt.Errorf("discovery: %w", err)
		}
	}
	return nil
}

// reviewDue reports whether time alone may have changed the verdict on the endpoint.
func (s *slot) reviewDue(now time.Time) bool { return !s.review.IsZero() && !now.Before(s.review) }
