package sinks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// Bounds of one batch.
const (
	maxBatch      = 256     // events
	maxBatchBytes = 4 << 20 // octets; one event more may go over it
)

// saveEvery is how often the cursor is stored while events flow. What a crash
// makes a sink repeat is at most this long.
const saveEvery = time.Second

// run is one Run of a Delivery. Only its goroutine touches it.
type run struct {
	*Delivery
	stop context.Context // cancelled: send what is there and end
	work context.Context // cancelled: the grace is over

	at      string // all up to here is sent or parked
	stored  string // the cursor in the store
	saved   time.Time
	failed  string // text of the error that was logged last; "" after a success
	since   time.Time
	attempt int // failures in a row

	keeper   Keeper // nil when the sink is none
	attended time.Time
	rewound  time.Time
	owed     []Report // losses that could not be told yet
	looked   bool     // for what retention dropped
	warned   string   // text of the doubt that was logged last
}

func (r *run) loop() {
	for r.work.Err() == nil {
		r.attend()
		batch, err := r.next()
		switch {
		case len(batch) > 0:
			r.deliver(batch)
		case err != nil:
			r.fail(fmt.Errorf("reading the journal: %w", err))
		default:
			r.note(func(s *Stats) { s.CaughtUp = true })
			if r.stop.Err() != nil {
				return
			}
			r.idle()
		}
	}
}

// next reads a batch. Entries that came before an error are delivered first;
// the error then meets the next read.
func (r *run) next() ([]state.Entry, error) {
	var batch []state.Entry
	var size int
	for e, err := range r.Store.Events(r.work, r.at) {
		if err != nil {
			if len(batch) == 0 && e.Position > r.at && errors.Is(err, state.ErrCorrupt) {
				// The engine says which entry is damaged: the others must not
				// wait behind it for ever.
				r.park(&e, err)
				continue
			}
			return batch, err
		}
		if !r.wants(&e) {
			if len(batch) == 0 {
				r.advance(e.Position, 0) // else it is met again, behind what is sent now
			}
			continue
		}
		batch = append(batch, e)
		if size += len(e.JSON); len(batch) == maxBatch || size >= maxBatchBytes {
			break
		}
	}
	return batch, nil
}

// wants reports whether an entry passes the filter of the sink.
func (r *run) wants(e *state.Entry) bool { return e.Severity >= uint8(r.MinSeverity) }

// idle waits for the next entry, for the bell, and for the time to store the
// cursor.
func (r *run) idle() {
	wait, cancel := context.WithCancel(r.stop)
	over := make(chan struct{})
	defer func() { cancel(); <-over }()
	go func() {
		defer close(over)
		select {
		case <-r.bell():
			cancel()
		case <-wait.Done():
		}
	}()
	if due := r.due(); due > 0 {
		late, stop := context.WithTimeout(wait, due)
		err := r.Store.Wait(late, r.at)
		overdue := late.Err() != nil
		stop()
		if err == nil || !overdue {
			r.waited(err)
			return
		}
	}
	if wait.Err() != nil {
		return
	}
	if r.at != r.stored {
		r.save()
		return
	}
	if err := r.Store.Wait(wait, r.at); wait.Err() == nil {
		r.waited(err)
	}
}

func (r *run) waited(err error) {
	if err != nil && r.stop.Err() == nil {
		r.fail(fmt.Errorf("waiting for the journal: %w", err))
	}
}

// deliver sends a batch until all of it is sent or parked, something else is to
// be done first, or the grace is over.
func (r *run) deliver(batch []state.Entry) {
	r.note(func(s *Stats) { s.CaughtUp = false })
	for len(batch) > 0 && r.work.Err() == nil {
		sent, err := r.Sink.Send(r.work, batch)
		if sent = min(max(sent, 0), len(batch)); sent > 0 {
			r.advance(batch[sent-1].Position, sent)
			batch = batch[sent:]
		}
		switch {
		case err == nil && (sent > 0 || len(batch) == 0):
			r.mended()
		case err == nil:
			r.fail(errors.New("the sink neither sent nor said why"))
		case len(batch) > 0 && errors.Is(err, ErrRejected):
			r.park(&batch[0], err)
			batch = batch[1:]
			r.mended()
		case errors.Is(err, ErrUnsure):
			return
		case r.work.Err() == nil:
			r.fail(err)
			if errors.Is(err, ErrMisconfigured) {
				return // what came meanwhile may show a sink whether one event is at fault
			}
			if at := r.at; r.stop.Err() == nil {
				if r.attend(); r.at != at {
					return
				}
			}
		}
	}
	if r.due() == 0 {
		r.save()
	}
}

