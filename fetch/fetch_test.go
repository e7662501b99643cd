package fetch

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestResponseSaysWhatWasServed(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range map[string]string{
			"ETag": `W/"1"`, "Cache-Control": "public, max-age=3600", "Content-Type": "application/jwk-set+json",
			"Age": "12", "Date": "Tue, 01 Dec 2026 00:00:00 GMT", "Last-Modified": "Mon, 30 Nov 2026 00:00:00 GMT",
			"Retry-After": "120",
		} {
			w.Header().Set(name, value)
		}
		_, _ = io.WriteString(w, keySet)
	}))
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	got := get(t, &c, Target{URL: s.URL + "/jwks?tenant=secret", Policy: local()})
	if got.Duration <= 0 {
		t.Errorf("duration %v", got.Duration)
	}
	want := Response{
		BodySHA256: sha256.Sum256([]byte(keySet)), Status: 200, URL: s.URL + "/jwks?tenant=***",
		ETag: `W/"1"`, CacheControl: "public, max-age=3600", ContentType: "application/jwk-set+json",
		Age: "12", Date: "Tue, 01 Dec 2026 00:00:00 GMT", LastModified: "Mon, 30 Nov 2026 00:00:00 GMT",
		RetryAfter: "120", MaxAge: time.Hour, HasMaxAge: true, RemoteAddr: s.Listener.Addr().String(),
		Duration: got.Duration, asked: s.URL + "/jwks?tenant=secret",
	}
	if string(got.Body) != keySet {
		t.Errorf("body %q", got.Body)
	}
	got.Body = nil // a slice cannot be compared with the rest
	if !equal(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func equal(a, b Response) bool {
	return a.Body == nil && b.Body == nil && a.Key() == b.Key() && a.ETag == b.ETag && a.Age == b.Age && a.Date == b.Date &&
		a.LastModified == b.LastModified && a.RetryAfter == b.RetryAfter && a.MaxAge == b.MaxAge && a.HasMaxAge == b.HasMaxAge &&
		a.RemoteAddr == b.RemoteAddr && a.HasTLS == b.HasTLS && a.BodySHA256 == b.BodySHA256 && a.URL == b.URL && a.Truncated == b.Truncated
}

// The request is the same to the octet whether it is fresh or not: an issuer
// must not be able to tell a confirming fetch.
func TestRequestOnTheWire(t *testing.T) {
	t.Parallel()
	s := serveConns(t, keepAlive(keySet))
	var c Client
	t.Cleanup(c.CloseIdle)
	get(t, &c, Target{URL: s.url(), Policy: local()})
	get(t, &c, Target{URL: s.url(), Policy: local()})
	get(t, &c, Target{URL: s.url(), Policy: local(), Fresh: true})
	want := "GET /jwks.json HTTP/1.1\r\nHost: " + s.addr + "\r\nUser-Agent: jwkswatch\r\n" +
		"Accept: application/jwk-set+json, application/json\r\nAccept-Encoding: identity\r\n\r\n"
	for i, got := range s.requests {
		if got != want {
			t.Errorf("request %d:\n%swant:\n%s", i, got, want)
		}
	}
}

func TestExtraHeaders(t *testing.T) {
	t.Parallel()
	s := serveConns(t, keepAlive(keySet))
	c := Client{UserAgent: "jwkswatch/1.0 (+soc@corp.example)"}
	t.Cleanup(c.CloseIdle)
	extra := http.Header{"authorization": {"Bearer x"}, "X-Two": {"a", "b"}}
	get(t, &c, Target{URL: s.url(), Policy: local(), Header: extra})
	get(t, &c, Target{URL: s.url(), Policy: local()})
	for _, part := range []string{"Authorization: Bearer x\r\n", "X-Two: a\r\nX-Two: b\r\n", "User-Agent: " + c.UserAgent + "\r\n"} {
		if !strings.Contains(s.requests[0], part) {
			t.Errorf("no %q in\n%s", part, s.requests[0])
		}
	}
	if strings.Contains(s.requests[1], "Bearer") || strings.Contains(s.requests[1], "X-Two") {
		t.Errorf("headers of one target in the request of another:\n%s", s.requests[1])
	}
	if len(extra) != 2 {
		t.Errorf("the caller's header was changed: %v", extra)
	}
}

func TestCookiesAreNotKept(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, say("HTTP/1.1 200 OK\r\nSet-Cookie: id=1\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}"))
	var c Client
	t.Cleanup(c.CloseIdle)
	for range 2 {
		get(t, &c, Target{URL: s.url(), Policy: local()})
	}
	if strings.Contains(s.requests[1], "Cookie") {
		t.Errorf("second request:\n%s", s.requests[1])
	}
}

