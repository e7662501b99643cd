package sinks

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// Journal is what a Delivery needs of state.Store.
type Journal interface {
	Events(ctx context.Context, after string) iter.Seq2[state.Entry, error]
	Head(ctx context.Context) (string, error)
	Wait(ctx context.Context, after string) error
	Cursor(ctx context.Context, name string) (position string, ok bool, err error)
	SetCursor(ctx context.Context, name, position string) error
	Note(ctx context.Context, name string) ([]byte, error)
	SetNoted(ctx context.Context, name, position string, note []byte) error
	// Pending counts the entries after a cursor, Dropped those that retention has
	// taken from it, up to the position that it returns.
	Pending(ctx context.Context, name string) (n uint64, oldest time.Time, err error)
	Dropped(ctx context.Context, name string) (n uint64, upTo string, err error)
}

// From says where a sink without a cursor begins.
type From string

// The beginnings. The zero value is FromNow: a new sink must not flood a SIEM
// with the past.
const (
	FromNow       From = "now"
	FromBeginning From = "beginning"
)

// Delivery carries the journal to one sink. Its exported fields are not to be
// changed once it is in use.
type Delivery struct {
	Store Journal
	Sink  Sink
	From  From
	// MinSeverity leaves out what is below it; 0 leaves out nothing. What must
	// always arrive, as heartbeats and the end of a condition whose opening passed,
	// has an Entry.Severity that passes.
	MinSeverity event.Severity
	Log         zerolog.Logger // operations
	Drain       time.Duration  // grace after shutdown to send what is in the journal; default 5 s
	Backoff     Backoff
	// MaxBacklog is how many events the sink may lack; 0 is no bound. The oldest
	// are left behind, and told of.
	MaxBacklog uint64
	// Lost commits what is told of lost events. It may be asked again for the same
	// after an error or a crash. nil only logs.
	Lost func(context.Context, Report) error
	Pace time.Duration // between two rewinds, and two looks at the backlog; default 1 min

	mu      sync.Mutex
	stats   Stats
	running bool
	wish    *replaying
	rung    chan struct{}
}

// Stats is what a Delivery did since it started. Counts are of events, Retries
// of attempts. How many events are pending is unknown: positions are private to
// the engine.
type Stats struct {
	Sink    string
	Sent    uint64
	Retries uint64 // failed attempts
	Parked  uint64 // rejected for good, and left behind
	Lost    uint64 // told of by a Report
	// Suspicious counts answers that the receiver had an event that was never sent.
	Suspicious uint64
	Connected  bool // the sink says so; for one that does not know, its last attempt went well
	CaughtUp   bool // there was nothing left to send at the last look
	LastSent   time.Time
	LastError  string    // of the failure that stands; "" when the last attempt went well
	Since      time.Time // of LastError
	Position   string    // up to which all is sent or parked
}

// Stats may be called at any time.
func (d *Delivery) Stats() Stats {
	d.mu.Lock()
	s := d.stats
	d.mu.Unlock()
	s.Sink = d.Sink.Name()
	s.Connected = s.LastError == ""
	if c, ok := d.Sink.(interface{ Connected() bool }); ok {
		s.Connected = c.Connected()
	}
	switch sink := d.Sink.(type) {
	case *NATS:
		s.Suspicious = sink.Stats().UnexpectedDuplicates
	case *Syslog:
		s.Connected = s.Connected && !sink.broken()
	}
	return s
}

func (d *Delivery) note(f func(*Stats)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f(&d.stats)
}

// Prepare fixes the cursor of a sink that has none. It must be called before
// anything is polled: what is committed afterwards is then delivered, also when
// Run starts later or the process dies in between.
func (d *Delivery) Prepare(ctx context.Context) error {
	name := d.Sink.Name()
	_, ok, err := d.Store.Cursor(ctx, name)
	if err != nil {
		return fmt.Errorf("reading the cursor of sink %s: %w", name, err)
	}
	if ok {
		return nil
	}
	var position string // the beginning
	switch d.From {
	case FromBeginning:
	case FromNow, "":
		if position, err = d.Store.Head(ctx); err != nil {
			return fmt.Errorf("reading the head of the journal for sink %s: %w", name, err)
		}
	default:
		return fmt.Errorf("sink %s: from is %q, want %s or %s", name, d.From, FromNow, FromBeginning)
	}
	if err := d.Store.SetCursor(ctx, name, position); err != nil {
		return fmt.Errorf("storing the first cursor of sink %s: %w", name, err)
	}
	return nil
}

// Run delivers until ctx is cancelled, then for at most Drain sends what is
// still in the journal, stores the cursor and returns nil. Errors: the cursor
// cannot be read at the start, for good, or not be stored at the end.
func (d *Delivery) Run(ctx context.Context) error {
	work, cancel := d.grace(ctx)
	defer cancel()
	r := run{Delivery: d, stop: ctx, work: work}
	for {
		err := r.start()
		if err == nil {
			break
		}
		if ctx.Err() != nil || !errors.Is(err, state.ErrUnavailable) {
			return err
		}
		r.fail(err) // nobody starts a delivery again that gave up
	}
	r.mended()
	d.mu.Lock()
	d.running = true
	d.mu.Unlock()
	r.loop()
	r.refuse()
	return r.finish()
}

// recall gives a Keeper what it noted in the run before. A note that is damaged
// is as good as none: what it says can be learnt anew.
func (r *run) recall() error {
	k, ok := r.Sink.(Keeper)
	if !ok {
		return nil
	}
	head, err := r.Store.Head(r.work)
	if err != nil {
		return fmt.Errorf("reading the head of the journal for sink %s: %w", k.Name(), err)
	}
	note, err := r.Store.Note(r.work, k.Name())
	if err != nil {
		r.warn(err)
	}
	r.keeper = k
	k.Recall(note, r.at, head, r.ring)
	return nil
}

// start reads where the sink stands.
func (r *run) start() error {
	if err := r.Prepare(r.stop); err != nil {
		return err
	}
	name := r.Sink.Name()
	position, _, err := r.Store.Cursor(r.stop, name)
	if err != nil {
		return fmt.Errorf("reading the cursor of sink %s: %w", name, err)
	}
	r.at, r.stored = position, position
	r.note(func(s *Stats) { s.Position = position })
	return r.recall()
}

// grace returns the context of the work itself, which outlives stop by Drain.
func (d *Delivery) grace(stop context.Context) (context.Context, context.CancelFunc) {
	drain := d.Drain
	if drain <= 0 {
		drain = 5 * time.Second
	}
	work, cancel := context.WithCancel(context.WithoutCancel(stop))
	forget := context.AfterFunc(stop, func() {
		t := time.AfterFunc(drain, cancel)
		context.AfterFunc(work, func() { t.Stop() })
	})
	return work, func() { forget(); cancel() }
}