func (r *run) advance(position string, sent int) {
	r.at = position
	r.note(func(s *Stats) {
		s.Position = position
		s.Sent += uint64(sent)
		if sent > 0 {
			s.LastSent = time.Now()
		}
	})
}

// park leaves an entry behind. It stays in the journal, and the line in the log
// is how people learn of it.
func (r *run) park(e *state.Entry, reason error) {
	r.Log.Error().Str("sink", r.Sink.Name()).Str("id", e.ID).Str("type", e.Type).Str("endpoint", endpointOf(e)).
		Str("error", event.Text(reason.Error())).Msg("event cannot be delivered and is parked: it stays in the journal only")
	r.advance(e.Position, 0)
	r.note(func(s *Stats) { s.Parked++ })
}

// fail tells of a failure when it is a new one, and pauses.
func (r *run) fail(err error) {
	text := event.Text(err.Error())
	r.attempt++
	if text != r.failed {
		if r.failed == "" {
			r.since = time.Now()
		}
		r.failed = text
		r.Log.Error().Str("sink", r.Sink.Name()).Str("error", text).
			Msg("delivery fails and is tried again until it succeeds; polling goes on")
	}
	r.note(func(s *Stats) { s.Retries++; s.LastError, s.Since = text, r.since })
	if r.at != r.stored {
		r.save() // the pause may be long
	}
	pause := r.Backoff.pause(r.attempt)
	if errors.Is(err, ErrMisconfigured) {
		pause = r.Backoff.longest()
	}
	if r.stop.Err() != nil { // in the grace only short pauses make sense
		pause = min(pause, r.Backoff.pause(1))
	}
	r.rest(pause)
}

// rest is a pause that a wish to send again cuts short.
func (r *run) rest(pause time.Duration) {
	work, cancel := context.WithCancel(r.work)
	over := make(chan struct{})
	defer func() { cancel(); <-over }()
	go func() {
		defer close(over)
		for {
			select {
			case <-r.bell():
				if r.wished() {
					cancel()
					return
				}
			case <-work.Done():
				return
			}
		}
	}()
	sleep(r.stop, work, pause)
}

func (r *run) mended() {
	if r.failed != "" {
		r.Log.Info().Str("sink", r.Sink.Name()).Int("attempts", r.attempt).Dur("after_ms", time.Since(r.since)).
			Msg("delivery works again")
	}
	r.failed, r.attempt = "", 0
	r.note(func(s *Stats) { s.LastError, s.Since = "", time.Time{} })
}

// due is how long the cursor may still wait to be stored; 0 when its time has
// come, and when there is nothing to store.
func (r *run) due() time.Duration {
	if r.at == r.stored {
		return 0
	}
	return max(0, saveEvery-time.Since(r.saved))
}

// save stores the cursor. A failure only makes a crash repeat more; it is tried
// again with the next.
func (r *run) save() {
	if r.at == r.stored {
		return
	}
	r.saved = time.Now()
	if len(r.owed) > 0 {
		return
	}
	if err := r.store(r.work); err != nil {
		if r.work.Err() == nil {
			r.Log.Warn().Str("sink", r.Sink.Name()).Err(err).Msg("storing the cursor failed; it is tried again")
		}
		return
	}
	r.stored = r.at
}

// store stores the cursor, and beside it what a Keeper wants to recall.
func (r *run) store(ctx context.Context) error {
	if r.keeper == nil {
		return r.Store.SetCursor(ctx, r.Sink.Name(), r.at)
	}
	return r.Store.SetNoted(ctx, r.Sink.Name(), r.at, r.keeper.Note())
}

// finish stores the cursor in a context of its own: that of the work is over
// when the grace was.
func (r *run) finish() error {
	if r.at == r.stored || len(r.owed) > 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.stop), 5*time.Second)
	defer cancel()
	if err := r.store(ctx); err != nil {
		return fmt.Errorf("storing the last cursor of sink %s: %w", r.Sink.Name(), err)
	}
	return nil
}
