package sinks

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// explain turns an error of a publish into one that says what to do. The cause
// stands in the text without ids or times, so that the same failure has the
// same text and is logged once.
func (n *NATS) explain(l *link, subject string, err error) error {
	api, isAPI := errors.AsType[*jetstream.APIError](err)
	switch {
	case errors.Is(err, errRefused):
		return fmt.Errorf("%w: the broker refuses to let this user publish to %s", ErrMisconfigured, subject)
	case errors.Is(err, errInbox):
		return fmt.Errorf("%w: the broker refuses to let this user subscribe to %s.>: events may be stored, but acknowledgements cannot arrive",
			ErrMisconfigured, n.cfg.inboxPrefix())
	case errors.Is(err, errUnanswered), errors.Is(err, jetstream.ErrAsyncPublishTimeout), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no acknowledgement for %s within %s: the broker is too slow or cut off, "+
			"no stream takes the subject while another subscriber listens on it, or this user may not publish to it or subscribe to %s.>",
			subject, n.cfg.Timeout, n.cfg.inboxPrefix())
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		l.recheck()
		return fmt.Errorf("no stream takes %s: make one, or let the agent do it with manage: create", subject)
	case errors.Is(err, jetstream.ErrInvalidJSAck):
		n.note(func(s *NATSStats) { s.ForeignAcks++ })
		return fmt.Errorf("the answer for %s is no acknowledgement of JetStream: another subscriber answers on this subject "+
			"(a consumer of core NATS that sends +ACK, for one); it must read from the stream", subject)
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: larger than the max_payload of the broker", ErrRejected)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting):
		return errors.New("the connection to NATS was lost")
	case isAPI:
		return n.explainAPI(subject, api)
	}
	return fmt.Errorf("publishing to %s: %w", subject, err)
}

// Codes of the server that nats.go has no names for.
const (
	codeWrongStream = 10060 // JSStreamNotMatchErr
	codeStoreFailed = 10077 // JSStreamStoreFailedF: no room under discard: new, or the disk failed
)

func (n *NATS) explainAPI(subject string, api *jetstream.APIError) error {
	switch api.ErrorCode {
	case codeWrongStream:
		return fmt.Errorf("%w: the stream that takes %s is not %s", ErrMisconfigured, subject, n.cfg.Stream)
	case jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("%w: larger than the max_msg_size of the stream", ErrRejected)
	case codeStoreFailed:
		return fmt.Errorf("the stream that takes %s cannot store: %w", subject, api)
	}
	return fmt.Errorf("the stream that takes %s refuses: %w", subject, api)
}
