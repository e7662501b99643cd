package watcher_test

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// TestRedirected sends the watcher elsewhere for a while: told at once, with the
// status and where it led, and not followed.
func TestRedirected(t *testing.T) {
	t.Parallel()
	for name, restart := range map[string]bool{"running": false, "restarted": true} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				n := newTown("idp.example", "evil.test")
				defer n.server.Close()
				idp := n.issuers["idp.example"]
				idp.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
				h := &watched{t: t, db: open(t, dir), dial: n.pipe, dir: dir}
				defer func() { h.db.Close() }()
				e := endpoint("idp", "http://idp.example/jwks", time.Minute)
				h.start(e)
				time.Sleep(5 * time.Minute)
				idp.Answer(lab.Status(302, http.Header{"Location": {"http://evil.test/jwks?token=secret"}}, ""))
				time.Sleep(75 * time.Second)
				if st := h.w.Status()[0]; st.Phase != "status" || st.Code != "redirect" || st.Failures == 0 {
					t.Errorf("%+v", st)
				}
				if restart {
					h.restart(e)
				}
				time.Sleep(10 * time.Minute)
				idp.Answer(nil)
				time.Sleep(5 * time.Minute)
				h.stop()
				if n.issuers["evil.test"].Count() != 0 {
					t.Error("the redirect was followed")
				}
				list := h.events()
				told := tell(list)
				slices.Sort(told[1:])
				if !slices.Equal(told, []string{
					"informational baseline.established", "high endpoint.redirected", "informational endpoint.redirected closed", "informational endpoint.unreachable closed",
					"low endpoint.unreachable",
				}) {
					t.Errorf("told %q", tell(list))
				}
				for _, e := range list {
					if e.Data.Event.Type == event.EndpointUnreachable && e.Data.Event.Condition.State == event.Open &&
						!slices.Contains(e.Data.Event.Reasons, "explained_by:endpoint.redirected") {
						t.Errorf("unreachable because of %q", e.Data.Event.Reasons)
					}
				}
			})
		})
	}
}

// secured is an issuer over TLS whose certificate can be exchanged.
type secured struct {
	*lab.Issuer
	url  string
	ca   *lab.Authority
	cert atomic.Pointer[tls.Certificate]
}

func serveTLS(t *testing.T) *secured {
	t.Helper()
	ca, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	s := &secured{Issuer: &lab.Issuer{}, ca: ca}
	s.present(t, lab.Leaf{})
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.url = "https://" + l.Addr().String()
	t.Cleanup(s.Serve(tls.NewListener(l, &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil },
	})))
	return s
}

// present exchanges the certificate: for the next connection.
func (s *secured) present(t *testing.T, leaf lab.Leaf) {
	t.Helper()
	cert, err := s.ca.Issue(leaf)
	if err != nil {
		t.Fatal(err)
	}
	s.cert.Store(&cert)
}

// TestCertificateExpires lets the certificate of a real TLS server expire: the
// endpoint is told to have an invalid certificate, and that explains that it is
// unreachable. All of it over a restart.
func TestCertificateExpires(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	s.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
	h := &watched{t: t, dir: t.TempDir(), client: &fetch.Client{Roots: s.ca.Roots()}}
	h.db = open(t, h.dir)
	defer func() { h.db.Close() }()
	e := endpoint("idp", s.url+"/jwks", 20*time.Millisecond)
	h.start(e)
	until(t, "baseline", func() bool { return h.w.Stats().Commits > 0 })
	now := time.Now()
	s.present(t, lab.Leaf{NotBefore: now.Add(-2 * time.Hour), NotAfter: now.Add(-time.Hour)})
	h.restart(e) // over new connections
	until(t, "unreachable and why", func() bool { return len(h.events()) == 3 })
	if st := h.w.Status()[0]; st.Phase != "tls" || st.Code != "expired" {
		t.Errorf("%+v", st)
	}
	h.restart(e)
	until(t, "some more failures", func() bool { return h.w.Stats().Failed > 5 })
	s.present(t, lab.Leaf{})
	until(t, "an end of it", func() bool { return len(h.events()) >= 5 })
	h.stop()
	var opened []string
	for _, e := range h.events() {
		d := e.Data
		if c := d.Event.Condition; c != nil && c.State == event.Open {
			opened = append(opened, d.Event.Severity.String()+" "+string(d.Event.Type))
			if d.Failure == nil || d.Failure.Phase != "tls" || d.Transport == nil {
				t.Errorf("%s: failure %+v", d.Event.Type, d.Failure)
			}
			if d.Event.Type == event.EndpointUnreachable && !slices.Contains(d.Event.Reasons, "explained_by:endpoint.tls_invalid") {
				t.Errorf("unreachable because of %q", d.Event.Reasons)
			}
		}
	}
	slices.Sort(opened)
	if !slices.Equal(opened, []string{"low endpoint.unreachable", "medium endpoint.tls_invalid"}) {
		t.Errorf("opened %q", opened)
	}
}

