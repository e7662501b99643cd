package fetch

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// redirecting answers /set with a set and other paths with a redirect, /to with
// one to its text. It notes the paths and the secrets it was asked with.
type redirecting struct {
	mu      sync.Mutex
	to      string
	asked   []string
	secrets []string
}

func (s *redirecting) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked = append(s.asked, r.URL.Path)
	s.secrets = append(s.secrets, r.Header.Get("X-Secret"))
	status, location := http.StatusFound, ""
	switch r.URL.Path {
	case "/set":
		ok(keySet)(w, r)
		return
	case "/a":
		location = "/b"
	case "/b":
		location = "../c#fragment"
	case "/c":
		location = "/set"
	case "/d": // one hop more than allowed
		location = "/a"
	case "/self":
		location = "/self"
	case "/ping":
		location = "/pong"
	case "/pong":
		location = "/ping"
	case "/absolute":
		location = "//" + r.Host + "/set"
	case "/query":
		location = "/set?token\u202e=abcdef"
	case "/300":
		status, location = http.StatusMultipleChoices, "/set"
	case "/304":
		status = http.StatusNotModified
	case "/none":
	case "/301", "/303", "/307", "/308":
		status, location = map[string]int{"/301": 301, "/303": 303, "/307": 307, "/308": 308}[r.URL.Path], "/set"
	case "/two":
		w.Header()["Location"] = []string{"/set", "/other"}
		w.WriteHeader(status)
		return
	default:
		location = s.to
	}
	if location != "" {
		w.Header().Set("Location", location)
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, "moved")
}

func (s *redirecting) aim(to string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = to
}

func (s *redirecting) paths() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, " ")
}

func TestRedirectsFollowedOnTheSameHost(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/a": "/a /b /c /set", "/absolute": "/absolute /set", "/query": "/query /set",
		"/301": "/301 /set", "/303": "/303 /set", "/307": "/307 /set", "/308": "/308 /set",
	} {
		for _, fresh := range []bool{false, true} {
			handler := &redirecting{}
			s := httptest.NewServer(handler)
			var c Client
			r := get(t, &c, Target{
				URL: s.URL + path, Policy: local(), Redirects: SameHost, Fresh: fresh,
				Header: http.Header{"X-Secret": {"s3cr3t"}},
			})
			c.CloseIdle()
			s.Close()
			if string(r.Body) != keySet || r.Status != http.StatusOK || r.Redirect != nil {
				t.Errorf("%s: %d %q %+v", path, r.Status, r.Body, r.Redirect)
			}
			if got := handler.paths(); got != want {
				t.Errorf("asked %s, want %s", got, want)
			}
			final := s.URL + "/set"
			if path == "/query" {
				final += "?token\ufffd=***"
			}
			if r.URL != final {
				t.Errorf("%s: URL %s, want %s", path, r.URL, final)
			}
			for _, secret := range handler.secrets {
				if secret != "s3cr3t" {
					t.Errorf("%s: a hop without the header", path)
				}
			}
		}
	}
}

// Where a document comes from is part of its fast-path key, also where the
// shown URLs are equal.
func TestFinalURLIsPartOfTheKey(t *testing.T) {
	t.Parallel()
	var location string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, location, http.StatusFound)
			return
		}
		ok(keySet)(w, r)
	}))
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	keys := map[[32]byte]bool{}
	for _, location = range []string{"/x", "/y", "/x?v=1", "/x?v=2", "/x"} {
		r := get(t, &c, Target{URL: s.URL + "/", Policy: local(), Redirects: SameHost})
		keys[r.Key()] = true
	}
	if len(keys) != 4 {
		t.Errorf("%d keys of 4 final URLs", len(keys))
	}
}

