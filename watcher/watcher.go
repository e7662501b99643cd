// Package watcher polls each endpoint for ever: network, judgement, state. It
// is the only place where an observation becomes a commit.
//
// Its promises: a poll that shows nothing new costs no parse and no write;
// snapshot, memory and events go in one transaction before anything is
// published; a failure is an observation; and nobody outside can tell when the
// next poll will be.
//
// There is no goroutine, timer or transport for an endpoint: a fixed number of
// workers serve a slice of endpoints in order of their due times.
package watcher

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state"
)

// Endpoint is one thing to watch. Its identity is its name.
type Endpoint struct {
	Name     string
	Target   fetch.Target
	Interval time.Duration
	Tier     string // low, standard or critical
	Owner    string
	Group    string
	Labels   map[string]string
}

// Observer says in each event who saw it.
type Observer struct {
	Name         string
	Vantage      string
	Version      string
	ConfigDigest string // sha256:<hex>
}

// Watcher watches. Its fields must not change once Run was called.
type Watcher struct {
	Endpoints []Endpoint
	Fetch     *fetch.Client
	Store     state.Store
	Book      []rules.Rule
	IDs       event.Identifier
	Observer  Observer
	Log       zerolog.Logger // operations

	// Workers is how many polls may be under way at once; 0 means 64.
	Workers int
	// Rand returns a number in [0,1) that nobody outside can predict; nil
	// means one from crypto/rand.
	Rand func() float64
	// Look makes the time to a second look of what the rules ask for at least;
	// nil adds a secret jitter of up to two seconds.
	Look func(atLeast time.Duration) time.Duration
	// FlushEvery is how often the times of good polls are stored; 0 means a
	// minute.
	FlushEvery time.Duration

	slots []slot
	stats counters
	seen  seen
}

// Stats are counts since the start.
type Stats struct {
	Polls     uint64 // fetches that ended, second looks included
	Unchanged uint64 // of them, answers that were what the last one was
	Failed    uint64
	Parses    uint64 // documents read
	Commits   uint64 // steps stored
	Events    uint64
	StoreErrs uint64 // commits that failed
}

type counters struct {
	polls, unchanged, failed, parses, commits, events, storeErrs atomic.Uint64
}

// Stats returns the counts. It may be called at any time.
func (w *Watcher) Stats() Stats {
	return Stats{
		w.stats.polls.Load(), w.stats.unchanged.Load(), w.stats.failed.Load(), w.stats.parses.Load(),
		w.stats.commits.Load(), w.stats.events.Load(), w.stats.storeErrs.Load(),
	}
}

// slot is what is kept in memory of one endpoint between polls. It is owned by
// the worker that polls it, and by the scheduler while nobody does.
type slot struct {
	key      [32]byte // fast-path key of the last answer that left nothing open
	lastGood time.Time
	since    time.Time // of the row of failures
	window   time.Time // of the looks counted
	failures int
	good     int
	looks    int
	known    bool // key is set
	loaded   bool // lastGood was read from the store
	usable   bool // the answer of key was a set, so that seeing it again is a good poll
	// attentive says that even an unchanged answer means something: a claim is
	// pending, or a row of failures may be over.
	attentive bool
	fresh     bool // the next poll is a second look
}

// looksPerMinute bounds the second looks at one endpoint: an issuer that
// changes with every answer must not make us hammer it.
const looksPerMinute = 4

// seen gathers the times of good polls until they are stored.
type seen struct {
	sync.Mutex
	at map[string]time.Time
}

func (s *seen) note(name string, at time.Time) {
	s.Lock()
	defer s.Unlock()
	if s.at == nil {
		s.at = map[string]time.Time{}
	}
	s.at[name] = at
}

func (s *seen) take() map[string]time.Time {
	s.Lock()
	defer s.Unlock()
	out := s.at
	s.at = nil
	return out
}

// Run polls until the context ends, then waits for the polls under way and
// stores what was seen. It returns nil when it was asked to stop.
func (w *Watcher) Run(ctx context.Context) error {
	if len(w.Endpoints) == 0 {
		return errors.New("watcher: no endpoints")
	}
	w.slots = make([]slot, len(w.Endpoints))
	for i := range w.Endpoints {
		if err := w.Endpoints[i].Target.Prepare(); err != nil {
			return fmt.Errorf("endpoint %s: %w", w.Endpoints[i].Name, err)
		}
	}
	jobs, done := make(chan int32), make(chan finished)
	var workers, flusher sync.WaitGroup
	for range min(cmpOr(w.Workers, 64), len(w.Endpoints)) {
		workers.Go(func() {
			var b body
			for i := range jobs {
				done <- finished{i, w.poll(ctx, i, &b)}
			}
		})
	}
	stop := make(chan struct{})
	flusher.Go(func() { w.flushLoop(stop) })
	w.schedule(ctx, jobs, done)
	close(jobs)
	workers.Wait()
	close(stop)
	flusher.Wait()
	return w.flush(context.WithoutCancel(ctx))
}

func (w *Watcher) flushLoop(stop <-chan struct{}) {
	every := w.FlushEvery
	if every == 0 {
		every = time.Minute
	}
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			if err := w.flush(context.Background()); err != nil {
				w.Log.Error().Err(err).Msg("times of good polls are not stored; trying again")
			}
		}
	}
}

func (w *Watcher) flush(ctx context.Context) error {
	at := w.seen.take()
	if len(at) == 0 {
		return nil
	}
	if err := w.Store.Seen(ctx, at); err != nil {
		w.seen.Lock()
		defer w.seen.Unlock()
		for name, t := range at {
			if w.seen.at[name].Before(t) {
				if w.seen.at == nil {
					w.seen.at = map[string]time.Time{}
				}
				w.seen.at[name] = t
			}
		}
		return fmt.Errorf("storing the times of good polls: %w", err)
	}
	return nil
}

// phase places an endpoint in [0,1) by a keyed hash of its name: the same after
// a restart, and unknown to who does not hold the key.
func (w *Watcher) phase(name string) float64 {
	mac := hmac.New(sha256.New, w.IDs.Key[:])
	mac.Write([]byte("jwkswatch poll phase v1\x00" + name))
	return float64(binary.BigEndian.Uint64(mac.Sum(nil))>>11) / (1 << 53)
}

// random is a number in [0,1) that cannot be predicted.
func (w *Watcher) random() float64 {
	if w.Rand != nil {
		return w.Rand()
	}
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the process instead
	return float64(binary.BigEndian.Uint64(b[:])>>11) / (1 << 53)
}

func cmpOr(a, b int) int {
	if a != 0 {
		return a
	}
	return b
}
