package sinks

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leodido/go-syslog/v4/rfc5424"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// receiver is a syslog receiver over TCP or TLS that reads octet-counted frames.
type receiver struct {
	t      *testing.T
	addr   string
	secure *tls.Config

	mu    sync.Mutex
	l     net.Listener
	conns []net.Conn
	got   []string
}

func newReceiver(t *testing.T, secure *tls.Config) *receiver {
	t.Helper()
	r := &receiver{t: t, addr: fmt.Sprint("127.0.0.1:", freePort(t)), secure: secure}
	r.start()
	t.Cleanup(r.stop)
	return r
}

func (r *receiver) start() {
	r.t.Helper()
	l, err := net.Listen("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.secure != nil {
		l = tls.NewListener(l, r.secure)
	}
	r.mu.Lock()
	r.l = l
	r.mu.Unlock()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			r.mu.Lock()
			r.conns = append(r.conns, c)
			r.mu.Unlock()
			go r.read(c)
		}
	}()
}

func (r *receiver) read(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	for {
		count, err := in.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(count, " "))
		if err != nil {
			r.t.Errorf("a frame begins with %q", count)
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(in, b); err != nil {
			return
		}
		r.mu.Lock()
		r.got = append(r.got, string(b))
		r.mu.Unlock()
	}
}

// stop ends the receiver and its connections, as a restart does.
func (r *receiver) stop() {
	r.mu.Lock()
	defer r.mu.Unlock()
	_ = r.l.Close()
	for _, c := range r.conns {
		_ = c.Close()
	}
	r.conns = nil
}

func (r *receiver) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// ids are those of the events received, each once, in the order of their first
// arrival.
func (r *receiver) ids() []string {
	var out []string
	for _, m := range r.messages() {
		var e struct{ ID string }
		_, body, _ := strings.Cut(m, "] ")
		if json.Unmarshal([]byte(body), &e) == nil && !slices.Contains(out, e.ID) {
			out = append(out, e.ID)
		}
	}
	return out
}

// TestSyslogMessage holds the message to RFC 5424 by a parser that is not ours.
func TestSyslogMessage(t *testing.T) {
	t.Parallel()
	for severity, priority := range map[event.Severity]uint8{1: 134, 2: 133, 3: 132, 4: 131, 5: 130} {
		for _, f := range []format.Format{format.CloudEvents, format.CEF} {
			s := &Syslog{Facility: 16, Version: `1.0"]\`, Hostname: "host one\x00ä", Format: f}
			e := sampleOf(1, "corp", "discovery.endpoint_moved", severity, "moved")
			b, err := s.message(&e)
			if err != nil {
				t.Fatal(err)
			}
			parsed, err := rfc5424.NewParser().Parse(b)
			if err != nil {
				t.Fatalf("%v: %s", err, b)
			}
			m := parsed.(*rfc5424.SyslogMessage)
			if *m.Priority != priority || m.Version != 1 || *m.Hostname != "hostone" || *m.Appname != "jwkswatch" || *m.MsgID != "discovery.endpoint_moved" ||
				!m.Timestamp.Equal(time.Date(2026, 11, 22, 18, 49, 3, 412e6, time.UTC)) || (*m.StructuredData)["origin"]["swVersion"] != `1.0"]\` {
				t.Errorf("%s: %+v", b, m)
			}
			want, err := f.Encode(e.JSON)
			if err != nil || *m.Message != string(want) {
				t.Errorf("message %q, want %q, %v", *m.Message, want, err)
			}
		}
	}
}