// What is not followed is the answer, whatever the target allows.
func TestRedirectsNotFollowed(t *testing.T) {
	t.Parallel()
	plain, overTLS := &redirecting{}, &redirecting{}
	s := httptest.NewServer(plain)
	t.Cleanup(s.Close)
	ca := newLab(t)
	secure := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{issued(t, ca, lab.Leaf{})}}, overTLS.ServeHTTP)
	elsewhere := serveConns(t, func(*rawServer, net.Conn) {})
	c := Client{Roots: ca.Roots()}
	t.Cleanup(c.CloseIdle)
	host := strings.TrimPrefix(s.URL, "http://")
	for _, test := range []struct {
		from  string
		to    string
		allow Redirects
		want  Redirect
	}{
		{from: s.URL + "/a", want: Redirect{Status: 302, Location: "/b"}},
		{from: s.URL + "/none", allow: SameHost, want: Redirect{Status: 302}},
		{from: s.URL + "/two", allow: SameHost, want: Redirect{Status: 302, Location: "/set"}},
		{from: s.URL + "/300", allow: SameHost, want: Redirect{Status: 300, Location: "/set"}},
		{from: s.URL + "/to", to: "https://" + host + "/set", allow: SameHost, want: Redirect{Status: 302, Location: "https://" + host + "/set"}},
		{from: s.URL + "/to", to: "http://" + elsewhere.addr + "/", allow: SameHost, want: Redirect{Status: 302, Location: "http://" + elsewhere.addr + "/"}},
		{from: s.URL + "/to", to: "http://localhost/", allow: SameHost, want: Redirect{Status: 302, Location: "http://localhost/", CrossHost: true}},
		{from: s.URL + "/to", to: "http://169.254.169.254/latest", allow: SameHost, want: Redirect{Status: 302, Location: "http://169.254.169.254/latest", CrossHost: true}},
		{from: s.URL + "/to", to: "http://10.0.0.1/", allow: SameHost, want: Redirect{Status: 302, Location: "http://10.0.0.1/", CrossHost: true}},
		{from: s.URL + "/to", to: "http://u:p@" + host + "/set", allow: SameHost, want: Redirect{Status: 302, Location: "http://" + host + "/set"}},
		{from: s.URL + "/to", to: "file:///etc/passwd", allow: SameHost, want: Redirect{Status: 302, Location: "file:///etc/passwd", CrossHost: true}},
		{from: s.URL + "/to", to: "http://%zz/?x", allow: SameHost, want: Redirect{Status: 302, Location: "***"}},
		{from: secure.URL + "/to", to: "http://" + secure.Listener.Addr().String() + "/set", allow: SameHost, want: Redirect{
			Status: 302, Location: "http://" + secure.Listener.Addr().String() + "/set", Downgrade: true,
		}},
		{from: secure.URL + "/to", to: "http://evil.test/", allow: SameHost, want: Redirect{
			Status: 302, Location: "http://evil.test/", Downgrade: true, CrossHost: true,
		}},
	} {
		plain.aim(test.to)
		overTLS.aim(test.to)
		r := get(t, &c, Target{URL: test.from, Policy: local(), Redirects: test.allow})
		if r.Redirect == nil {
			t.Errorf("%s: status %d without a redirect", test.from, r.Status)
			continue
		}
		shown := *r.Redirect
		shown.next = nil
		if shown != test.want || r.Status != test.want.Status || r.Location != test.want.Location {
			t.Errorf("%s: %+v (%s), want %+v", test.from, shown, r.Location, test.want)
		}
		if string(r.Body) == keySet {
			t.Errorf("%s was followed", test.from)
		}
	}
	if n := elsewhere.accepts(); n != 0 {
		t.Errorf("%d connections to another port", n)
	}
	if r := get(t, &c, Target{URL: s.URL + "/304", Policy: local(), Redirects: SameHost}); r.Redirect != nil {
		t.Error("a 304 is no redirect")
	}
}

