package fetch

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameServer is a DNS server on loopback, over UDP and TCP at the same port.
type nameServer struct {
	// answer fills in the answer to a question; count is how often it was asked
	// before. false: no answer at all.
	answer func(m *dnsmessage.Message, q question, count int) bool
	// before is sent ahead of each answer over UDP.
	before func(m dnsmessage.Message) []byte

	addr string
	mu   sync.Mutex
	seen map[question]int
}

type question struct {
	name string // lower case, with the dot at the end
	kind dnsmessage.Type
}

const (
	typeA    = dnsmessage.TypeA
	typeAAAA = dnsmessage.TypeAAAA
	noError  = dnsmessage.RCodeSuccess
	noName   = dnsmessage.RCodeNameError
	servFail = dnsmessage.RCodeServerFailure
)

// bothPorts listens at one port over UDP and TCP. The one of TCP first: of them many
// are taken, by connections.
func bothPorts(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if pc, err := net.ListenPacket("udp4", l.Addr().String()); err == nil {
			return pc, l
		}
		_ = l.Close()
	}
	t.Fatal("no port is free over both")
	return nil, nil
}

func (s *nameServer) start(t *testing.T) *net.Resolver {
	t.Helper()
	pc, l := bothPorts(t)
	s.addr, s.seen = pc.LocalAddr().String(), map[question]int{}
	var wg sync.WaitGroup
	t.Cleanup(func() { _ = pc.Close(); _ = l.Close(); wg.Wait() })
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			for _, b := range s.replies(t, buf[:n], true) {
				_, _ = pc.WriteTo(b, from)
			}
		}
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.stream(t, c)
		}
	})
	return &net.Resolver{PreferGo: true, Dial: dialTo(s.addr)}
}

func (s *nameServer) stream(t *testing.T, c net.Conn) {
	defer c.Close()
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return
	}
	query := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, query); err != nil {
		return
	}
	for _, b := range s.replies(t, query, false) {
		_, _ = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(b))), b...))
	}
}

func (s *nameServer) replies(t *testing.T, query []byte, datagram bool) [][]byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		t.Errorf("no query: %v", err)
		return nil
	}
	q := question{strings.ToLower(m.Questions[0].Name.String()), m.Questions[0].Type}
	s.mu.Lock()
	count := s.seen[q]
	if datagram {
		s.seen[q]++
	}
	s.mu.Unlock()
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	if datagram && s.before == nil && s.answer == nil {
		m.Truncated = true
	}
	var out [][]byte
	if datagram && s.before != nil {
		out = append(out, s.before(m))
	}
	if s.answer != nil && !s.answer(&m, q, count) {
		return nil
	}
	if s.answer == nil && !datagram {
		m.RCode = noName
	}
	b, err := m.Pack()
	if err != nil {
		t.Error(err)
		return nil
	}
	return append(out, b)
}

func (s *nameServer) questions() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, count := range s.seen {
		n += count
	}
	return n
}

// says answers every question with an RCODE and no record.
func says(code dnsmessage.RCode) func(*dnsmessage.Message, question, int) bool {
	return func(m *dnsmessage.Message, _ question, _ int) bool { m.RCode = code; return true }
}

func record(m *dnsmessage.Message, body dnsmessage.ResourceBody) {
	kind := m.Questions[0].Type
	if _, ok := body.(*dnsmessage.CNAMEResource); ok {
		kind = dnsmessage.TypeCNAME
	}
	m.Answers = append(m.Answers, dnsmessage.Resource{
		Header: dnsmessage.ResourceHeader{Name: m.Questions[0].Name, Type: kind, Class: dnsmessage.ClassINET},
		Body:   body,
	})
}

func alias(m *dnsmessage.Message, code dnsmessage.RCode) bool {
	record(m, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName("gone.cloud.test.")})
	m.RCode = code
	return true
}

func packed(m dnsmessage.Message) []byte {
	b, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return b
}