// TestDiscoveryMovesOverTLS moves the key set of a real TLS server together with
// its keys: one change set, and the move leads.
func TestDiscoveryMovesOverTLS(t *testing.T) {
	t.Parallel()
	s := serveTLS(t)
	s.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
	s.Answer(lab.Discovery("", "", nil))
	h := &watched{t: t, db: open(t, t.TempDir()), client: &fetch.Client{Roots: s.ca.Roots()}}
	defer h.db.Close()
	e := discovered("idp", s.url, 100*time.Millisecond)
	h.make(e)
	h.w.Look = func(time.Duration) time.Duration { return 10 * time.Millisecond }
	h.run()
	until(t, "baseline", func() bool { return h.w.Stats().Commits > 0 })
	both := make(chan struct{})
	s.Answer(func(http.ResponseWriter, *http.Request, []byte) { <-both; panic(http.ErrAbortHandler) }) // no poll sees half of it
	s.Mutate("k0")
	s.Answer(lab.Discovery("", s.url+"/moved", nil))
	close(both)
	until(t, "told", func() bool { return len(h.events()) >= 3 })
	h.stop()
	h.expect("informational baseline.established", "high discovery.moved", "critical key.mutated k0")
	list := h.events()
	if a, b := list[1].Data.Event.ChangeSet, list[2].Data.Event.ChangeSet; a.ID != b.ID || a.Index != 0 || b.Index != 1 {
		t.Errorf("change sets %+v and %+v", a, b)
	}
	if tr := list[1].Data.Transport; tr == nil || tr.LeafSPKISHA256 == nil || !strings.HasSuffix(tr.URL, "/moved") {
		t.Errorf("transport %+v", tr)
	}
}

// names is a name server on loopback. It lives outside of any bubble: a bubble's
// clock stands still while somebody in it waits for a socket.
type names struct {
	addr string
	mu   sync.Mutex
	// known are the names that exist, at 127.0.0.1; tops the domains whose
	// servers are told.
	known, tops map[string]bool
	hosts       int // addresses of each name, from 127.0.0.1 on; 0 means one
	// script answers instead, when there is one; asked counts the questions for
	// addresses so far.
	script func(name string, v6 bool, asked int) (dnsmessage.RCode, []netip.Addr)
	asked  int
}

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

func serveNames(t *testing.T, tops ...string) *names {
	t.Helper()
	pc, l := bothPorts(t)
	n := &names{addr: pc.LocalAddr().String(), known: map[string]bool{}, tops: map[string]bool{}}
	for _, top := range tops {
		n.tops[top+"."] = true
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		buf := make([]byte, 1500)
		for {
			k, from, err := pc.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := n.answer(buf[:k]); len(answer) > 1232 { // what a resolver takes by UDP: the rest by TCP
				answer[2] |= 0x02
				answer[6], answer[7] = 0, 0 // no answers in this one
				_, _ = pc.WriteTo(answer[:k], from)
			} else if answer != nil {
				_, _ = pc.WriteTo(answer, from)
			}
		}
	})
	wg.Go(func() { n.overTCP(l) })
	t.Cleanup(func() { pc.Close(); l.Close(); wg.Wait() })
	// The resolver's own state, of the whole process, must not be made within a
	// bubble.
	_, _ = n.resolver().LookupNetIP(t.Context(), "ip4", "nobody.example.")
	return n
}

// overTCP answers one question for each connection.
func (n *names) overTCP(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		var size [2]byte
		if _, err := io.ReadFull(conn, size[:]); err == nil {
			query := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, query); err == nil {
				answer := n.answer(query)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
			}
		}
		conn.Close()
	}
}

