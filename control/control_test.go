package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// answersOf asks everything of whoever answers, and makes a text of it.
func answersOf(t *testing.T, a query.Answers) map[string]string {
	t.Helper()
	ctx := t.Context()
	out := map[string]string{}
	put := func(what string, v any, err error) {
		t.Helper()
		if err != nil {
			p := problem(err)
			if p.Code == "" {
				t.Errorf("%s: %v", what, err)
			}
			v = p
		}
		b, err := json.Marshal(v)
		if err != nil {
			t.Error(err)
		}
		out[what] = string(b)
	}
	status, err := a.Status(ctx)
	put("status", status, err)
	endpoints, err := a.Endpoints(ctx)
	put("endpoints", endpoints, err)
	for _, id := range []string{"jw1-corp-3", "none", "", ".", "..", "a/b?c#d%e\n"} {
		raw, err := a.Event(ctx, id)
		put("event "+id, raw, err)
	}
	for _, name := range []string{"corp", "crop", "", "..", "a/../b", "a b"} {
		rows, err := a.History(ctx, name, 0)
		put("history "+name, rows, err)
		shown, err := a.Show(ctx, name, time.Time{})
		put("show "+name, shown, err)
	}
	shown, err := a.Show(ctx, "corp", at(-1))
	put("show too early", shown, err)
	rows, err := a.History(ctx, "corp", -1)
	put("history of less than nothing", rows, err)
	for what, f := range map[string]query.Filter{
		"all": {}, "newest": {Limit: 3}, "between": {Since: at(2), Until: at(5)}, "of corp": {Endpoint: "corp", After: "jw1-corp-7", Type: "key.*"},
		"severe": {MinSeverity: event.SeverityHigh}, "no type": {Type: "key.addd"}, "no endpoint": {Endpoint: "coorp"}, "no end": {Since: at(2), Until: at(1)},
	} {
		var lines []json.RawMessage
		var failed error
		for raw, err := range a.Events(ctx, f) {
			if failed = err; err == nil {
				lines = append(lines, raw)
			}
		}
		put("events "+what, lines, failed)
	}
	return out
}

// TestSameAnswers holds that a command need not know whom it asks: the socket
// gives what the state gives, problems included.
func TestSameAnswers(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	want, got := answersOf(t, d.Answers), answersOf(t, d.client())
	for what, w := range want {
		if got[what] != w {
			t.Errorf("%s: the socket answers\n%s\nthe state\n%s", what, got[what], w)
		}
	}
	if !strings.Contains(want["show corp"], `"kid":"a"`) || !strings.Contains(want["show crop"], `"suggestion":"corp"`) ||
		strings.Count(want["events newest"], "specversion") != 3 || !strings.Contains(want["events no type"], "bad_question") {
		t.Errorf("answers are %v", want)
	}
	// And so does the state at rest, but for what only a daemon knows.
	if err := errors.Join(d.stop(), d.db.Close()); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), d.Path, d.state)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	resting := answersOf(t, a)
	for what, w := range want {
		// When it was seen last the daemon knows to the second, the state to the minute.
		running := strings.Replace(w, at(10).UTC().Format(event.TimeLayout), at(0).UTC().Format(event.TimeLayout), 1)
		if what != "status" && what != "endpoints" && resting[what] != w && resting[what] != running {
			t.Errorf("%s: at rest\n%s\nrunning\n%s", what, resting[what], w)
		}
	}
	if !strings.Contains(resting["status"], `"running":false`) || !strings.Contains(want["status"], `"running":true`) {
		t.Errorf("at rest %s, running %s", resting["status"], want["status"])
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s.db")
	socket := DefaultPath(path)
	if _, err := Open(t.Context(), socket, path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), socket) {
		t.Errorf("neither: error is %v", err)
	}
	db := openState(t, path)
	fill(t, db)
	if _, err := Open(t.Context(), socket, path); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), socket) {
		t.Errorf("locked without a socket: error is %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// A stale socket is nobody.
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), socket, path)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	// While the answers are read, a daemon starts.
	db = openState(t, path)
	if r, err := a.Status(t.Context()); err != nil || r.Running {
		t.Errorf("%+v (%v)", r, err)
	}
	for _, err := range a.Follow(t.Context(), query.Filter{}) {
		if problem(err).Code != query.NotRunning {
			t.Errorf("error is %v", err)
		}
	}
	if err := errors.Join(a.Close(), db.Close()); err != nil {
		t.Error(err)
	}
	if _, err := Open(t.Context(), strings.Repeat("x", MaxPath+1), path); err == nil || !strings.Contains(err.Error(), "shorter") {
		t.Errorf("error is %v", err)
	}
	if err := os.WriteFile(path, []byte("no state"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), socket, path); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
}

