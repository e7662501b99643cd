package sinks

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// Syslog sends each event as one message of RFC 5424: over TLS (RFC 5425) or TCP
// (RFC 6587) with octet counting, or as one datagram (RFC 5426).
//
// Syslog knows no acknowledgement: an event counts as delivered when the system has
// taken it. When a connection breaks, what was written in the seconds before is
// written again over the next one, so that a restart of the receiver shows an event
// twice rather than not at all; receivers tell them apart by the id.
type Syslog struct {
	Sink     string // name of the cursor
	Network  string // tls, tcp or udp
	Address  string // host:port
	Format   format.Format
	Facility int // of the priority, 0 to 23
	Version  string
	Hostname string // "" means that of the system
	// TLS makes the settings of a connection: files behind it may be rotated.
	TLS     func() (*tls.Config, error)
	Timeout time.Duration // of a connection and of a write; 0 means 10 s

	// Only Send and Close touch these.
	conn *syslogConn
	last []written // over a connection, not long ago
}

// written are the frames of one batch.
type written struct {
	at     time.Time
	frames [][]byte
}

// What is kept to be written again: a receiver that goes away is noticed within
// seconds.
const (
	againFor    = 10 * time.Second
	againFrames = 1024
)

// maxDatagram is what fits into one, over IPv4 and IPv6.
const maxDatagram = 65_000

// syslogConn is a connection that notices its end without being written to.
type syslogConn struct {
	net.Conn
	dead atomic.Bool
}

// Name implements Sink.
func (s *Syslog) Name() string { return s.Sink }

// Close ends the connection.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	c := s.conn
	s.conn = nil
	return c.Close()
}

func (s *Syslog) timeout() time.Duration {
	if s.Timeout > 0 {
		return s.Timeout
	}
	return 10 * time.Second
}

// Send implements Sink.
func (s *Syslog) Send(ctx context.Context, batch []state.Entry) (int, error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if err := s.connect(ctx); err != nil {
		return 0, err
	}
	var frames [][]byte
	var refused error
	for i := range batch {
		m, err := s.message(&batch[i])
		if err == nil && s.Network == "udp" && len(m) > maxDatagram {
			err = fmt.Errorf("%w: %d octets do not fit into a datagram; use tcp:// or tls://", ErrRejected, len(m))
		}
		if err != nil {
			refused = err
			break
		}
		if s.Network != "udp" {
			m = append([]byte(strconv.Itoa(len(m))+" "), m...)
		}
		frames = append(frames, m)
	}
	conn := s.conn
	stop := context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Now()) })
	defer stop()
	sent, err := s.write(frames)
	if err != nil {
		return sent, errors.Join(fmt.Errorf("writing to %s: %w", s.Address, err), s.Close())
	}
	return sent, refused
}

// write sends the frames: datagrams one by one, over a connection as one piece,
// whose part before an error says nothing of what arrived.
func (s *Syslog) write(frames [][]byte) (sent int, err error) {
	if len(frames) == 0 {
		return 0, nil
	}
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.timeout())); err != nil {
		return 0, err
	}
	if s.Network == "udp" {
		for i, f := range frames {
			if _, err := s.conn.Write(f); err != nil {
				return i, err
			}
		}
		return len(frames), nil
	}
	if _, err := s.conn.Write(bytes.Join(frames, nil)); err != nil {
		return 0, err
	}
	s.remember(frames)
	return len(frames), nil
}

// remember keeps the frames for a while.
func (s *Syslog) remember(frames [][]byte) {
	now, kept := time.Now(), len(frames)
	i := len(s.last)
	for i > 0 && now.Sub(s.last[i-1].at) <= againFor && kept+len(s.last[i-1].frames) <= againFrames {
		i--
		kept += len(s.last[i].frames)
	}
	s.last = append(slices.Clone(s.last[i:]), written{now, frames})
}

// connect makes sure of a connection that lives. Over a new one goes first what was
// written last over the one before.
func (s *Syslog) connect(ctx context.Context) error {
	if s.conn != nil && s.conn.dead.Load() {
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
	conn, err := (&net.Dialer{KeepAlive: 15 * time.Second}).DialContext(ctx, network, s.Address)
	if err != nil {
		return fmt.Errorf("connecting to %s: %w", s.Address, err)
	}
	if s.Network == "tls" {
		if conn, err = s.secured(ctx, conn); err != nil {
			return err
		}
	}
	s.conn = &syslogConn{Conn: conn}
	if s.Network == "udp" {
		return nil
	}
	go func(c *syslogConn) {
		// A receiver says nothing; that it has gone is all there is to read.
		_, _ = io.Copy(io.Discard, c.Conn)
		c.dead.Store(true)
	}(s.conn)
	var again [][]byte
	for _, w := range s.last {
		again = append(again, w.frames...)
	}
	if s.last = nil; again != nil {
		if _, err := s.write(again); err != nil {
			s.last = []written{{time.Now(), again}}
			return errors.Join(fmt.Errorf("writing to %s: %w", s.Address, err), s.Close())
		}
	}
	return nil
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

// message is the event as one syslog message, without framing. There is no byte
// order mark before the event: receivers that read JSON or CEF take it for text.
func (s *Syslog) message(e *state.Entry) ([]byte, error) {
	f, err := read(e)
	if err != nil {
		return nil, err
	}
	body, err := encoded(s.Format, e)
	if err != nil {
		return nil, err
	}
	if bytes.ContainsAny(body, "\r\n") {
		return nil, fmt.Errorf("%w: the event holds a line break", ErrRejected)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "<%d>1 %s %s jwkswatch %d %s [origin software=\"jwkswatch\" swVersion=\"%s\"] ",
		s.Facility*8+syslogSeverity(f.severity), f.time, s.hostname(), os.Getpid(), plain(e.Type, 32), paramValue(s.Version))
	b.Write(body)
	return b.Bytes(), nil
}

// syslogSeverity is the severity on the scale of syslog: nothing here is an
// emergency of the system.
func syslogSeverity(s event.Severity) int {
	switch s {
	case event.SeverityCritical:
		return 2
	case event.SeverityHigh:
		return 3
	case event.SeverityMedium:
		return 4
	case event.SeverityLow:
		return 5
	}
	return 6
}

func (s *Syslog) hostname() string {
	name := s.Hostname
	if name == "" {
		name, _ = os.Hostname() // "" becomes the nil value of syslog
	}
	return plain(name, 255)
}

// plain is a text as a field of the header: printable ASCII without a space, the nil
// value when nothing is left.
func plain(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), most)]
}

// paramValue is a text as the value of a parameter of structured data.
func paramValue(s string) string {
	return strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(event.Text(s))
}