func (n *names) set(name string, exists bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.known[name+"."] = exists
}

// play answers by a script from now on; by none with nil.
func (n *names) play(script func(name string, v6 bool, asked int) (dnsmessage.RCode, []netip.Addr)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.script = script
}

// spread gives each name so many addresses.
func (n *names) spread(hosts int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts = hosts
}

func (n *names) answer(query []byte) []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	head := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 1}
	switch {
	case n.script != nil && (q.Type == dnsmessage.TypeA || q.Type == dnsmessage.TypeAAAA):
		head.TTL = 0
		code, addrs := n.script(q.Name.String(), q.Type == dnsmessage.TypeAAAA, n.asked)
		n.asked++
		m.RCode = code
		for _, a := range addrs {
			if a.Is4() && q.Type == dnsmessage.TypeA {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: a.As4()}})
			} else if a.Is6() && q.Type == dnsmessage.TypeAAAA {
				m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
			}
		}
	case q.Type == dnsmessage.TypeNS && n.tops[q.Name.String()]:
		m.Answers = []dnsmessage.Resource{{Header: head, Body: &dnsmessage.NSResource{NS: dnsmessage.MustNewName("ns.test.")}}}
	case !n.known[q.Name.String()]:
		m.RCode = dnsmessage.RCodeNameError
	case q.Type == dnsmessage.TypeA:
		for i := range max(1, n.hosts) {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, byte(i + 1)}}})
		}
	}
	packed, err := m.Pack()
	if err != nil {
		return nil
	}
	return packed
}

func (n *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, n.addr)
	}}
}

// TestNameDisappears lets the name of an issuer vanish from a real name server,
// while that answers for others, and while it does not. Simulated time, real
// sockets: each connection ends with its answer, or the clock would stand still.
func TestNameDisappears(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tops    []string
		others  bool
		restart bool
		want    []string
	}{
		"the resolver answers for the domain above": {
			tops: []string{"example"},
			want: []string{"high endpoint.dangling", "low endpoint.unreachable"},
		},
		"another endpoint resolves": {
			others: true,
			want:   []string{"high endpoint.dangling", "low endpoint.unreachable"},
		},
		"over a restart": {
			tops: []string{"example"}, restart: true,
			want: []string{"high endpoint.dangling", "low endpoint.unreachable"},
		},
		"nothing resolves": {
			want: []string{"medium endpoint.unreachable"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dns := serveNames(t, c.tops...)
			issuer := &lab.Issuer{}
			issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
			issuer.Answer(lab.Honest(http.Header{"Connection": {"close"}}))
			url, stop, err := issuer.Start()
			if err != nil {
				t.Fatal(err)
			}
			defer stop()
			_, port, _ := strings.Cut(strings.TrimPrefix(url, "http://"), ":")
			dns.set("idp.corp.example", true)
			dns.set("other.example", true)
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				h := &watched{t: t, db: open(t, dir), dir: dir, client: &fetch.Client{Resolver: dns.resolver()}}
				defer func() { h.db.Close() }()
				list := []watcher.Endpoint{endpoint("idp", "http://idp.corp.example:"+port+"/jwks", time.Minute)}
				if c.others {
					list = append(list, endpoint("other", "http://other.example:"+port+"/jwks", time.Minute))
				}
				for i := range list {
					list[i].Group = "corp" // one issuer serves both names
				}
				h.start(list...)
				time.Sleep(5 * time.Minute)
				dns.set("idp.corp.example", false)
				time.Sleep(75 * time.Second)
				if st := h.w.Status()[0]; st.Phase != "resolve" || st.Code != "nxdomain" {
					t.Errorf("%+v", st)
				}
				if c.restart {
					h.restart(list...)
				}
				time.Sleep(10 * time.Minute)
				opened := h.perEndpoint()["idp"][1:]
				slices.Sort(opened)
				if !slices.Equal(opened, c.want) {
					t.Errorf("opened %q", opened)
				}
				dns.set("idp.corp.example", true)
				time.Sleep(10 * time.Minute)
				h.stop()
				if got := h.perEndpoint()["idp"]; len(got) != 1+2*len(c.want) {
					t.Errorf("told %q", got)
				}
			})
		})
	}
}
