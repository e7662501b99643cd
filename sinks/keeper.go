package sinks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// Keeper is a Sink whose receiver keeps what it acknowledges and can be asked
// whether it still does. All methods are called by the goroutine of Send.
type Keeper interface {
	Sink
	// Recall begins a run: the note of the run before, nil when there is none, the
	// position of the cursor, and the head of the journal, up to which another
	// process may have sent events. The sink calls wake when it wants Missing to
	// be asked; wake does not block and may be called by any goroutine.
	Recall(note []byte, at, head string, wake func())
	// Note is what to store beside the cursor.
	Note() []byte
	// Missing says what the receiver has lost of what it acknowledged, nil when
	// nothing is known to be lost or it is not time to ask. An error is told to
	// operations once.
	Missing(ctx context.Context) (*Loss, error)
}

// Loss says what a receiver has lost of what it had acknowledged.
type Loss struct {
	After string              // position up to which it has everything, as far as can be told
	Has   map[string]struct{} // ids of later events that it has too
}

// ErrUnsure is returned by Send of a Keeper that wants Missing to be asked before
// it goes on: an answer shows that the receiver has lost what it acknowledged, or
// a new connection may hide it. It is no failure.
var ErrUnsure = errors.New("the receiver may have lost what it acknowledged")

// The causes of a Report.
const (
	CauseReceiver  = "receiver_lost" // acknowledged, and gone from the receiver; sent again
	CauseBacklog   = "max_backlog"   // never sent: the sink was further behind than it may be
	CauseRetention = "retention"     // never sent: the journal had dropped them when the sink came back
)

// Report tells of events that a sink lost.
type Report struct {
	Sink         string
	Cause        string
	Count        uint64
	Resent       bool      // they are sent again, with the same ids
	Since, Until time.Time // of the first and the last, when they were observed; zero when it is not known
	First, Last  string    // their ids; "" when they are not known
}

func (r *Report) add(e *state.Entry) {
	if r.Count == 0 {
		r.Since, r.First = e.At, e.ID
	}
	r.Count++
	r.Until, r.Last = e.At, e.ID
}

// paceOf is the least time between two rewinds, and between two looks at the
// backlog: a receiver that forges losses must not make us send the same as fast
// as we can, nor a sink that is full tell of each event that it drops.
const paceOf = time.Minute

// attend does what is to be done between two batches.
func (r *run) attend() {
	r.replay()
	r.reconcile()
	if time.Since(r.attended) < r.pace() {
		return
	}
	r.attended = time.Now()
	r.settle()
	r.lapsed()
	r.overflow()
}

func (r *run) pace() time.Duration {
	if r.Pace > 0 {
		return r.Pace
	}
	return paceOf
}

// report tells of a loss. Only what was told may be left behind: told twice
// after a crash is better than never.
func (r *run) report(what Report) bool {
	what.Sink = r.Sink.Name()
	if r.Lost != nil {
		if err := r.Lost(r.work, what); err != nil {
			if r.work.Err() == nil {
				r.warn(fmt.Errorf("telling of lost events: %w", err))
			}
			return false
		}
	}
	r.Log.Error().Str("sink", what.Sink).Str("cause", what.Cause).Uint64("events", what.Count).Bool("resent", what.Resent).
		Str("first", what.First).Str("last", what.Last).Msg("events are lost to a sink")
	r.note(func(s *Stats) { s.Lost += what.Count })
	return true
}

// warn logs what does not stop delivery, once for each text.
func (r *run) warn(err error) {
	if text := event.Text(err.Error()); text != r.warned {
		r.warned = text
		r.Log.Warn().Str("sink", r.Sink.Name()).Str("error", text).Msg("the sink is not sure of what it delivered")
	}
}

// lapsed tells once of what retention dropped while the sink was not configured.
func (r *run) lapsed() {
	if r.looked {
		return
	}
	n, upTo, err := r.Store.Dropped(r.work, r.Sink.Name())
	if err != nil {
		r.warn(err)
		return
	}
	if n > 0 && r.at < upTo {
		if !r.report(Report{Cause: CauseRetention, Count: n}) {
			return
		}
		r.move(upTo)
	}
	r.looked = true
}

