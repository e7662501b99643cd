package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/state"
)

// oneByOne sends each event when the one before is acknowledged.
func (n *NATS) oneByOne(ctx context.Context, l *link, batch []state.Entry) (int, error) {
	for i := range batch {
		e := &batch[i]
		if _, ok := n.ahead[e.ID]; ok {
			continue
		}
		m, err := message(n.cfg.Prefix, n.cfg.Format, e)
		if err != nil {
			return i, err
		}
		again := n.try(e.ID)
		ack, err := l.publish(ctx, m)
		if err := n.judge(ctx, l, m, e, again, ack, err); err != nil {
			return i, err
		}
	}
	return len(batch), nil
}

// flight is an event that was sent and not yet judged.
type flight struct {
	entry *state.Entry
	wait  func() error
}

// window keeps up to maxInFlight events under way and judges their answers in
// order. One of an endpoint is under way at a time: when one event fails and a
// later one does not, the order within an endpoint still holds.
func (n *NATS) window(ctx context.Context, l *link, batch []state.Entry) (int, error) {
	var flights []flight
	busy := map[string]bool{} // endpoints with an event under way
	next := 0
	var refusal error // of batch[next]: nothing from there on is sent
	for sent := range batch {
		for refusal == nil && next < len(batch) && len(flights) < maxInFlight && !busy[batch[next].Endpoint] {
			var f flight
			if f, refusal = n.launch(ctx, l, &batch[next]); refusal == nil {
				busy[f.entry.Endpoint] = true
				flights = append(flights, f)
				next++
			}
		}
		if len(flights) == 0 {
			return sent, refusal
		}
		first := flights[0]
		flights = flights[1:]
		if err := first.wait(); err != nil {
			n.land(flights)
			return sent, err
		}
		delete(busy, first.entry.Endpoint)
	}
	return len(batch), nil
}

// launch sends an event. The error wraps ErrRejected.
func (n *NATS) launch(ctx context.Context, l *link, e *state.Entry) (flight, error) {
	if _, ok := n.ahead[e.ID]; ok {
		return flight{e, func() error { return nil }}, nil
	}
	m, err := message(n.cfg.Prefix, n.cfg.Format, e)
	if err != nil {
		return flight{}, err
	}
	again := n.try(e.ID)
	answer := l.publishAsync(ctx, m)
	return flight{e, func() error {
		ack, err := answer()
		return n.judge(ctx, l, m, e, again, ack, err)
	}}, nil
}

// land waits for what is under way behind an event that failed, and remembers
// what the stream has.
func (n *NATS) land(flights []flight) {
	for _, f := range flights {
		if f.wait() == nil {
			n.ahead[f.entry.ID] = struct{}{}
		}
	}
}

// try notes that an event is sent, and reports whether it was before without an
// acknowledgement.
func (n *NATS) try(id string) (again bool) {
	_, again = n.tried[id]
	n.tried[id] = struct{}{}
	return again
}

// judge decides whether an event is in the stream.
func (n *NATS) judge(ctx context.Context, l *link, m *nats.Msg, e *state.Entry, again bool, ack *jetstream.PubAck, err error) error {
	if err != nil {
		err = n.explain(l, m.Subject, err)
		if errors.Is(err, ErrRejected) {
			delete(n.tried, e.ID)
		}
		return err
	}
	if want := n.cfg.Stream; want != "" && ack.Stream != want {
		// The first answer wins, and everybody who may publish to the inbox can
		// give one. The event may be stored nevertheless: the same id is sent again.
		n.note(func(s *NATSStats) { s.ForeignAcks++ })
		return fmt.Errorf("the acknowledgement for %s names another stream than %s: another subscriber forges answers, "+
			"or may do so: forbid others to publish to %s.>", m.Subject, want, n.cfg.inboxPrefix())
	}
	if n.gone(ctx, l, e, ack) {
		ack, err := n.insist(ctx, l, m)
		if err == nil && ack.Duplicate {
			err = errUnanswered // without an id there is nothing to repeat: it is no answer
		}
		return n.judge(ctx, l, m, e, again, ack, err)
	}
	if err := n.acknowledged(e, ack); err != nil {
		return err
	}
	delete(n.tried, e.ID)
	switch {
	case !ack.Duplicate:
	case again, e.Position <= max(n.newest, n.head):
		n.note(func(s *NATSStats) { s.Duplicates++ })
	default:
		n.note(func(s *NATSStats) { s.UnexpectedDuplicates++ })
		n.log.Error().Str("id", e.ID).Str("subject", m.Subject).
			Msg("the stream has an event of this id already, though it was never sent: someone may be suppressing events")
	}
	return nil
}
