package sinks

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// windowAbove is the size of a batch above which events are sent without
// waiting for each acknowledgement, at most maxInFlight of them at a time.
const (
	windowAbove = 64
	maxInFlight = 64
)

// NATS publishes to a JetStream stream and waits for its acknowledgements. The
// journal is the only buffer: what is not acknowledged is sent again with the
// same id, and the stream drops what it has already.
//
// A stream acknowledges before its disk has the event, unless the server runs
// with sync_interval: always; the journal keeps the event for that case.
type NATS struct {
	cfg    NATSConfig
	log    zerolog.Logger
	ctx    context.Context // of what runs beside Send
	cancel context.CancelFunc

	mu     sync.Mutex
	link   *link
	closed bool
	stats  NATSStats
	told   map[string]struct{} // violations that are in the log, since the last connection
	wake   func()              // of who asks Missing; nil before Recall

	due   atomic.Bool  // it is time to ask the stream for what it acknowledged
	asked atomic.Int64 // when it was asked last, Unix nanoseconds

	// Only Send touches these.

	// tried holds ids that were sent and not acknowledged: the stream may have
	// them, so for them a duplicate is no surprise.
	tried map[string]struct{}
	// ahead holds ids that are acknowledged while one before them is not.
	// Sending them again would store them twice once the stream's duplicate
	// window is over.
	ahead map[string]struct{}
	// newest is the last position that was acknowledged to this process, and head
	// that of the journal when it began: up to them, the stream may have an event
	// from before. A duplicate of what is later is no accident.
	newest, head string
	trail        trail
	back         uint64              // sequence that was given a second time; 0: none
	fresh        map[string]struct{} // ids that came to such sequences
	lostTo       string              // newest position that the stream lost; what it calls duplicates up to it may be gone
	failed       bool                // the stream could not be asked
	inspected    connection          // on which it was asked last
	// careful is true after a failure: the next Send tries one event alone, so
	// that a broker that refuses everything is not asked 64 times a retry.
	careful bool
}

// NATSStats is what the NATS sink saw since it was opened.
type NATSStats struct {
	Connected            bool
	Reconnects           uint64
	Duplicates           uint64 // answers that the stream had the event already, as expected after a retry or a crash
	UnexpectedDuplicates uint64 // such answers for events that were never sent before: someone may have taken the id to suppress the event
	ForeignAcks          uint64 // answers that did not come from the stream
	PermissionViolations uint64
	LastViolation        string // what the broker refused last, with its subject
	LastError            string // of the connection; "" while connected
	StreamJudged         bool   // Manage has looked at the stream
	StreamProblems       string // what Manage found; "" when all is well
}

// OpenNATS checks the configuration, reads every file once and starts to
// connect. It does not wait for the broker: the daemon watches without it.
func OpenNATS(c NATSConfig, log zerolog.Logger) (*NATS, error) {
	c = c.withDefaults()
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("nats sink %s: %w", c.Sink, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n := &NATS{
		cfg: c, log: log.With().Str("sink", c.Sink).Logger(), ctx: ctx, cancel: cancel,
		tried: map[string]struct{}{}, ahead: map[string]struct{}{}, told: map[string]struct{}{},
	}
	if err := n.open(); err != nil {
		cancel()
		return nil, fmt.Errorf("nats sink %s: %w", c.Sink, err)
	}
	go n.keep()
	return n, nil
}

// Name implements Sink.
func (n *NATS) Name() string { return n.cfg.Sink }

// Connected reports whether the connection stands.
func (n *NATS) Connected() bool { return n.Stats().Connected }

// Stats may be called at any time.
func (n *NATS) Stats() NATSStats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}

func (n *NATS) note(f func(*NATSStats)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	f(&n.stats)
}

// Close ends the connection. Nothing is lost: the cursor only moves over what
// was acknowledged.
func (n *NATS) Close() error {
	n.mu.Lock()
	l := n.link
	n.closed = true
	n.stats.Connected = false
	n.mu.Unlock()
	n.cancel()
	l.close()
	return nil
}

// Send implements Sink.
func (n *NATS) Send(ctx context.Context, batch []state.Entry) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	l, err := n.connected(ctx)
	if err != nil {
		n.careful = true
		return 0, err
	}
	if n.unsure(l) {
		return 0, ErrUnsure
	}
	send := n.oneByOne
	switch {
	case n.careful:
		batch = batch[:1]
	case len(batch) > windowAbove:
		send = n.window
	}
	sent, err := send(ctx, l, batch)
	n.careful = err != nil && !errors.Is(err, ErrRejected) && !errors.Is(err, ErrUnsure)
	if sent > 0 {
		n.newest = max(n.newest, batch[sent-1].Position)
		for i := range batch[:sent] {
			delete(n.ahead, batch[i].ID)
		}
	}
	return sent, err
}