func TestWhyANameWasNotFound(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		server *nameServer
		host   string
		want   Code
	}{
		"NXDOMAIN": {&nameServer{answer: says(noName)}, "", CodeNXDomain},
		"NODATA":   {&nameServer{answer: says(noError)}, "", CodeNoAddress},
		"SERVFAIL": {&nameServer{answer: says(servFail)}, "", ""},
		"REFUSED":  {&nameServer{answer: says(dnsmessage.RCodeRefused)}, "", ""},
		"alias of a name that does not exist": {
			&nameServer{answer: func(m *dnsmessage.Message, _ question, _ int) bool { return alias(m, noName) }}, "", CodeNXDomain,
		},
		"alias of a name without an address": {
			&nameServer{answer: func(m *dnsmessage.Message, _ question, _ int) bool { return alias(m, noError) }}, "", CodeNoAddress,
		},
		"the families contradict each other": {&nameServer{answer: func(m *dnsmessage.Message, q question, _ int) bool {
			if q.kind == typeA {
				m.RCode = noName
			}
			return true
		}}, "", CodeNoAddress},
		"one family stays open": {&nameServer{answer: func(m *dnsmessage.Message, q question, _ int) bool {
			m.RCode = noName
			if q.kind == typeAAAA {
				m.RCode = servFail
			}
			return true
		}}, "", ""},
		"one family stays open at the second look": {&nameServer{answer: func(m *dnsmessage.Message, q question, count int) bool {
			m.RCode = noName
			if q.kind == typeA && count > 0 {
				m.RCode = servFail
			}
			return true
		}}, "", ""},
		"the second look fails": {&nameServer{answer: func(m *dnsmessage.Message, _ question, count int) bool {
			m.RCode = noName
			if count > 0 {
				m.RCode = servFail
			}
			return true
		}}, "", ""},
		"the second look finds an address": {&nameServer{answer: func(m *dnsmessage.Message, q question, count int) bool {
			if m.RCode = noName; count > 0 && q.kind == typeA {
				m.RCode = noError
				record(m, &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}})
			}
			return true
		}}, "", ""},
		"a forged NODATA before": {&nameServer{answer: says(noName), before: func(m dnsmessage.Message) []byte {
			m.ID++
			return packed(m)
		}}, "", CodeNXDomain},
		"a NODATA for another question before": {&nameServer{answer: says(noName), before: func(m dnsmessage.Message) []byte {
			m.Questions = []dnsmessage.Question{{Name: dnsmessage.MustNewName("other.test."), Type: typeA, Class: dnsmessage.ClassINET}}
			return packed(m)
		}}, "", CodeNXDomain},
		"junk before":    {&nameServer{answer: says(noName), before: func(dnsmessage.Message) []byte { return []byte("x") }}, "", CodeNXDomain},
		"over TCP":       {&nameServer{}, "", CodeNXDomain},
		"one label":      {&nameServer{answer: says(noName)}, "issuer", ""},
		"dot at the end": {&nameServer{answer: says(noName)}, "issuer.test.", CodeNXDomain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if test.host == "" {
				test.host = "issuer.test"
			}
			c := Client{Resolver: test.server.start(t)}
			_, err := c.Get(t.Context(), Target{URL: "https://" + test.host + "/jwks.json"}, nil)
			wantPhase(t, err, PhaseResolve)
			if code := err.(*Error).Code; code != test.want {
				t.Errorf("code %q, want %q (%v)", code, test.want, err)
			}
		})
	}
}

// A server that falls silent after its NXDOMAIN confirms nothing, and the
// question ends with the request.
func TestSecondLookAtANameEndsWithTheRequest(t *testing.T) {
	t.Parallel()
	s := nameServer{answer: func(m *dnsmessage.Message, _ question, count int) bool { m.RCode = noName; return count == 0 }}
	c := Client{Resolver: s.start(t)}
	start := time.Now()
	_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/", Timeout: 300 * time.Millisecond}, nil)
	wantPhase(t, err, PhaseResolve)
	if code := err.(*Error).Code; code != "" {
		t.Errorf("code %q", code)
	}
	// The resolver by itself asks twice, for five seconds each.
	if took := time.Since(start); took > 8*time.Second {
		t.Errorf("took %v", took)
	}
}

// A name that is found is looked up once, also one with IPv6 alone.
func TestFoundNameIsLookedUpOnce(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	}
	web := httptest.NewUnstartedServer(ok(keySet))
	_ = web.Listener.Close()
	web.Listener = l
	web.Start()
	t.Cleanup(web.Close)
	s := nameServer{answer: func(m *dnsmessage.Message, q question, _ int) bool {
		if q.kind == typeAAAA {
			record(m, &dnsmessage.AAAAResource{AAAA: netip.IPv6Loopback().As16()})
		}
		return true
	}}
	c := Client{Resolver: s.start(t)}
	t.Cleanup(c.CloseIdle)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	r := get(t, &c, Target{URL: "http://issuer.test:" + port + "/", Policy: local()})
	if r.RemoteAddr != l.Addr().String() {
		t.Errorf("served by %s", r.RemoteAddr)
	}
	if n := s.questions(); n != 2 {
		t.Errorf("%d questions, want A and AAAA", n)
	}
}

func TestResolverAnswers(t *testing.T) {
	t.Parallel()
	// knows answers for the servers of one domain, and denies all else.
	knows := func(domain string) func(*dnsmessage.Message, question, int) bool {
		return func(m *dnsmessage.Message, q question, _ int) bool {
			m.RCode = noName
			if q == (question{domain, dnsmessage.TypeNS}) {
				m.RCode = noError
				record(m, &dnsmessage.NSResource{NS: dnsmessage.MustNewName("ns.test.")})
			}
			return true
		}
	}
	for name, test := range map[string]struct {
		answer func(*dnsmessage.Message, question, int) bool
		host   string
		want   bool
	}{
		"parent":              {knows("corp.test."), "issuer.corp.test", true},
		"top-level domain":    {knows("test."), "issuer.corp.test", true},
		"deep name":           {knows("test."), strings.Repeat("a.", 60) + "test", true},
		"the host alone":      {knows("issuer.corp.test."), "issuer.corp.test", false},
		"denies everything":   {says(noName), "issuer.corp.test", false},
		"says nothing of use": {says(noError), "issuer.corp.test", false},
		"fails":               {says(servFail), "issuer.corp.test", false},
		"one label":           {knows("."), "issuer", false},
		"an address":          {knows("1."), "127.0.0.1", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := nameServer{answer: test.answer}
			c := Client{Resolver: s.start(t)}
			if got := c.ResolverAnswers(t.Context(), test.host); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// A Dial hook has no resolver to ask again, and may say by itself what it knows.
func TestDialHookSpeaksForItself(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err  error
		want Code
	}{
		{&net.DNSError{Err: "no such host", IsNotFound: true}, ""},
		{&Error{Phase: PhaseResolve, Code: CodeNXDomain, Err: errors.New("gone")}, CodeNXDomain},
	} {
		c := Client{Dial: func(context.Context, string, string) (net.Conn, error) { return nil, test.err }}
		_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/"}, nil)
		wantPhase(t, err, PhaseResolve)
		if code := err.(*Error).Code; code != test.want {
			t.Errorf("code %q, want %q", code, test.want)
		}
	}
}
