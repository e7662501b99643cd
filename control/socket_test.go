package control

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/query"
)

func TestSocketFile(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	info, err := os.Lstat(d.Path)
	if err != nil || info.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("mode is %v (%v)", info.Mode(), err)
	}
	if err := d.stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Lstat(d.Path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket is left behind (%v)", err)
	}
}

// TestSocketIsNeverOpen holds that there is no moment at which the socket has
// another mode: the kernel makes it with the right one.
func TestSocketIsNeverOpen(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	stop := make(chan struct{})
	var all sync.WaitGroup
	seen := 0
	all.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
			}
			if info, err := os.Lstat(filepath.Join(dir, "s")); err == nil {
				if seen++; info.Mode() != fs.ModeSocket|0o600 {
					t.Errorf("mode is %v", info.Mode())
				}
			}
		}
	})
	for range 200 {
		l, err := listen(t.Context(), filepath.Join(dir, "s"), zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	all.Wait()
	t.Logf("looked at it %d times", seen)
}

func TestPathIsTaken(t *testing.T) {
	t.Parallel()
	dir := shortDir(t)
	file, link, folder := filepath.Join(dir, "file"), filepath.Join(dir, "link"), filepath.Join(dir, "folder")
	err := errors.Join(os.WriteFile(file, []byte("precious"), 0o600), os.Symlink(file, link), os.Mkdir(folder, 0o700))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{file, link, folder} {
		if err := (&Server{Path: path}).Listen(); err == nil || !strings.Contains(err.Error(), "no socket") {
			t.Errorf("%s: error is %v", path, err)
		}
		if _, err := os.Lstat(path); err != nil {
			t.Errorf("%s was removed", path)
		}
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "precious" {
		t.Errorf("the file holds %q (%v)", b, err)
	}
	long := filepath.Join(dir, strings.Repeat("x", MaxPath))
	for path, says := range map[string]string{long: "shorter", "": "empty", filepath.Join(dir, "no", "s"): "no such file"} {
		if err := (&Server{Path: path}).Serve(t.Context()); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error is %v", path, err)
		}
	}
	fits := dir + "/" + strings.Repeat("x", MaxPath-len(dir)-1)
	s := &Server{Path: fits}
	if err := s.Listen(); err != nil {
		t.Errorf("a path of %d octets: %v", len(fits), err)
	} else if err := s.listener.Close(); err != nil {
		t.Error(err)
	}
}

// TestStaleSocket holds that what a killed daemon left does not stand in the
// way.
func TestStaleSocket(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	d.listener.(*gate).Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	if err := d.client().Reach(t.Context()); !errors.Is(err, ErrNotRunning) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	again := &Server{Path: d.Path, Answers: d.Answers}
	if err := again.Listen(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- again.Serve(ctx) }()
	if _, err := d.client().Status(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// raw sends octets and returns the first line of the answer.
func raw(t *testing.T, path, request string) string {
	t.Helper()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, request) // the server may answer before it has all
	b, _ := io.ReadAll(c)
	line, rest, _ := strings.Cut(string(b), "\r\n")
	if _, body, ok := strings.Cut(rest, "\r\n\r\n"); ok {
		line += " " + body
	}
	return line
}

func TestHostileRequests(t *testing.T) {
	t.Parallel()
	d := start(t, func(s *Server) {
		s.Reload = func(context.Context) (ReloadResult, error) {
			t.Error("the configuration was loaded")
			return ReloadResult{}, nil
		}
	})
	get := func(target string) string {
		return "GET " + target + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
	}
	for _, c := range []struct{ request, status, says string }{
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "400", ""},
		{"GET\r\n\r\n", "400", ""},
		{get("/v1/status\x00"), "400", ""},
		{get("/"), "404", ""},
		{get("/v2/status"), "404", ""},
		{get("/v1/status/"), "404", ""},
		{get("/v1/../v1/status"), "307", ""},
		{get("/debug/pprof/"), "404", ""},
		{get("/v1/reload"), "405", ""},
		{get("/v1/backup"), "405", ""},
		{"DELETE /v1/status HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "405", ""},
		{"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", "413", "no body"},
		{"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nhello", "413", "no body"},
		{"POST /v1/reload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "413", "no body"},
		{"POST /v1/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n", "4", ""},
		{"GET /v1/status HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 64<<10) + "\r\n\r\n", "431", ""},
		{get("/v1/status?x=1"), "400", "no parameter"},
		{get("/v1/status?%1b%5b31m%e2%80%ae=1"), "400", "no parameter"},
		{get("/v1/events?limit=1&limit=2"), "400", "more than once"},
		{get("/v1/events?limit=x"), "400", "a limit is a number"},
		{get("/v1/events?limit=-1"), "400", "negative"},
		{get("/v1/events?follow=yes"), "400", "0 or 1"},
		{get("/v1/events?min_severity=worst"), "400", "critical"},
		{get("/v1/events?since=yesterday"), "400", "RFC 3339"},
		{get("/v1/events?until=%00"), "400", "RFC 3339"},
		{get("/v1/events?a=%zz"), "400", "cannot be read"},
		{get("/v1/events?a=1;b=2"), "400", "cannot be read"},
		{get("/v1/show/corp?at=now"), "400", "RFC 3339"},
		{get("/v1/show/%2e%2e%2fetc%2fpasswd"), "404", "unknown_endpoint"},
		{get("/v1/event/%0d%0aX-Evil:%201"), "404", "unknown_event"},
		{get("/v1/history/corp?limit=999999999999999999999"), "400", "a limit is a number"},
	} {
		got := raw(t, d.Path, c.request)
		if !strings.HasPrefix(got, "HTTP/1.1 "+c.status) || !strings.Contains(got, c.says) || strings.ContainsAny(got, "\x1b\u202e") {
			t.Errorf("%.80q: %q, want %s %q", c.request, got, c.status, c.says)
		}
	}
	if _, err := d.client().Status(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestTooManyAsk holds that neither questions that take long nor connections
// that say nothing take the daemon down, and that they end.
func TestTooManyAsk(t *testing.T) {
	t.Parallel()
	release, entered := make(chan struct{}), make(chan struct{}, maxQuestions)
	d := start(t, func(s *Server) {
		s.Reload = func(context.Context) (ReloadResult, error) {
			entered <- struct{}{}
			<-release
			return ReloadResult{Outcome: Unchanged}, nil
		}
	})
	results := make(chan error, maxQuestions)
	for range maxQuestions {
		go func() { _, err := d.client().Reload(t.Context()); results <- err }()
	}
	for range maxQuestions {
		<-entered
	}
	if _, err := d.client().Status(t.Context()); err == nil || !strings.Contains(err.Error(), "too many questions") {
		t.Errorf("error is %v", err)
	}
	// And who only connects is turned away when there is no more room.
	var idle []net.Conn
	// One that just ended may hold a place for a moment longer: so again and again.
	eventually(t, "all places taken", func() bool {
		c, err := net.Dial("unix", d.Path)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, c)
		return len(d.slots()) == maxConnections
	})
	// How it shows depends on whether the question was under way already.
	if _, err := d.client().Status(t.Context()); err == nil ||
		!strings.Contains(err.Error(), "broke the connection off") && !strings.Contains(err.Error(), "closed idle connection") {
		t.Errorf("error is %v", err)
	}
	for _, c := range idle {
		_ = c.Close()
	}
	close(release)
	for range maxQuestions {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	eventually(t, "room again", func() bool { _, err := d.client().Status(t.Context()); return err == nil })
}

// TestStopWaits holds that a question under way is answered when the daemon
// stops, and that one which hangs does not hold it up for long.
func TestStopWaits(t *testing.T) {
	t.Parallel()
	entered := make(chan struct{}, 2)
	release := make(chan struct{})
	d := start(t, func(s *Server) {
		s.Healthy = func(context.Context) error {
			entered <- struct{}{}
			<-release
			return nil
		}
		s.Reload = func(ctx context.Context) (ReloadResult, error) {
			entered <- struct{}{}
			<-ctx.Done()
			return ReloadResult{}, ctx.Err()
		}
	})
	short, long := make(chan error, 1), make(chan error, 1)
	go func() { short <- d.client().Healthy(t.Context()) }()
	go func() { _, err := d.client().Reload(t.Context()); long <- err }()
	<-entered
	<-entered
	begin := time.Now()
	stopped := make(chan error, 1)
	go func() { stopped <- d.stop() }()
	eventually(t, "the socket's end", func() bool { return errors.Is(d.client().Reach(t.Context()), ErrNotRunning) })
	close(release)
	if err := <-short; err != nil {
		t.Errorf("the question under way: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took < stopTimeout || took > stopTimeout+30*time.Second {
		t.Errorf("stopping took %v", took)
	}
	if err := <-long; err == nil {
		t.Error("the question that hangs was answered")
	}
}

// TestClientOfAStranger holds that the client survives whoever answers.
func TestClientOfAStranger(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	replies := map[string]string{
		"/v1/status":    "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nno object",
		"/v1/endpoints": "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\noops",
		"/v1/events":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{}\n\r\n",
		"/v1/health":    "garbage\r\n\r\n",
		"/v1/backup":    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: " + trailer + "\r\n\r\n2\r\nab\r\n0\r\n" + trailer + ": garbage\r\n\r\n",
		"/v1/reload":    "HTTP/1.1 404 No\r\nContent-Length: 28\r\n\r\n{\"error\":{\"code\":\"failed\"}}\n",
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if r, err := http.ReadRequest(bufio.NewReader(c)); err == nil {
				_, _ = fmt.Fprint(c, replies[r.URL.Path])
			}
			_ = c.Close()
		}
	}()
	defer l.Close()
	c := &Client{Path: path}
	_, status := c.Status(t.Context())
	_, endpoints := c.Endpoints(t.Context())
	_, reload := c.Reload(t.Context())
	_, history := c.History(t.Context(), "corp", 0) // no answer at all
	var events error
	for _, err := range c.Events(t.Context(), query.Filter{}) {
		events = err
	}
	for what, c := range map[string]struct {
		err  error
		says string
	}{
		"status": {status, "reading the daemon's answer"}, "endpoints": {endpoints, "another version"}, "events": {events, "unexpected EOF"},
		"health": {c.Healthy(t.Context()), "malformed"}, "backup": {c.Backup(t.Context(), io.Discard), "broke off"}, "reload": {reload, "the daemon says"},
		"history": {history, "broke the connection off"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.says) {
			t.Errorf("%s: error is %v", what, c.err)
		}
	}
}
