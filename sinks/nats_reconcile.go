package sinks

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/state"
)

const (
	// maxScan bounds the messages that are read to find out which events of a
	// lost tail the stream has. Of what lies beyond, some may be stored twice.
	maxScan  = 10_000
	scanTime = 30 * time.Second
	// messageNotFound is the server's code for a sequence without a message.
	messageNotFound = 10037
	// eventIDHeader names the event in a message that has no message id.
	eventIDHeader = "Jwkswatch-Event-Id"
)

// Recall implements Keeper.
func (n *NATS) Recall(note []byte, at, head string, wake func()) {
	n.trail = readTrail(note, n.cfg.Stream+" "+n.cfg.URL, at)
	n.head = max(n.head, head)
	n.mu.Lock()
	n.wake = wake
	n.mu.Unlock()
	n.due.Store(true)
}

// Note implements Keeper.
func (n *NATS) Note() []byte { return n.trail.note() }

// doubt makes Delivery ask Missing soon.
func (n *NATS) doubt() {
	n.due.Store(true)
	n.mu.Lock()
	wake := n.wake
	n.mu.Unlock()
	if wake != nil {
		wake()
	}
}

// doubts wakes Delivery when it is time to ask the stream again. It is called
// every ReconnectWait.
func (n *NATS) doubts() {
	since := time.Since(time.Unix(0, n.asked.Load()))
	switch {
	case since >= n.cfg.ReconcileEvery, n.due.Load() && since >= n.cfg.VerifyEvery:
		n.doubt()
	}
}

// Missing implements Keeper. JetStream acknowledges before its disk has the
// event, and whoever owns the stream may restore an older copy, purge it or make
// it anew. With Manage the stream is asked for the newest event that it
// acknowledged, after each connection and every ReconcileEvery; without the
// right to ask, only a sequence that goes back shows that something is gone.
func (n *NATS) Missing(ctx context.Context) (*Loss, error) {
	l := n.current()
	if !l.up() || !n.due.Load() && !n.unsure(l) {
		return nil, nil
	}
	if !n.unsure(l) && n.failed && time.Since(time.Unix(0, n.asked.Load())) < n.cfg.VerifyEvery {
		return nil, nil // it was asked just now, without success
	}
	n.asked.Store(time.Now().UnixNano())
	n.due.Store(false)
	n.inspected = l.connection()
	back, fresh := n.back, n.fresh
	n.back, n.fresh = 0, nil
	if len(n.trail.Acks) == 0 {
		n.trail.Top = 0
		return nil, nil
	}
	newest := n.trail.Acks[len(n.trail.Acks)-1].Position
	loss, err := n.inspect(ctx, l)
	n.failed = err != nil
	if err != nil {
		n.due.Store(true) // and asked again after VerifyEvery
	}
	if back > 0 && (err != nil || n.cfg.Manage == ManageNone) {
		loss, err = n.goneBack(back, fresh), nil
	}
	if loss == nil {
		return nil, err
	}
	n.lostTo = max(n.lostTo, newest)
	// What was known to be there before the loss may be gone with it.
	clear(n.ahead)
	maps.Copy(n.ahead, loss.Has)
	return loss, nil
}

// unsure reports whether nothing should be sent before Missing was asked: on a
// new connection an answer to a new event would hide that the one before is gone.
func (n *NATS) unsure(l *link) bool {
	return n.back > 0 || n.cfg.Manage != ManageNone && len(n.trail.Acks) > 0 && n.inspected != l.connection()
}

// goneBack is what must be lost when the stream gave a sequence a second time:
// all that had it or a later one. Fresh are events that came to such sequences.
func (n *NATS) goneBack(back uint64, fresh map[string]struct{}) *Loss {
	i := len(n.trail.Acks) - 1
	for i >= 0 && n.trail.Acks[i].Sequence >= back {
		i--
	}
	n.trail.Top = back
	return &Loss{After: n.trail.keep(i), Has: fresh}
}