func (n *NATS) current() *link {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.link
}

// connected returns a link that is up, or why there is none.
func (n *NATS) connected(ctx context.Context) (*link, error) {
	l := n.current()
	ctx, cancel := context.WithTimeout(ctx, n.cfg.Timeout)
	defer cancel()
	err := l.await(ctx)
	if err == nil {
		return l, nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !errors.Is(err, errNoServer) || n.stats.LastError == "" {
		n.stats.LastError = event.Text(err.Error())
	}
	return nil, fmt.Errorf("not connected to NATS: %s", n.stats.LastError)
}

// open starts a new link.
func (n *NATS) open() error {
	l := newLink(n)
	options, err := n.cfg.options(func() { l.stale.Store(true) })
	if err != nil {
		return err
	}
	n.handlers(l, options)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.closed {
		return nil
	}
	n.link = l
	go func() {
		l.dial(options)
		if l.js != nil && n.cfg.Manage != ManageNone {
			n.manage(l)
		}
	}()
	return nil
}

// keep replaces a link that is closed for good: nats.go gives up on errors of
// the protocol that it does not know, and cannot change the nkey it began with.
func (n *NATS) keep() {
	tick := time.NewTicker(n.cfg.ReconnectWait)
	defer tick.Stop()
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-tick.C:
		}
		l := n.current()
		if !l.dead() {
			n.doubts()
			continue
		}
		l.close()
		n.note(func(s *NATSStats) { s.Connected = false })
		if err := n.open(); err != nil {
			n.connectionError(l, err, "connecting to NATS anew failed; it is tried again")
		}
	}
}

// handlers tells operations and the statistics what happens to the connection.
// nats.go calls them one after another.
func (n *NATS) handlers(l *link, o *nats.Options) {
	up := func(c *nats.Conn) {
		quiet := l.quiet.Swap(false)
		n.mu.Lock()
		if n.link == l {
			n.stats.Connected, n.stats.LastError = true, ""
		}
		if !quiet {
			clear(n.told)
		}
		n.mu.Unlock()
		if !quiet {
			n.log.Info().Str("server", c.ConnectedUrlRedacted()).Msg("connected to NATS")
		}
		n.doubt()
	}
	down := func(err error, message string) {
		l.interrupt(nats.ErrDisconnected)
		n.mu.Lock()
		if n.link == l {
			n.stats.Connected = false
		}
		n.mu.Unlock()
		if !l.quiet.Load() {
			n.connectionError(l, err, message)
		}
	}
	o.ConnectedCB = up
	o.ReconnectedCB = func(c *nats.Conn) {
		n.note(func(s *NATSStats) { s.Reconnects++ })
		up(c)
	}
	o.DisconnectedErrCB = func(_ *nats.Conn, err error) { down(err, "disconnected from NATS; connecting again") }
	o.ClosedCB = func(c *nats.Conn) { down(c.LastError(), "the NATS connection is closed; a new one is opened") }
	o.ReconnectErrCB = func(_ *nats.Conn, err error) {
		n.connectionError(l, err, "connecting to NATS failed; it is tried again")
	}
	o.LameDuckModeHandler = func(*nats.Conn) { n.log.Info().Msg("the NATS server is about to shut down") }
	o.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) {
		if errors.Is(err, nats.ErrPermissionViolation) {
			n.violation(l, err)
			return
		}
		n.connectionError(l, err, "the NATS server reports an error")
	}
}

// connectionError logs an error when it is another than the last: a broker that
// is away fails every two seconds with the same words.
func (n *NATS) connectionError(l *link, err error, message string) {
	text := "the connection was closed"
	if err != nil {
		text = event.Text(err.Error())
	}
	n.mu.Lock()
	tell := n.link == l && n.stats.LastError != text
	if tell {
		n.stats.LastError = text
	}
	n.mu.Unlock()
	if tell {
		n.log.Warn().Str("error", text).Msg(message)
	}
}

// maxTold bounds the violations that are logged on one connection.
const maxTold = 16

// violation tells of a refused subject. The broker says so beside the publish,
// which would otherwise just never be answered.
func (n *NATS) violation(l *link, err error) {
	text := event.Text(err.Error())
	n.mu.Lock()
	n.stats.PermissionViolations++
	n.stats.LastViolation = text
	_, known := n.told[text]
	tell := !known && len(n.told) < maxTold
	if tell {
		n.told[text] = struct{}{}
	}
	n.mu.Unlock()
	if tell {
		n.log.Error().Str("error", text).Msg("the NATS server refuses a subject")
	}
	l.refused(err.Error())
}