// FuzzSyslog gives any names and texts to the message: what a parser that is not
// ours reads is what was written.
func FuzzSyslog(f *testing.F) {
	f.Add("host", "1.0", "a message")
	f.Add("a b\n", `x"]\`, "<13>1 - - - - - - forged")
	f.Add("\u202e", "]", "a\nb\x00")
	f.Fuzz(func(t *testing.T, host, version, message string) {
		s := &Syslog{Facility: 16, Version: version, Hostname: host}
		e := sampleOf(1, "corp", "key.added", event.SeverityHigh, event.Text(message))
		b, err := s.message(&e)
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := rfc5424.NewParser().Parse(b)
		if err != nil {
			t.Fatalf("%v: %q", err, b)
		}
		m := parsed.(*rfc5424.SyslogMessage)
		if *m.Message != string(e.JSON) || (*m.StructuredData)["origin"]["swVersion"] != event.Text(version) || *m.Priority != 131 {
			t.Fatalf("%q: %+v", b, m)
		}
	})
}

// TestSyslogTCP delivers in order over a connection, and what was on its way when
// the receiver went down arrives after it is back.
func TestSyslogTCP(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	j := newJournal(samples(300, 3)...)
	s := &Syslog{Sink: "collector", Network: "tcp", Address: r.addr, Facility: 16, Settle: 50 * time.Millisecond}
	defer s.Close()
	d, stop := deliver(t, j, s, (&ops{}).logger())
	eventually(t, "the first part has arrived", func() bool { return len(r.ids()) == 300 })
	r.stop()
	more := samples(600, 3)[300:]
	j.add(more[:150]...)
	r.start()
	j.add(more[150:]...)
	eventually(t, "all have arrived", func() bool { return len(r.ids()) == 600 })
	stop()
	if got := r.ids(); !slices.Equal(got, idsOf(samples(600, 3))) {
		t.Error("the order is not that of the journal")
	}
	if parked := d.Stats().Parked; parked > 0 {
		t.Errorf("%d parked", parked)
	}
}

// TestSyslogLastBatch writes again what may have been lost when a connection breaks
// after it was written.
func TestSyslogLastBatch(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	s := &Syslog{Sink: "collector", Network: "tcp", Address: r.addr, Facility: 16, Settle: 50 * time.Millisecond}
	defer s.Close()
	list := samples(3, 1)
	sendAll(t, s, list[:2])
	eventually(t, "they have arrived", func() bool { return len(r.messages()) == 2 })
	r.stop()
	eventually(t, "the end is noticed", s.conn.dead)
	r.start()
	sendAll(t, s, list[2:])
	eventually(t, "all have arrived", func() bool { return len(r.messages()) == 5 })
	if got := r.ids(); !slices.Equal(got, idsOf(list)) {
		t.Errorf("%q", got)
	}
}

// TestSyslogTLS trusts the authority that it is given and no other.
func TestSyslogTLS(t *testing.T) {
	t.Parallel()
	authority, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Issue(lab.Leaf{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	s := &Syslog{Sink: "collector", Network: "tls", Address: r.addr, Facility: 16, Settle: 50 * time.Millisecond, TLS: func() (*tls.Config, error) {
		return &tls.Config{RootCAs: authority.Roots(), MinVersion: tls.VersionTLS12}, nil
	}}
	defer s.Close()
	list := samples(2, 1)
	sendAll(t, s, list)
	eventually(t, "they have arrived", func() bool { return slices.Equal(r.ids(), idsOf(list)) })
	for name, c := range map[string]func() (*tls.Config, error){
		"another authority": func() (*tls.Config, error) { return &tls.Config{RootCAs: x509.NewCertPool()}, nil },
		"another name": func() (*tls.Config, error) {
			return &tls.Config{RootCAs: authority.Roots(), ServerName: "other.example"}, nil
		},
		"no file": func() (*tls.Config, error) { return nil, errors.New("no such file") },
	} {
		bad := &Syslog{Sink: "collector", Network: "tls", Address: r.addr, TLS: c}
		if n, err := bad.Send(t.Context(), list); n != 0 || err == nil || errors.Is(err, ErrRejected) {
			t.Errorf("%s: %d sent, %v", name, n, err)
		}
		_ = bad.Close()
	}
	if len(r.messages()) != 2 {
		t.Errorf("%d messages", len(r.messages()))
	}
}

// TestSyslogUDP sends a datagram an event, and parks what fits into none.
func TestSyslogUDP(t *testing.T) {
	t.Parallel()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Syslog{Sink: "collector", Network: "udp", Address: l.LocalAddr().String(), Facility: 16}
	defer s.Close()
	small, large := sample(1, "a"), sampleOf(2, "a", "key.added", event.SeverityHigh, strings.Repeat("x", maxDatagram))
	n, err := s.Send(t.Context(), []state.Entry{small, large, sample(3, "a")})
	if n != 1 || !errors.Is(err, ErrRejected) {
		t.Fatalf("%d sent, %v", n, err)
	}
	b := make([]byte, 70_000)
	if err := l.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got, _, err := l.ReadFrom(b)
	if err != nil || !strings.HasSuffix(string(b[:got]), string(small.JSON)) || !strings.HasPrefix(string(b), "<131>1 ") {
		t.Errorf("%s, %v", b[:got], err)
	}
}

// TestSyslogStalled gives up on a receiver that does not read, when its time is over
// or the agent stops.
func TestSyslogStalled(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	big := make([]state.Entry, 200)
	for i := range big {
		big[i] = sampleOf(i, "a", "key.added", event.SeverityHigh, strings.Repeat("x", 60_000))
	}
	s := &Syslog{Sink: "collector", Network: "tcp", Address: l.Addr().String(), Timeout: 300 * time.Millisecond}
	defer s.Close()
	if n, err := s.Send(t.Context(), big); n != 0 || err == nil {
		t.Errorf("%d sent, %v", n, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	slow := &Syslog{Sink: "collector", Network: "tcp", Address: l.Addr().String(), Timeout: time.Hour}
	defer slow.Close()
	done := make(chan error, 1)
	go func() {
		_, err := slow.Send(ctx, big)
		done <- err
	}()
	cancel()
	select {
	case err := <-done:
		if err == nil {
			t.Error("nobody read, and it was sent")
		}
	case <-time.After(patience):
		t.Error("Send goes on after its context has ended")
	}
}
