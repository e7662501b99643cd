package fetch

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// piped dials servers inside the process: each connection is a net.Pipe whose
// other half goes to serve.
func piped(serve func(net.Conn)) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go serve(server)
		return client, nil
	}
}

// pipeListener hands the other halves to a real http.Server.
type pipeListener struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.done) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.TCPAddr{} }

// Twenty-five minutes of polls of a real http.Server over TLS, in no time. The bubble
// fails when a goroutine is left.
func TestPollsInABubble(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test Authority")
		cert := ca.issue(t, "issuer.test", time.Now().Add(59*time.Minute))
		config := &tls.Config{Certificates: []tls.Certificate{cert}}
		l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		var polled, made int
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			polled++
			ok(keySet)(w, r)
		})}
		go func() { _ = server.Serve(tls.NewListener(l, config)) }()
		c := Client{Roots: ca.pool(), Dial: piped(func(c net.Conn) { made++; l.conns <- c })}
		for i := range 50 {
			r := get(t, &c, Target{URL: "https://issuer.test/", Fresh: i%10 == 9})
			if string(r.Body) != keySet || !r.HasTLS || r.RemoteAddr != "pipe" {
				t.Fatalf("%+v", r)
			}
			time.Sleep(30 * time.Second)
		}
		if polled != 50 || made < 9 || made > 11 {
			t.Errorf("%d polls over %d connections, want 50 over one for each five minutes and 5 fresh ones", polled, made)
		}
		c.CloseIdle()
		_ = server.Close()
	})
}

// A connection that is always warm is made anew after five minutes: a
// certificate that has expired meanwhile is seen then.
func TestWarmConnectionGrowsOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "Test Authority")
		config := &tls.Config{Certificates: []tls.Certificate{ca.issue(t, "issuer.test", time.Now().Add(18*time.Minute))}}
		l := &pipeListener{conns: make(chan net.Conn), done: make(chan struct{})}
		server := &http.Server{Handler: ok(keySet)}
		go func() { _ = server.Serve(tls.NewListener(l, config)) }()
		made := 0
		c := Client{Roots: ca.pool(), Dial: piped(func(c net.Conn) { made++; l.conns <- c })}
		target := Target{URL: "https://issuer.test/"}
		good := 0
		for range 130 {
			_, err := c.Get(t.Context(), target, nil)
			if err != nil {
				break
			}
			good++
			time.Sleep(30 * time.Second)
		}
		if good < 36 || good > 50 || made < 4 || made > 6 {
			t.Errorf("%d good polls in a row over %d connections: an expired certificate goes unseen, or a good one is not kept", good, made)
		}
		c.CloseIdle()
		_ = server.Close()
	})
}

// The clock of a bubble shows each limit to the tick.
func TestTimeouts(t *testing.T) {
	t.Parallel()
	silent := func(c net.Conn) { untilClosed(c); _ = c.Close() }
	dripping := func(head string) func(net.Conn) {
		return func(c net.Conn) {
			defer c.Close()
			var request [4096]byte
			if _, err := c.Read(request[:]); err != nil {
				return
			}
			for _, err := io.WriteString(c, head); err == nil; _, err = io.WriteString(c, "x") {
				time.Sleep(time.Second)
			}
		}
	}
	for _, test := range []struct {
		name    string
		url     string
		timeout time.Duration
		serve   func(net.Conn)
		want    time.Duration
		text    string
	}{
		{"handshake stalls", "https://issuer.test/", 0, silent, tlsTimeout, "no TLS handshake within 5s"},
		{"no answer", "http://issuer.test/", 0, silent, DefaultTimeout, "no complete answer after 15s"},
		{"headers trickle", "http://issuer.test/", 0, dripping("HTTP/1.1 200 OK\r\nX: "), DefaultTimeout, "no complete answer after 15s"},
		{"body trickles", "http://issuer.test/", 0, dripping("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"), DefaultTimeout, "no complete answer after 15s"},
		{"own timeout", "http://issuer.test/", 3 * time.Second, dripping("HTTP/1.1 200 OK\r\n\r\n"), 3 * time.Second, "no complete answer after 3s"},
		{"own timeout is longer", "http://issuer.test/", time.Minute, dripping("HTTP/1.1 200 OK\r\n\r\n"), time.Minute, "no complete answer after 1m0s"},
		{"own timeout ends a handshake", "https://issuer.test/", time.Second, silent, time.Second, "no connection after 1s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				c := Client{Dial: piped(test.serve)}
				_, err := c.Get(t.Context(), Target{URL: test.url, Timeout: test.timeout}, nil)
				wantPhase(t, err, PhaseTimeout)
				wantText(t, err, test.text)
				if took := time.Since(start); took != test.want {
					t.Errorf("took %v, want %v", took, test.want)
				}
				c.CloseIdle()
				time.Sleep(time.Minute) // a server that drips and a dial that stalls have their own end
			})
		})
	}
}

// A resolver that never answers is another matter than a silent issuer.
func TestSilentResolver(t *testing.T) {
	t.Parallel()
	// The first look-up of a process makes a channel that all later ones use. Made
	// in the bubble it would not be of use outside.
	broken := net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, net.ErrClosed }}
	if _, err := broken.LookupHost(t.Context(), "issuer.test"); err == nil {
		t.Fatal("found without a server")
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		r := &net.Resolver{PreferGo: true, Dial: piped(func(c net.Conn) { untilClosed(c); _ = c.Close() })}
		c := Client{Resolver: r}
		_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/"}, nil)
		wantPhase(t, err, PhaseResolve)
		if took := time.Since(start); took != dialTimeout {
			t.Errorf("took %v", took)
		}
		time.Sleep(time.Minute) // the resolver gives up by itself
	})
}

// A hundred hostile answers of each kind leave nothing behind: a bubble ends
// only when all its goroutines have.
func TestHostileAnswersLeaveNoGoroutine(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		answers := []string{
			"", "x", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nz",
			"HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("k", 5000), "HTTP/1.1 302 x\r\nLocation: /\r\n\r\n" + strings.Repeat("k", maxOtherBody+1),
			"HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
		}
		for _, scheme := range []string{"http", "https"} {
			for _, answer := range answers {
				for _, hang := range []bool{false, true} {
					c := Client{Dial: piped(func(c net.Conn) {
						defer c.Close()
						var head [4096]byte
						if _, err := c.Read(head[:]); err != nil {
							return
						}
						if _, err := io.WriteString(c, answer); err == nil && hang {
							untilClosed(c)
						}
					})}
					for i := range 100 {
						_, _ = c.Get(t.Context(), Target{URL: scheme + "://issuer.test/", MaxBody: 4096, Fresh: i%2 == 0}, nil)
					}
					c.CloseIdle()
				}
			}
		}
	})
}