func TestFreshMakesAConnectionOfItsOwn(t *testing.T) {
	t.Parallel()
	s := serveConns(t, keepAlive(keySet))
	var c Client
	target := Target{URL: s.url(), Policy: local()}
	fresh := target
	fresh.Fresh = true
	for i, step := range []struct {
		target  Target
		accepts int
	}{
		{target, 1}, {target, 1}, // pooled
		{fresh, 2}, {fresh, 3}, // each its own, and none from the pool
		{target, 3}, // and none put into it
	} {
		get(t, &c, step.target)
		if n := s.accepts(); n != step.accepts {
			t.Errorf("step %d: %d connections, want %d", i, n, step.accepts)
		}
	}
	c.CloseIdle()
	s.drained(t) // fresh ones are closed, and CloseIdle closes the pooled one
}

// The transport retries on a pooled connection that the server has closed: the
// evidence must be that of the second.
func TestDeadPooledConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := serveRaw(t, sayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"))
	var c Client
	t.Cleanup(c.CloseIdle)
	for range 5 {
		get(t, &c, Target{URL: s.url(), Policy: local()})
	}
	if n := s.accepts(); n != 5 {
		t.Errorf("%d connections for 5 requests that each end theirs", n)
	}
}

func TestBufferIsUsedAgain(t *testing.T) {
	t.Parallel()
	body := keySet
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) }))
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	first := get(t, &c, Target{URL: s.URL, Policy: local()})
	again, err := c.Get(t.Context(), Target{URL: s.URL, Policy: local()}, first.Body)
	if err != nil {
		t.Fatal(err)
	}
	if &first.Body[0] != &again.Body[0] {
		t.Error("a buffer large enough was not used")
	}
	if first.Key() != again.Key() {
		t.Error("the same answer has another key")
	}
	small := make([]byte, 0, 3)
	grown, err := c.Get(t.Context(), Target{URL: s.URL, Policy: local()}, small)
	if err != nil || string(grown.Body) != body {
		t.Errorf("body %q, error %v", grown.Body, err)
	}
}

func TestBodySizes(t *testing.T) {
	t.Parallel()
	const limit = 100_000
	for _, framing := range []string{"length", "chunked", "close"} {
		for _, size := range []int{0, 1, 511, 512, 513, limit - 1, limit, limit + 1, 3 * limit} {
			body := bytes.Repeat([]byte("k"), size)
			h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				switch framing {
				case "chunked":
					w.(http.Flusher).Flush()
				case "close":
					c, _, _ := w.(http.Hijacker).Hijack()
					_, _ = c.Write(append([]byte("HTTP/1.1 200 OK\r\n\r\n"), body...))
					_ = c.Close()
					return
				}
				_, _ = w.Write(body)
			}))
			var c Client
			r, err := c.Get(t.Context(), Target{URL: h.URL, Policy: local(), MaxBody: limit}, nil)
			if size > limit {
				wantPhase(t, err, PhaseSize)
				wantText(t, err, "larger than 100000 octets")
			} else if err != nil || !bytes.Equal(r.Body, body) {
				t.Errorf("%s, %d octets: got %d, error %v", framing, size, len(r.Body), err)
			}
			c.CloseIdle()
			h.Close()
		}
	}
}

func TestCallerCancels(t *testing.T) {
	t.Parallel()
	for name, head := range map[string]string{
		"before an answer": "",
		"in a body":        "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{",
		"in a redirect":    "HTTP/1.1 302 Found\r\nContent-Length: 9\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			s := serveRaw(t, func(c net.Conn) {
				_, _ = io.WriteString(c, head)
				cancel()
				untilClosed(c)
			})
			var c Client
			_, err := c.Get(ctx, Target{URL: s.url(), Policy: local()}, nil)
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("error %v", err)
			}
			// A shutdown is not the fault of the endpoint.
			if _, ok := errors.AsType[*Error](err); ok {
				t.Errorf("a cancelled request blames the target: %v", err)
			}
			s.drained(t)
		})
	}
}

// A second policy does not exist today that could fill the lanes, so the bound
// is lowered.
func TestLanesAreBounded(t *testing.T) {
	t.Parallel()
	s := serveConns(t, keepAlive(keySet))
	c := Client{limit: 1, Resolver: resolver(t, always("10.0.0.1"))}
	get(t, &c, Target{URL: s.url(), Policy: local()})
	_, err := c.Get(t.Context(), Target{URL: "http://issuer.test/"}, nil)
	wantPhase(t, err, PhaseRefused)
	if len(c.lanes) != 1 {
		t.Errorf("%d lanes", len(c.lanes))
	}
	s.drained(t) // the lane that had to go closed its connection
	get(t, &c, Target{URL: s.url(), Policy: local()})
	c.CloseIdle()
}

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(ok(keySet))
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	failed := make(chan error, 32)
	for i := range cap(failed) {
		go func() {
			_, err := c.Get(t.Context(), Target{
				URL: s.URL, Policy: local(), Fresh: i%4 == 0, Header: http.Header{"X-Call": {"1"}},
			}, nil)
			failed <- err
		}()
	}
	for range cap(failed) {
		if err := <-failed; err != nil {
			t.Error(err)
		}
	}
}
