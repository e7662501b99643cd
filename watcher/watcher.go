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
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/keyhealth"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
	"github.com/jwkswatch/jwkswatch/state"
)

// Endpoint is one thing to watch. Its identity is its name.
type Endpoint struct {
	Name string
	// Issuer is the issuer's URL when discovery leads to the key set; Target.URL
	// is then the same, and never fetched as such. "" when Target.URL is that of
	// the key set.
	Issuer   string
	Target   fetch.Target
	Interval time.Duration
	Tier     string // low, standard or critical
	Owner    string
	Group    string
	Labels   map[string]string
	// MaxEvents is how many events an hour may be told one by one; 0 means
	// rules.MaxEvents.
	MaxEvents int
	// EachAddress has each address of the host asked by itself, one more request a
	// poll: servers behind one name may serve different sets.
	EachAddress bool
	Expect      rules.Expect
	// Windows are when its changes are made; none declares nothing.
	Windows []rules.Window
	// Approvals are the changes that were announced for it.
	Approvals []rules.Approval
	// Compromised are thumbprints of keys of own incidents, each with what the
	// operator says of it. It is shared and must not change.
	Compromised map[string]string

	host, site string // of Target.URL
}

// Observer says in each event who saw it.
type Observer struct {
	Name         string
	Vantage      string
	Version      string
	ConfigDigest string // sha256:<hex>
}

// Watcher watches. Its fields must not change once Run or Update was called;
// Update replaces Endpoints and Observer.
type Watcher struct {
	Endpoints []Endpoint
	Fetch     *fetch.Client
	Store     state.Store
	Book      []rules.Rule
	IDs       event.Identifier
	Observer  Observer
	Log       zerolog.Logger // operations

	// Blocklists are the operator's lists of keys whose private half is known;
	// SetBlocklists replaces them.
	Blocklists []*keyhealth.Blocklist
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
	// Wall is the clock that observations are dated by; nil means the system's. It
	// may jump: what is due when is decided without it.
	Wall func() time.Time
	// TurnEvery is how often the scheduler turns when nothing is due, so that
	// Alive tells a loop that hangs from one that waits; 0 means five seconds.
	TurnEvery time.Duration

	fleet    fleet
	peers    peers
	changes  changes
	observer atomic.Pointer[Observer] // nil: Observer
	custom   atomic.Pointer[operator]
	lists    atomic.Pointer[[]*keyhealth.Blocklist] // nil: Blocklists
	degraded atomic.Bool
	stats    counters
	seen     seen
	examiner examiner
	// Both count from begun, by the monotonic clock: one that is set back would hide
	// a loop that hangs, and one that is set forward would make it look so.
	begun  atomic.Pointer[time.Time] // of the Run; nil before it
	turned atomic.Int64              // the scheduler's last turn, in nanoseconds
	top    atomic.Int64              // when the next poll is due, likewise
}

// now is when something was observed, in UTC and whole milliseconds.
func (w *Watcher) now() time.Time {
	if w.Wall != nil {
		return w.Wall().UTC().Truncate(time.Millisecond)
	}
	return time.Now().UTC().Truncate(time.Millisecond)
}

// operator is the book of the operator, with the digest of both books: to make it
// takes longer than to judge an event.
type operator struct {
	rules  *custom.Set
	digest [32]byte
}

// SetBlocklists replaces the lists of known keys. When others are on them, every key
// that stands is checked once more, with the next answer of its endpoint.
func (w *Watcher) SetBlocklists(lists []*keyhealth.Blocklist) {
	before := rules.Checks(w.blocklists())
	w.lists.Store(&lists)
	if rules.Checks(lists) == before {
		return
	}
	for _, s := range w.slots() {
		s.marked.Store(true)
	}
}

func (w *Watcher) blocklists() []*keyhealth.Blocklist {
	if lists := w.lists.Load(); lists != nil {
		return *lists
	}
	return w.Blocklists
}

// SetRules gives the operator's rules the last word on events from now on; nil for
// none.
func (w *Watcher) SetRules(s *custom.Set) {
	o := operator{s, rules.Digest(w.Book)}
	if own := s.Digest(); own != [32]byte{} {
		o.digest = sha256.Sum256(append(o.digest[:], own[:]...))
	}
	w.custom.Store(&o)
}

// judging is the book of the operator as of now.
func (w *Watcher) judging() *operator {
	if o := w.custom.Load(); o != nil {
		return o
	}
	return &operator{digest: rules.Digest(w.Book)}
}

// RulesDigest identifies the built-in book and the operator's rules together.
func (w *Watcher) RulesDigest() [32]byte { return w.judging().digest }

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

// last is a time that was noted and is not stored yet.
func (s *seen) last(name string) time.Time {
	s.Lock()
	defer s.Unlock()
	return s.at[name]
}

func (s *seen) take() map[string]time.Time {
	s.Lock()
	defer s.Unlock()
	out := s.at
	s.at = nil
	return out
}

// Run polls until the context ends, then waits for the polls under way and
// stores what was seen. It returns nil when it was asked to stop, and an error
// at once when there is nothing to watch or an endpoint cannot be one.
func (w *Watcher) Run(ctx context.Context) error {
	q, err := w.begin()
	if err != nil {
		return err
	}
	done := make(chan finished)
	crew := crew{most: cmp.Or(w.Workers, 64), jobs: make(chan *slot), work: func(jobs <-chan *slot) {
		var b body
		for s := range jobs {
			done <- finished{s, w.visit(ctx, s, &b)}
		}
	}}
	stop := make(chan struct{})
	var flusher, indexer sync.WaitGroup
	flusher.Go(func() { w.flushLoop(stop) })
	w.examiner.begin()
	flusher.Go(func() { w.examine(stop) })
	indexer.Go(func() { w.index(ctx) })
	w.schedule(ctx, q, &crew, done)
	indexer.Wait()
	close(w.fleet.over)
	close(crew.jobs)
	crew.Wait()
	close(stop)
	flusher.Wait()
	w.examiner.end()
	w.end()
	return w.flush(context.WithoutCancel(ctx))
}

// crew are the workers: as many as there are endpoints, up to most.
type crew struct {
	sync.WaitGroup
	most, count int
	jobs        chan *slot
	work        func(jobs <-chan *slot)
}

// grow starts workers for a fleet of n. None is ever dismissed.
func (c *crew) grow(n int) {
	for ; c.count < min(n, c.most); c.count++ {
		c.Go(func() { c.work(c.jobs) })
	}
}

func (w *Watcher) flushLoop(stop <-chan struct{}) {
	every := w.FlushEvery
	if every == 0 {
		every = time.Minute
	}
	t := time.NewTicker(every)
	defer t.Stop()
	said := false
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			err := w.flush(context.Background())
			if err != nil {
				w.stats.unstored(err) // when nothing changes, nothing else finds out
			}
			if err != nil && !said {
				w.Log.Error().Err(err).Msg("times of good polls are not stored; trying again")
			}
			said = err != nil
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

// identity is what the state remembers of a configured URL. Values of a query
// may be credentials: of such a URL it is the masked form and a keyed hash.
func (w *Watcher) identity(url string) string {
	masked := fetch.MaskURL(url)
	if masked == url {
		return url
	}
	mac := hmac.New(sha256.New, w.IDs.Key[:])
	mac.Write([]byte("jwkswatch url v1\x00" + url))
	return masked + "#" + hex.EncodeToString(mac.Sum(nil)[:16])
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
