package watcher_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
)

// gate is a listener whose connections go to an honest issuer or to a beast.
type gate struct {
	net.Listener
	beast atomic.Pointer[func(net.Conn)]
	under sync.WaitGroup
	done  context.Context
	free  context.CancelFunc
}

func newGate(t *testing.T) *gate {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{Listener: l}
	g.done, g.free = context.WithCancel(t.Context())
	return g
}

func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		beast := g.beast.Load()
		if beast == nil {
			return c, nil
		}
		g.under.Go(func() {
			defer c.Close()
			defer context.AfterFunc(g.done, func() { _ = c.Close() })()
			(*beast)(c)
		})
	}
}

// TestZooOfTLS lets an honest issuer over TLS turn into each beast of the
// handshake for a while, over real sockets: told with the phase in which it
// failed, closed when it is honest again, and no key goes.
func TestZooOfTLS(t *testing.T) {
	t.Parallel()
	ca, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	other, err := lab.NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	leaf := func(a *lab.Authority, l lab.Leaf) tls.Certificate {
		cert, err := a.Issue(l)
		if err != nil {
			t.Fatal(err)
		}
		return cert
	}
	with := func(c tls.Certificate, most uint16) func(net.Conn) {
		config := &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS10, MaxVersion: most}
		return func(nc net.Conn) { _ = tls.Server(nc, config).Handshake() }
	}
	huge := leaf(ca, lab.Leaf{})
	for len(huge.Certificate) < 1500 { // some 600 KiB
		huge.Certificate = append(huge.Certificate, ca.Certificate().Raw)
	}
	hold := func(nc net.Conn) { _, _ = io.Copy(io.Discard, nc) }
	long := time.Now().Add(-48 * time.Hour)
	for name, c := range map[string]struct {
		play  func(net.Conn)
		phase string
	}{
		"closed at once":      {func(net.Conn) {}, "tls"},
		"reset":               {func(nc net.Conn) { _ = nc.(*net.TCPConn).SetLinger(0) }, "tls"},
		"stall":               {hold, "timeout"},
		"stall after a hello": {func(nc net.Conn) { _, _ = nc.Write([]byte{22, 3, 3, 0, 80, 2}); hold(nc) }, "timeout"},
		"a drip": {func(nc net.Conn) {
			for _, err := nc.Write([]byte{22}); err == nil; _, err = nc.Write([]byte{3}) {
				time.Sleep(50 * time.Millisecond)
			}
		}, "timeout"},
		"no TLS at all": {func(nc net.Conn) { fmt.Fprint(nc, "HTTP/1.1 200 OK\r\n\r\n{}"); hold(nc) }, "tls"},
		"expired":       {with(leaf(ca, lab.Leaf{NotBefore: long, NotAfter: long.Add(time.Hour)}), 0), "tls"},
		"wrong host":    {with(leaf(ca, lab.Leaf{Hosts: []string{"else.example"}}), 0), "tls"},
		"unknown CA":    {with(leaf(other, lab.Leaf{}), 0), "tls"},
		"TLS 1.0":       {with(leaf(ca, lab.Leaf{}), tls.VersionTLS10), "tls"},
		"huge chain":    {with(huge, 0), "tls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, issuer := newGate(t), &lab.Issuer{}
			issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
			issuer.Answer(lab.Honest(map[string][]string{"Connection": {"close"}}))
			stop := issuer.Serve(tls.NewListener(g, &tls.Config{Certificates: []tls.Certificate{leaf(ca, lab.Leaf{})}, MinVersion: tls.VersionTLS12}))
			h := &watched{t: t, db: open(t, t.TempDir()), client: &fetch.Client{Roots: ca.Roots()}}
			e := endpoint("idp", "https://"+g.Addr().String()+"/jwks", 200*time.Millisecond)
			e.Target.Timeout = 300 * time.Millisecond
			if c.phase == "tls" {
				e.Target.Timeout = 20 * time.Second // a busy machine is no timeout
			}
			h.start(e)
			until(t, "the baseline", func() bool { return len(h.events()) == 1 })
			g.beast.Store(&c.play)
			has := func(text string) bool {
				return slices.ContainsFunc(tell(h.events()), func(s string) bool { return strings.HasSuffix(s, text) })
			}
			until(t, "it is unreachable", func() bool { return has("endpoint.unreachable") })
			g.beast.Store(nil)
			until(t, "it is reachable again", func() bool { return has("endpoint.unreachable closed") })
			h.stop()
			g.free()
			stop()
			g.under.Wait()
			for _, e := range h.events()[1:] {
				if typ := e.Data.Event.Type; strings.HasPrefix(string(typ), "key.") || strings.HasPrefix(string(typ), "set.") {
					t.Errorf("told %s", typ)
				}
				if f := e.Data.Failure; e.Data.Event.Type == event.EndpointUnreachable && f != nil && f.Phase != c.phase {
					t.Errorf("failed in phase %s (%s), want %s", f.Phase, f.Error, c.phase)
				}
			}
			if err := h.db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestZooNobodyAccepts polls a port that takes connections and never answers.
func TestZooNobodyAccepts(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp4", "127.0.0.1:0") // the kernel makes the connections
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	h := &watched{t: t, db: open(t, t.TempDir())}
	e := endpoint("idp", "http://"+l.Addr().String()+"/jwks", 200*time.Millisecond)
	e.Target.Timeout = 100 * time.Millisecond
	h.start(e)
	until(t, "it is unreachable", func() bool { return len(h.events()) == 1 })
	h.stop()
	h.expect(unreachable)
	if f := h.events()[0].Data.Failure; f == nil || f.Phase != "timeout" {
		t.Errorf("%+v", f)
	}
	if err := h.db.Close(); err != nil {
		t.Error(err)
	}
}
