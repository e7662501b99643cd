package sinks

import (
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/state"
)

// TestSyslogRefused counts nothing as sent that went to a receiver that closes the
// connection at once: a client certificate that it misses is told after the
// handshake, and octets that are no TLS only after they were written. The error
// says why, and all arrives when that is mended.
func TestSyslogRefused(t *testing.T) {
	t.Parallel()
	authority, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := authority.Issue(lab.Leaf{Hosts: []string{"127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := authority.Issue(lab.Leaf{Hosts: []string{"agent"}, Client: true})
	if err != nil {
		t.Fatal(err)
	}
	r := newReceiver(t, &tls.Config{
		Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Roots(),
	})
	c := &tls.Config{RootCAs: authority.Roots(), MinVersion: tls.VersionTLS12}
	s := &Syslog{Sink: "collector", Network: "tls", Address: r.addr, Facility: 16, TLS: func() (*tls.Config, error) { return c, nil }}
	defer s.Close()
	list := samples(3, 1)
	for range 2 {
		if n, err := s.Send(t.Context(), list); n != 0 || err == nil || !strings.Contains(err.Error(), "certificate required") || errors.Is(err, ErrRejected) {
			t.Errorf("without a certificate: %d sent, %v", n, err)
		}
	}
	clear := &Syslog{Sink: "collector", Network: "tcp", Address: r.addr, Facility: 16}
	defer clear.Close()
	if n, err := clear.Send(t.Context(), list); n != 0 || err == nil || !strings.Contains(err.Error(), "closes the connection at once") {
		t.Errorf("in clear text: %d sent, %v", n, err)
	}
	if len(r.messages()) > 0 {
		t.Fatalf("%q", r.messages())
	}
	c = &tls.Config{RootCAs: authority.Roots(), Certificates: []tls.Certificate{client}, MinVersion: tls.VersionTLS12}
	sendAll(t, s, list)
	eventually(t, "all have arrived", func() bool { return slices.Equal(r.ids(), idsOf(list)) })
	if n := len(r.messages()); n != 3 {
		t.Errorf("%d messages: what was never sent is repeated", n)
	}
}

// TestSyslogBroken says that no connection stands any more after a proxy has taken what it
// cannot pass on: nothing else tells of it.
func TestSyslogBroken(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &Syslog{Sink: "collector", Network: "tcp", Address: l.Addr().String(), Settle: 10 * time.Millisecond}
	defer s.Close()
	d := &Delivery{Sink: s}
	sendAll(t, s, samples(1, 1))
	if !d.Stats().Connected {
		t.Error("a connection stands, and is not said")
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is not connected any more", func() bool { return !d.Stats().Connected })
}

// TestSyslogRepeats only what the connection before may have lost: not what was
// written long before its end, and not more than fits.
func TestSyslogRepeats(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	s := &Syslog{Sink: "collector", Network: "tcp", Address: r.addr, Facility: 16, Settle: 50 * time.Millisecond}
	defer s.Close()
	list := samples(4, 1)
	sendAll(t, s, list[:1])
	sendAll(t, s, list[1:2])
	if len(s.last) != 2 {
		t.Fatalf("%d batches are kept", len(s.last))
	}
	s.last[0].at = s.last[0].at.Add(-s.again() - time.Second)
	eventually(t, "they have arrived", func() bool { return len(r.messages()) == 2 })
	r.stop()
	eventually(t, "the end is noticed", s.conn.dead)
	if n, err := s.Send(t.Context(), list[2:3]); n != 0 || err == nil {
		t.Fatalf("nobody is there: %d sent, %v", n, err)
	}
	r.start()
	sendAll(t, s, list[2:3])
	eventually(t, "they have arrived", func() bool { return len(r.messages()) == 4 })
	if again := r.messages()[2]; !strings.Contains(again, list[1].ID) {
		t.Errorf("written again: %s", again)
	}
	big := sampleOf(9, "a", "key.added", event.SeverityHigh, strings.Repeat("x", 60_000))
	for range maxAgain/60_000 + 10 {
		sendAll(t, s, []state.Entry{big})
	}
	kept := 0
	for _, w := range s.last {
		kept += w.size()
	}
	if kept > maxAgain || kept < maxAgain-100_000 {
		t.Errorf("%d octets are kept", kept)
	}
}

// TestSyslogSlow goes on with a receiver that reads slowly: it needs longer for all
// than a write may stand still.
func TestSyslogSlow(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const timeout = 3 * time.Second // a busy machine holds who reads for a second
	read := make(chan int)
	go func() {
		total := 0
		defer func() { read <- total }()
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.(*net.TCPConn).SetReadBuffer(64 << 10)
		b := make([]byte, 256<<10)
		for {
			n, err := c.Read(b)
			if total += n; err != nil {
				return
			}
			time.Sleep(40 * time.Millisecond) // this receiver's own pace
		}
	}()
	big := make([]state.Entry, 200)
	for i := range big {
		big[i] = sampleOf(i, "a", "key.added", event.SeverityHigh, strings.Repeat("x", 60_000))
	}
	s := &Syslog{Sink: "collector", Network: "tcp", Address: l.Addr().String(), Timeout: timeout, Settle: time.Millisecond}
	began := time.Now()
	sendAll(t, s, big)
	took := time.Since(began)
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if n := <-read; n < 200*60_000 {
		t.Errorf("%d octets arrived", n)
	}
	if took < timeout {
		t.Skipf("the receiver was not slow: %s", took)
	}
}

// TestSyslogUDPNobody counts no event as sent to a port where nobody listens, says the
// same each time, and sends again what was lost when a receiver went away unnoticed.
func TestSyslogUDPNobody(t *testing.T) {
	t.Parallel()
	l, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.LocalAddr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &Syslog{Sink: "collector", Network: "udp", Address: addr, Facility: 16}
	defer s.Close()
	list := samples(4, 1)
	texts := map[string]bool{}
	for range 3 {
		n, err := s.Send(t.Context(), list[:1])
		if n != 0 || err == nil {
			t.Fatalf("nobody is there: %d sent, %v", n, err)
		}
		texts[err.Error()] = true
	}
	if len(texts) != 1 {
		t.Errorf("the same failure has %d texts: %v", len(texts), texts)
	}
	if l, err = net.ListenPacket("udp", addr); err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, list[:2])
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, list[2:3]) // nothing was refused so far
	eventually(t, "the refusal is noticed", s.conn.dead)
	if l, err = net.ListenPacket("udp", addr); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	sendAll(t, s, list[3:])
	if err := l.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 70_000)
	for _, e := range list {
		if n, _, err := l.ReadFrom(b); err != nil || !strings.Contains(string(b[:n]), e.ID) {
			t.Errorf("want %s again: %s, %v", e.ID, b[:n], err)
		}
	}
}