// inspect asks the stream.
func (n *NATS) inspect(ctx context.Context, l *link) (*Loss, error) {
	if n.cfg.Manage == ManageNone {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	suspects := n.trail.suspects()
	var missing []acked
	for _, a := range suspects {
		has, err := n.has(ctx, l, a)
		if err != nil {
			return nil, err
		}
		if !has {
			missing = append(missing, a)
		}
	}
	newest := suspects[len(suspects)-1]
	if len(missing) == 0 {
		n.trail.Checked = newest
		return nil, nil
	}
	s, err := l.js.Stream(ctx, n.cfg.Stream)
	if err != nil {
		return nil, fmt.Errorf("asking the stream for its state: %w", err)
	}
	info := s.CachedInfo()
	if leftByLimits(newest, info) {
		return nil, fmt.Errorf("the limits of the stream %s drop events soon after it took them: who reads it late misses them", n.cfg.Stream)
	}
	missing = slices.DeleteFunc(missing, func(a acked) bool { return leftByLimits(a, info) })
	if len(missing) == 0 {
		n.trail.Checked = newest
		return nil, nil
	}
	i := n.trail.below(missing[0].Position)
	for ; i >= 0; i-- {
		if leftByLimits(n.trail.Acks[i], info) {
			break // it had it, and let it go in its time
		}
		has, err := n.has(ctx, l, n.trail.Acks[i])
		if err != nil {
			return nil, err
		}
		if has {
			break
		}
	}
	var from uint64
	if i >= 0 {
		from = n.trail.Acks[i].Sequence
	}
	has, err := n.scan(ctx, l, max(from+1, info.State.FirstSeq), info.State.LastSeq)
	if err != nil {
		return nil, err
	}
	n.trail.Top = info.State.LastSeq
	return &Loss{After: n.trail.keep(i), Has: has}, nil
}

// has reports whether the stream has an event where it said.
func (n *NATS) has(ctx context.Context, l *link, a acked) (bool, error) {
	id, found, err := n.at(ctx, l, a.Sequence)
	return found && id == a.ID, err
}

// leftByLimits reports whether a message is not in the stream because of what
// the stream is set up to drop.
func leftByLimits(a acked, info *jetstream.StreamInfo) bool {
	c, s := &info.Config, &info.State
	if a.Sequence >= s.FirstSeq {
		return c.MaxMsgsPerSubject > 0 && a.Sequence <= s.LastSeq
	}
	return c.MaxAge > 0 && time.Since(time.Unix(a.At, 0)) >= c.MaxAge ||
		c.MaxMsgs > 0 && s.Msgs >= uint64(c.MaxMsgs) ||
		c.MaxBytes > 0 && s.Bytes >= uint64(c.MaxBytes)/10*9 ||
		c.MaxMsgsPerSubject > 0 && s.Msgs > 0
}

// scan returns the ids of the messages from a sequence to another.
func (n *NATS) scan(ctx context.Context, l *link, from, to uint64) (map[string]struct{}, error) {
	ids := map[string]struct{}{}
	begin := time.Now()
	for seq := from; seq <= to && seq-from < maxScan && time.Since(begin) < scanTime; seq++ {
		id, found, err := n.at(ctx, l, seq)
		if err != nil {
			return nil, err
		}
		if found && token(id) {
			ids[id] = struct{}{}
		}
	}
	return ids, nil
}

// at returns the message id at a sequence of the stream. It asks the leader of
// the stream: a replica may lag, and what it lacks is not lost.
func (n *NATS) at(ctx context.Context, l *link, sequence uint64) (id string, found bool, err error) {
	subject := "$JS.API.STREAM.MSG.GET." + n.cfg.Stream
	ask := func() (*nats.Msg, error) {
		ctx, done := l.attempt(ctx, subject)
		defer done()
		m, err := l.nc.RequestWithContext(ctx, subject, fmt.Appendf(nil, `{"seq":%d}`, sequence))
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return m, err
	}
	m, err := ask()
	switch {
	case errors.Is(err, errRefused), errors.Is(err, errUnanswered):
		return "", false, fmt.Errorf("the stream cannot be asked whether it still has what it acknowledged: manage: %s needs the right to publish to %s", n.cfg.Manage, subject)
	case err != nil:
		return "", false, fmt.Errorf("asking the stream for an event that it acknowledged: %w", err)
	}
	var a struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Header []byte `json:"hdrs"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		return "", false, fmt.Errorf("reading what the stream answers: %w", err)
	}
	switch {
	case a.Error != nil && a.Error.ErrorCode == messageNotFound:
		return "", false, nil
	case a.Error != nil:
		return "", false, fmt.Errorf("asking the stream for an event that it acknowledged: %w", a.Error)
	}
	h, err := nats.DecodeHeadersMsg(a.Message.Header)
	if err != nil {
		return "", true, nil // a message of somebody else's may be anything
	}
	return cmp.Or(h.Get(jetstream.MsgIDHeader), h.Get(eventIDHeader)), true, nil
}

// gone reports whether the stream refuses an event as a duplicate that it has
// lost: who purges a stream does not purge the ids that it remembers for the
// length of its duplicate window.
func (n *NATS) gone(ctx context.Context, l *link, e *state.Entry, ack *jetstream.PubAck) bool {
	if n.cfg.Manage == ManageNone || !ack.Duplicate || e.Position > n.lostTo {
		return false
	}
	id, found, err := n.at(ctx, l, ack.Sequence)
	return err == nil && (!found || id != e.ID)
}

// insist sends an event that is gone without a message id: an id of its own would
// be a second one for the same event. Who reads tells repetitions by the id in
// the event.
func (n *NATS) insist(ctx context.Context, l *link, m *nats.Msg) (*jetstream.PubAck, error) {
	again := nats.NewMsg(m.Subject)
	again.Data, again.Header = m.Data, maps.Clone(m.Header)
	again.Header.Del(jetstream.MsgIDHeader)
	again.Header.Set(eventIDHeader, m.Header.Get(jetstream.MsgIDHeader))
	return l.publish(ctx, again)
}

// acknowledged notes an answer of the stream, or finds that the stream went back.
// From then on nothing is noted before Missing was asked.
func (n *NATS) acknowledged(e *state.Entry, ack *jetstream.PubAck) error {
	if n.back == 0 && (ack.Duplicate || n.trail.Top == 0 || ack.Sequence > n.trail.Top) {
		n.trail.add(e.Position, e.ID, ack.Sequence, time.Now())
		return nil
	}
	if n.fresh == nil {
		n.fresh = map[string]struct{}{}
	}
	n.fresh[e.ID] = struct{}{}
	if n.back == 0 || ack.Sequence < n.back {
		n.back = ack.Sequence
	}
	return ErrUnsure
}
