package sinks

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"os"
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
// taken it, over a connection that the receiver has kept, or to a port whose host has
// not refused it. When a connection breaks,
// what was written not long before is written again over the next one, so that a
// restart of the receiver shows an event twice rather than not at all; receivers
// tell them apart by the id.
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
	// Settle is how long a receiver must keep a new connection before anything that
	// went over it counts; 0 means 500 ms. Over TLS 1.3 a client that is refused
	// learns it only after it has written, and a receiver that expected TLS closes
	// after the first octets.
	Settle time.Duration

	shown atomic.Pointer[syslogConn] // the last connection, for broken

	// Only Send and Close touch these.
	conn  *syslogConn
	last  []written // over a connection, not long ago
	ended time.Time // when the connection broke that last went over; zero while one holds
}

// maxDatagram is what fits into one, over IPv4 and IPv6.
const maxDatagram = 65_000

// Name implements Sink.
func (s *Syslog) Name() string { return s.Sink }

// broken reports whether the last connection has ended. A proxy in front of a receiver
// that is down takes events and closes later: this is then all there is to see.
func (s *Syslog) broken() bool {
	c := s.shown.Load()
	return c != nil && c.dead()
}

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
	frames, refused := s.frames(batch)
	if len(frames) == 0 {
		return 0, refused
	}
	if err := s.connect(ctx); err != nil {
		return 0, err
	}
	sent, err := s.write(ctx, frames)
	if err != nil {
		s.broke(time.Now())
		_ = s.Close() // it is broken already
		return sent, fmt.Errorf("writing to %s: %w", s.Address, err)
	}
	return sent, refused
}

// frames are the events as they go out, up to the first that cannot.
func (s *Syslog) frames(batch []state.Entry) (frames [][]byte, refused error) {
	for i := range batch {
		m, err := s.message(&batch[i])
		if err == nil && s.Network == "udp" && len(m) > maxDatagram {
			err = fmt.Errorf("%w: %d octets do not fit into a datagram; use tcp:// or tls://", ErrRejected, len(m))
		}
		if err != nil {
			return frames, err
		}
		if s.Network != "udp" {
			m = append([]byte(strconv.Itoa(len(m))+" "), m...)
		}
		frames = append(frames, m)
	}
	return frames, nil
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