// TestOpenWhileStarting holds that a daemon which has its lock and not yet its
// socket is waited for.
func TestOpenWhileStarting(t *testing.T) {
	t.Parallel()
	path := filepath.Join(shortDir(t), "s.db")
	db := openState(t, path)
	fill(t, db)
	s := &Server{Path: DefaultPath(path), Answers: &query.State{Source: db, Live: func() query.Live { return query.Live{} }}}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	time.AfterFunc(300*time.Millisecond, func() { served <- s.Serve(ctx) })
	a, err := Open(t.Context(), s.Path, path)
	if err != nil {
		t.Fatal(err)
	}
	if r, err := a.Status(t.Context()); err != nil || !r.Running {
		t.Errorf("%+v (%v)", r, err)
	}
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	d := start(t, nil)
	check := func(what string) {
		t.Helper()
		var b bytes.Buffer
		if err := Backup(t.Context(), d.Path, d.state, &b); err != nil {
			t.Fatal(what, err)
		}
		path := filepath.Join(t.TempDir(), "backup.db")
		if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
		if err != nil {
			t.Fatal(what, err)
		}
		defer db.Close()
		if e, err := db.EventByID(t.Context(), "jw1-corp-9"); err != nil || len(e.JSON) == 0 {
			t.Errorf("%s: %v", what, err)
		}
	}
	check("running")
	if err := errors.Join(d.stop(), d.db.Close()); err != nil {
		t.Fatal(err)
	}
	check("resting")
}

// TestBackupThatFails holds that half a backup is never taken for one.
func TestBackupThatFails(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 1, 100, 1 << 20} {
		d := start(t, func(s *Server) { s.Backup = failAfter(n) })
		var b bytes.Buffer
		if err := d.client().Backup(t.Context(), &b); err == nil || !strings.Contains(err.Error(), "disk on fire") || strings.Contains(err.Error(), "\n") {
			t.Errorf("after %d octets: error is %v", n, err)
		}
	}
	d := start(t, func(s *Server) { s.Backup = nil })
	if err := d.client().Backup(t.Context(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "does not do that") {
		t.Errorf("error is %v", err)
	}
}

func TestReloadAndHealth(t *testing.T) {
	t.Parallel()
	var result ReloadResult
	var failed, ill error
	d := start(t, func(s *Server) {
		s.Reload = func(context.Context) (ReloadResult, error) { return result, failed }
		s.Healthy = func(context.Context) error { return ill }
	})
	c := d.client()
	result = ReloadResult{Outcome: Refused, Digest: "sha256:00", Problems: []string{"a.yaml:1:2: error: no"}, Shrinks: []string{"corp"}}
	if got, err := c.Reload(t.Context()); err != nil || got.Outcome != Refused || got.Problems[0] != result.Problems[0] || got.Shrinks[0] != "corp" {
		t.Errorf("%+v (%v)", got, err)
	}
	failed = errDisk
	if _, err := c.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "disk on fire") {
		t.Errorf("error is %v", err)
	}
	if err := c.Healthy(t.Context()); err != nil {
		t.Error(err)
	}
	ill = errors.New("the loop hangs")
	if err := c.Healthy(t.Context()); err == nil || !strings.Contains(err.Error(), "the loop hangs") {
		t.Errorf("error is %v", err)
	}
	bare := start(t, nil)
	if _, err := bare.client().Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "does not do that") {
		t.Errorf("error is %v", err)
	}
	if err := bare.client().Healthy(t.Context()); err == nil || !strings.Contains(err.Error(), "does not do that") {
		t.Errorf("error is %v", err)
	}
	if err := bare.stop(); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{
		"health": bare.client().Healthy(t.Context()), "backup": bare.client().Backup(t.Context(), &bytes.Buffer{}), "reach": bare.client().Reach(t.Context()),
	} {
		if !errors.Is(err, ErrNotRunning) {
			t.Errorf("%s: error is %v", what, err)
		}
	}
}
