package sinks

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Causes for which an attempt ends before an acknowledgement.
var (
	errUnanswered = errors.New("no acknowledgement in time")
	errRefused    = errors.New("the broker refuses the subject")
	errInbox      = errors.New("the broker refuses the inbox")
	errNoServer   = errors.New("no server answers")
)

// link is one connection with the attempts that are under way on it.
type link struct {
	sink   *NATS
	dialed chan struct{} // closed when nc, js and err are set
	nc     *nats.Conn
	js     jetstream.JetStream
	err    error
	stale  atomic.Bool   // its credentials cannot be renewed: a new link is needed
	quiet  atomic.Bool   // we ask for the reconnect under way ourselves
	kick   chan struct{} // asks manage to look again

	mu       sync.Mutex
	attempts map[string]context.CancelCauseFunc // by subject
	inbox    bool                               // refused on the connection that stands
	closed   bool
}

func newLink(n *NATS) *link {
	return &link{
		sink: n, dialed: make(chan struct{}), kick: make(chan struct{}, 1),
		attempts: map[string]context.CancelCauseFunc{},
	}
}

// dial makes the first attempt to connect, which blocks, and leaves the others
// to nats.go.
func (l *link) dial(o *nats.Options) {
	defer close(l.dialed)
	nc, err := o.Connect()
	if err != nil {
		l.err = err
		l.sink.connectionError(l, err, "connecting to NATS failed")
		return
	}
	// Nothing else ever ends the future of a publish that the broker refused:
	// the attempt has its own end, but the client would keep the future.
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncTimeout(l.sink.cfg.Timeout))
	if err != nil {
		nc.Close()
		l.err = err
		return
	}
	l.mu.Lock()
	l.nc, l.js = nc, js
	closed := l.closed
	l.mu.Unlock()
	if closed {
		nc.Close()
	}
}

func (l *link) close() {
	l.mu.Lock()
	nc := l.nc
	l.closed = true
	l.mu.Unlock()
	l.interrupt(nats.ErrConnectionClosed)
	if nc != nil {
		nc.Close()
	}
}

// dead reports whether the link will never be up again.
func (l *link) dead() bool {
	select {
	case <-l.dialed:
		return l.err != nil || l.nc.IsClosed() || l.stale.Load()
	default:
		return false
	}
}

// connection names one connection of a link.
type connection struct {
	link *link
	nth  uint64
}

func (l *link) connection() connection { return connection{l, l.nc.Stats().Reconnects} }

// up reports whether the connection stands.
func (l *link) up() bool {
	select {
	case <-l.dialed:
		return l.err == nil && l.nc.IsConnected()
	default:
		return false
	}
}

// await waits for the connection to stand.
func (l *link) await(ctx context.Context) error {
	select {
	case <-l.dialed:
	case <-ctx.Done():
		return errNoServer
	}
	if l.err != nil {
		return l.err
	}
	l.renew()
	changed := l.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer l.nc.RemoveStatusListener(changed)
	for !l.nc.IsConnected() {
		select {
		case <-changed:
			if l.nc.IsClosed() {
				return nats.ErrConnectionClosed
			}
		case <-ctx.Done():
			// Errors of a handshake or of credentials that cannot be read
			// reach no handler.
			if err := l.nc.LastError(); err != nil {
				return err
			}
			return errNoServer
		}
	}
	return nil
}

// renew reconnects when the inbox was refused: a subscription is asked for once
// a connection, so a right granted since would never be noticed.
func (l *link) renew() {
	l.mu.Lock()
	refused := l.inbox
	l.inbox = false
	l.mu.Unlock()
	if refused {
		l.quiet.Store(true)
		_ = l.nc.ForceReconnect() // fails only on a closed connection, which await sees
	}
}

// attempt returns the context of one publish. Its cause says why it ended.
// Subjects under way are distinct: one event an endpoint, and the endpoint is
// part of the subject.
func (l *link) attempt(ctx context.Context, subject string) (context.Context, context.CancelFunc) {
	ctx, stop := context.WithTimeoutCause(ctx, l.sink.cfg.Timeout, errUnanswered)
	ctx, cancel := context.WithCancelCause(ctx)
	l.mu.Lock()
	l.attempts[subject] = cancel
	l.mu.Unlock()
	return ctx, func() {
		l.mu.Lock()
		delete(l.attempts, subject)
		l.mu.Unlock()
		cancel(nil)
		stop()
	}
}

// interrupt ends every attempt under way: no answer can come any more.
func (l *link) interrupt(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, cancel := range l.attempts {
		cancel(cause)
	}
}

// refused reads the broker's text of a permission violation, which is all there
// is: `… Permissions Violation for Publish to "subject"`.
func (l *link) refused(text string) {
	_, rest, _ := strings.Cut(text, ` for `)
	operation, rest, _ := strings.Cut(rest, ` to "`)
	subject, _, _ := strings.Cut(rest, `"`)
	switch {
	case operation == "Publish":
		l.mu.Lock()
		cancel := l.attempts[subject]
		l.mu.Unlock()
		if cancel != nil {
			cancel(errRefused)
		}
	case operation == "Subscription" && strings.HasPrefix(subject, l.sink.cfg.inboxPrefix()+"."):
		l.mu.Lock()
		l.inbox = true
		l.mu.Unlock()
		l.interrupt(errInbox)
	}
}

// publish sends one message and waits for the answer.
func (l *link) publish(ctx context.Context, m *nats.Msg) (*jetstream.PubAck, error) {
	ctx, done := l.attempt(ctx, m.Subject)
	defer done()
	ack, err := l.js.PublishMsg(ctx, m, l.options()...)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return ack, err
}

// publishAsync sends one message and returns a function that waits for the
// answer and must be called.
func (l *link) publishAsync(ctx context.Context, m *nats.Msg) func() (*jetstream.PubAck, error) {
	ctx, done := l.attempt(ctx, m.Subject)
	future, err := l.js.PublishMsgAsync(m, l.options()...)
	return func() (*jetstream.PubAck, error) {
		defer done()
		if err != nil {
			return nil, err
		}
		select {
		case ack := <-future.Ok():
			return ack, nil
		case err := <-future.Err():
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			return nil, err
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (l *link) options() []jetstream.PublishOpt {
	if l.sink.cfg.Stream == "" {
		return nil
	}
	return []jetstream.PublishOpt{jetstream.WithExpectStream(l.sink.cfg.Stream)}
}

// recheck asks manage to look at the stream again.
func (l *link) recheck() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}
