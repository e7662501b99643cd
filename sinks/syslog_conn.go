package sinks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// written are the frames of one batch.
type written struct {
	at     time.Time
	frames [][]byte
}

func (w *written) size() (n int) {
	for _, f := range w.frames {
		n += len(f)
	}
	return n
}

// maxAgain bounds in octets what is kept to be written again. It is more than the
// systems of both ends hold of a connection by default.
const maxAgain = 8 << 20

// unheard is how long the other end may leave octets without acknowledgement before
// the system gives the connection up, where it can be told so.
func (s *Syslog) unheard() time.Duration { return 3 * s.timeout() }

// again is how far back of its end a connection may have lost what was written: what
// the receiver never acknowledged, and what it had not read when it died.
func (s *Syslog) again() time.Duration { return s.unheard() + 30*time.Second }

// syslogConn is a connection that notices its end without being written to.
type syslogConn struct {
	net.Conn
	proven bool // what went over it first has been kept

	gone chan struct{} // closed at its end
	why  error         // set before
	at   time.Time     // the same
}

// watch reads until the end. A receiver says nothing: that it has gone is all there
// is to read, also of datagrams, which its host refuses when nobody takes them.
func (c *syslogConn) watch() {
	_, err := io.Copy(io.Discard, c.Conn)
	if err == nil {
		err = io.EOF
	}
	c.why, c.at = placeless(err), time.Now()
	close(c.gone)
}

func (c *syslogConn) dead() bool {
	select {
	case <-c.gone:
		return true
	default:
		return false
	}
}

// connect makes sure of a connection that lives.
func (s *Syslog) connect(ctx context.Context) error {
	if s.conn != nil && s.conn.dead() {
		s.broke(s.conn.at)
		_ = s.Close() // the peer has closed it already
	}
	if s.conn != nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout())
	defer cancel()
	network := s.Network
	if network == "tls" {
		network = "tcp"
	}
	dialer := net.Dialer{KeepAlive: 15 * time.Second}
	if network == "tcp" {
		dialer.Control = giveUpAfter(s.unheard())
	}
	conn, err := dialer.DialContext(ctx, network, s.Address)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", s.Address, err)
	}
	if s.Network == "tls" {
		if conn, err = s.secured(ctx, conn); err != nil {
			return err
		}
	}
	s.conn = &syslogConn{Conn: conn, gone: make(chan struct{})}
	s.shown.Store(s.conn)
	go s.conn.watch()
	return nil
}

// write sends the frames: datagrams one by one, over a connection as one stream. What
// went before an error says nothing of what arrived. Over a new connection goes first
// what was written last over the one before.
func (s *Syslog) write(ctx context.Context, frames [][]byte) (sent int, err error) {
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })
	defer stop()
	var repeated [][]byte
	if !conn.proven {
		repeated = s.unsure()
	}
	pieces := slices.Concat(repeated, frames)
	if s.Network != "udp" {
		// A receiver that is slow but reads is let go on.
		pieces = slices.Collect(slices.Chunk(bytes.Join(pieces, nil), 64<<10))
	}
	for _, piece := range pieces {
		if err := s.put(ctx, piece); err != nil {
			return 0, err
		}
	}
	if !conn.proven {
		if err := s.settle(ctx); err != nil {
			return 0, err
		}
		conn.proven, s.last, s.ended = true, nil, time.Time{}
		if len(repeated) > 0 {
			s.remember(repeated)
		}
	}
	s.remember(frames)
	return len(frames), nil
}

// put writes one piece, for which the receiver has the timeout.
func (s *Syslog) put(ctx context.Context, piece []byte) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout())); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // it may have ended before the deadline was set
		return err
	}
	_, err := s.conn.Write(piece)
	return placeless(err)
}

// placeless takes the addresses out of an error: that of our end is another one at each
// attempt, and the same failure is to have the same text.
func placeless(err error) error {
	for {
		op, ok := errors.AsType[*net.OpError](err)
		if !ok || op.Op == "dial" {
			return err
		}
		err = op.Err
	}
}

// settle waits until the receiver has kept a new connection for a while.
func (s *Syslog) settle(ctx context.Context) error {
	d := s.Settle
	if d <= 0 {
		d = 500 * time.Millisecond
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-s.conn.gone:
		if s.Network == "udp" {
			return fmt.Errorf("nobody takes datagrams there: %w", s.conn.why)
		}
		return fmt.Errorf("the receiver closes the connection at once: %w", s.conn.why)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// broke notes when the connection ended that events were written to last.
func (s *Syslog) broke(at time.Time) {
	if s.ended.IsZero() {
		s.ended = at
	}
}

// unsure are the frames that the connection before may have lost.
func (s *Syslog) unsure() (out [][]byte) {
	for _, w := range s.last {
		if s.ended.IsZero() || s.ended.Sub(w.at) <= s.again() {
			out = append(out, w.frames...)
		}
	}
	return out
}

// remember keeps the frames for a while.
func (s *Syslog) remember(frames [][]byte) {
	w := written{time.Now(), frames}
	kept, i := w.size(), len(s.last)
	for ; i > 0; i-- {
		before := &s.last[i-1]
		if kept += before.size(); kept > maxAgain || w.at.Sub(before.at) > s.again() {
			break
		}
	}
	s.last = append(slices.Clone(s.last[i:]), w)
}

func (s *Syslog) secured(ctx context.Context, conn net.Conn) (net.Conn, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if s.TLS != nil {
		var err error
		if c, err = s.TLS(); err != nil {
			return nil, errors.Join(fmt.Errorf("%w: %w", ErrMisconfigured, err), conn.Close())
		}
	}
	if c.ServerName == "" {
		c.ServerName, _, _ = net.SplitHostPort(s.Address)
	}
	secure := tls.Client(conn, c)
	if err := secure.HandshakeContext(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("TLS with %s: %w", s.Address, err), conn.Close())
	}
	return secure, nil
}