// reconcile asks the receiver for what it acknowledged, and goes back to the
// first event that it does not have any more.
func (r *run) reconcile() {
	if r.keeper == nil || r.stop.Err() != nil {
		return
	}
	loss, err := r.keeper.Missing(r.work)
	if err != nil && r.work.Err() == nil {
		r.warn(err)
	}
	if loss == nil {
		return
	}
	what := Report{Cause: CauseReceiver, Resent: true}
	for e, err := range r.Store.Events(r.work, loss.After) {
		if err != nil || e.Position > r.at {
			break // what cannot be read is told by who sends it again
		}
		if _, has := loss.Has[e.ID]; !has && r.wants(&e) {
			what.add(&e)
		}
	}
	if what.Count > 0 {
		r.owed = append(r.owed, what)
	}
	if wait := r.pace() - time.Since(r.rewound); wait > 0 {
		sleep(r.stop, r.work, wait)
	}
	r.rewound = time.Now()
	r.settle()
	r.move(min(loss.After, r.at))
}

// settle tells of losses that are owed: the state may not have taken them. The
// cursor is not stored before, so that a crash finds the loss again.
func (r *run) settle() {
	for len(r.owed) > 0 && r.report(r.owed[0]) {
		r.owed = r.owed[1:]
	}
}

// overflow leaves the oldest events behind when more wait than the sink may
// lack: down to nine tenths of it, so that it is not told for each event.
func (r *run) overflow() {
	if r.MaxBacklog == 0 {
		return
	}
	r.save()
	pending, _, err := r.Store.Pending(r.work, r.Sink.Name())
	if err != nil || pending <= r.MaxBacklog || r.at != r.stored {
		return
	}
	drop := pending - (r.MaxBacklog - r.MaxBacklog/10)
	what := Report{Cause: CauseBacklog}
	at := r.at
	for e, err := range r.Store.Events(r.work, r.at) {
		if err != nil || drop == 0 {
			break
		}
		if at = e.Position; r.wants(&e) {
			what.add(&e)
		}
		drop--
	}
	if what.Count == 0 || r.report(what) {
		r.move(at)
	}
}

// move sets the cursor, back or forth, and stores it.
func (r *run) move(position string) {
	r.at = position
	r.note(func(s *Stats) { s.Position = position })
	r.save()
}

// replaying is a wish to send again.
type replaying struct {
	position string
	done     chan error
}

var (
	// ErrEnded is returned by Replay when the delivery does not run.
	ErrEnded = errors.New("the delivery does not run")
	// ErrReplaying is returned by Replay when somebody else waits for one.
	ErrReplaying = errors.New("the delivery is being set back already, and is busy sending: ask again later")
)

// Replay sets the cursor of a running delivery back, so that all after the
// position is sent again with the same ids. A position that the sink has not
// reached yet changes nothing. It returns when the cursor is stored. Errors:
// ErrEnded, ErrReplaying, those of the context and of the store.
func (d *Delivery) Replay(ctx context.Context, position string) error {
	wish := &replaying{position, make(chan error, 1)}
	d.mu.Lock()
	switch {
	case !d.running:
		d.mu.Unlock()
		return ErrEnded
	case d.wish != nil:
		d.mu.Unlock()
		return ErrReplaying
	}
	d.wish = wish
	d.mu.Unlock()
	d.ring()
	select {
	case err := <-wish.done:
		return err
	case <-ctx.Done():
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.wish == wish { // who does not wait for it does not expect it
			d.wish = nil
		}
		return ctx.Err()
	}
}

// replay does what Replay asks for.
func (r *run) replay() {
	r.mu.Lock()
	wish := r.wish
	r.wish = nil
	r.mu.Unlock()
	if wish == nil {
		return
	}
	if wish.position >= r.at {
		wish.done <- nil
		return
	}
	r.Log.Info().Str("sink", r.Sink.Name()).Msg("the cursor is set back: events are sent again")
	r.move(wish.position)
	var err error
	if r.at != r.stored {
		err = errors.New("the cursor is set back, but not stored yet")
	}
	wish.done <- err
}

func (d *Delivery) wished() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wish != nil
}

// refuse ends what Replay waits for: the delivery is over.
func (d *Delivery) refuse() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = false
	if d.wish != nil {
		d.wish.done <- ErrEnded
		d.wish = nil
	}
}

// bell wakes a delivery that waits.
func (d *Delivery) bell() chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.rung == nil {
		d.rung = make(chan struct{}, 1)
	}
	return d.rung
}

func (d *Delivery) ring() {
	select {
	case d.bell() <- struct{}{}:
	default:
	}
}
