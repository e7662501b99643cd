package web

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// ask calls the handlers without a network, so that time can be simulated.
func ask(s *Server, path string) (status int, body string) {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	w := httptest.NewRecorder()
	s.hosts.loopback, r.Host = true, "localhost"
	s.handler().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func wantAnswer(t *testing.T, s *Server, path string, status int, body string) {
	t.Helper()
	if code, got := ask(s, path); code != status || got != body+"\n" {
		t.Errorf("%s: %d %q, want %d %q", path, code, got, status, body)
	}
}

func TestLive(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := healthy(io.Discard)
		var turned time.Time
		s.Alive = func() time.Time { return turned }
		wantAnswer(t, s, "/livez", 503, "the schedule has not begun")
		wantAnswer(t, s, "/readyz", 503, "the schedule has not begun")
		turned = time.Now()
		wantAnswer(t, s, "/livez", 200, "ok")
		time.Sleep(30 * time.Second)
		wantAnswer(t, s, "/livez", 200, "ok")
		time.Sleep(time.Second)
		wantAnswer(t, s, "/livez", 503, "the schedule last turned 31 s ago")
		wantAnswer(t, s, "/readyz", 503, "the schedule last turned 31 s ago")
		turned = time.Now()
		wantAnswer(t, s, "/livez", 200, "ok")
	})
}

// The state is asked at most every ten seconds, and its error, which may name
// files, is for the log alone: once each way.
func TestReady(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log output
		s := healthy(&log)
		var asked int
		var fault error
		s.Writable = func(context.Context) error { asked++; return fault }
		for range 5 {
			wantAnswer(t, s, "/readyz", 200, "ok")
		}
		if asked != 1 {
			t.Errorf("asked %d times, want once", asked)
		}
		fault = errors.New("writing /secret/path: no space left")
		wantAnswer(t, s, "/readyz", 200, "ok")
		for range 3 {
			time.Sleep(10 * time.Second)
			wantAnswer(t, s, "/readyz", 503, "the state cannot be written")
			wantAnswer(t, s, "/readyz", 503, "the state cannot be written")
		}
		wantAnswer(t, s, "/livez", 200, "ok")
		fault = nil
		time.Sleep(10 * time.Second)
		wantAnswer(t, s, "/readyz", 200, "ok")
		if asked != 5 {
			t.Errorf("asked %d times, want 5", asked)
		}
		for _, line := range []string{"/secret/path", "ready again"} {
			if n := strings.Count(log.String(), line); n != 1 {
				t.Errorf("%d lines with %q, want one: %s", n, line, log.String())
			}
		}
	})
}

// A disk that hangs makes the probe fail, not hang, and is not asked again
// until it answers.
func TestReadyWhileTheDiskHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := healthy(io.Discard)
		var asked atomic.Int32
		release := make(chan struct{})
		s.Writable = func(context.Context) error { asked.Add(1); <-release; return nil }
		for range 3 {
			start := time.Now()
			wantAnswer(t, s, "/readyz", 503, "the state does not answer")
			if took := time.Since(start); took != writableWithin {
				t.Errorf("answered after %s, want %s", took, writableWithin)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("asked %d times, want once", n)
		}
		close(release)
		s.ready.end()
		wantAnswer(t, s, "/readyz", 200, "ok") // what was learned still holds
		time.Sleep(writableFor)
		wantAnswer(t, s, "/readyz", 503, "the state does not answer") // nothing is asked after the end
	})
}

// Who hangs up does not spoil the answer for the others.
func TestReadyOutlivesTheRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := healthy(io.Discard)
		s.Writable = func(ctx context.Context) error { time.Sleep(time.Second); return ctx.Err() }
		ctx, hangUp := context.WithCancel(t.Context())
		hangUp()
		if err := s.ready.check(ctx, s.Writable, s.Log); !errors.Is(err, errNoAnswer) {
			t.Errorf("who hung up got %v", err)
		}
		wantAnswer(t, s, "/readyz", 200, "ok")
	})
}