func TestRedirectsWithoutEnd(t *testing.T) {
	t.Parallel()
	for path, test := range map[string]struct{ asked, text string }{
		"/self": {"/self", "redirects in a loop"},
		"/ping": {"/ping /pong", "redirects in a loop"},
		"/d":    {"/d /a /b /c", "more than 3 redirects"},
	} {
		handler := &redirecting{}
		s := httptest.NewServer(handler)
		var c Client
		_, err := c.Get(t.Context(), Target{URL: s.URL + path, Policy: local(), Redirects: SameHost}, nil)
		c.CloseIdle()
		s.Close()
		wantPhase(t, err, PhaseStatus)
		wantText(t, err, test.text)
		e := err.(*Error)
		if e.Code != CodeRedirect || e.Redirect == nil || e.Redirect.Status != http.StatusFound || e.Redirect.Location == "" {
			t.Errorf("%s: %+v", path, e)
		}
		if got := handler.paths(); got != test.asked {
			t.Errorf("asked %s, want %s", got, test.asked)
		}
	}
}

// The name resolves to something else for the second hop.
func TestEveryHopPassesTheGuard(t *testing.T) {
	t.Parallel()
	handler := &redirecting{}
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	c := Client{Resolver: resolver(t, func(_ string, count int) (uint8, []netip.Addr) {
		if count == 0 {
			return 0, parsed("127.0.0.1")
		}
		return 0, parsed("169.254.169.254")
	})}
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	_, err := c.Get(t.Context(), Target{URL: "http://issuer.test:" + port + "/a", Policy: local(), Redirects: SameHost, Fresh: true}, nil)
	wantPhase(t, err, PhaseRefused)
	wantText(t, err, "169.254.169.254")
	if got := handler.paths(); got != "/a" {
		t.Errorf("asked %s", got)
	}
}

// One deadline for all hops.
func TestRedirectsShareOneDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := Client{Dial: piped(func(c net.Conn) {
			defer c.Close()
			for n := 0; ; n++ {
				var request [4096]byte
				if _, err := c.Read(request[:]); err != nil {
					return
				}
				time.Sleep(6 * time.Second)
				answer := "HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /" + strings.Repeat("x", n+1) + "\r\n\r\n"
				if _, err := io.WriteString(c, answer); err != nil {
					return
				}
			}
		})}
		start := time.Now()
		_, err := c.Get(t.Context(), Target{URL: "http://issuer.test/", Redirects: SameHost}, nil)
		wantPhase(t, err, PhaseTimeout)
		if took := time.Since(start); took != DefaultTimeout {
			t.Errorf("took %v", took)
		}
		c.CloseIdle()
		time.Sleep(time.Minute)
	})
}

// A hop that finds no connection is told as that, not as an answer too late.
func TestHopWithoutAConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		dials := 0
		redirects := piped(func(c net.Conn) {
			defer c.Close()
			var request [4096]byte
			if _, err := c.Read(request[:]); err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 302 x\r\nContent-Length: 0\r\nLocation: /x\r\n\r\n")
			}
		})
		c := Client{Dial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if dials++; dials == 1 {
				return redirects(ctx, network, addr)
			}
			time.Sleep(time.Minute)
			return nil, net.ErrClosed
		}}
		_, err := c.Get(t.Context(), Target{URL: "http://issuer.test/", Redirects: SameHost, Fresh: true}, nil)
		wantPhase(t, err, PhaseTimeout)
		wantText(t, err, "no connection after 15s")
		time.Sleep(time.Minute)
	})
}

// A server may send back a secret that it was sent.
func TestSecretInALocationIsNotShown(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "https://evil.test/"+r.Header.Get("X-Secret")+"/?x="+r.Header.Get("X-Secret"))
		w.WriteHeader(http.StatusFound)
	}))
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	r := get(t, &c, Target{URL: s.URL, Policy: local(), Header: http.Header{"X-Secret": {"s3cr3t"}}})
	if want := "https://evil.test/***/?x=***"; r.Location != want || r.Redirect.Location != want {
		t.Errorf("%q, %q", r.Location, r.Redirect.Location)
	}
}
