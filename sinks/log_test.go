package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// writer keeps the arguments of each Write and does what a test says.
type writer struct {
	lines  []string
	before func(p []byte) (int, error) // nil, nil takes all
}

func (w *writer) Write(p []byte) (int, error) {
	if w.before != nil {
		if n, err := w.before(p); err != nil || n != 0 {
			w.lines = append(w.lines, string(p[:n]))
			return n, err
		}
	}
	w.lines = append(w.lines, string(p))
	return len(p), nil
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	golden, err := os.ReadFile("../event/testdata/golden/key.added.json")
	if err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, golden); err != nil {
		t.Fatal(err)
	}
	w := &writer{}
	l := &Log{Writer: w}
	sent, err := l.Send(t.Context(), []state.Entry{
		{ID: "jw1-a", Type: "key.added", Endpoint: "corp-idp", Severity: 4, JSON: compact.Bytes()},
		sampleOf(1, "ep", "key.removed", event.SeverityLow, `a "quoted" <kid>`),
	})
	if sent != 2 || err != nil || l.Name() != "log" {
		t.Fatal(sent, err, l.Name())
	}
	want := []string{
		`{"level":"error","time":"2026-11-22T18:49:03.412Z","stream":"event","event":` + compact.String() +
			`,"message":"corp-idp: new RS256 signing key, kid 2026-11-a (seen 2 of 2), between 18:48 and 18:49 UTC; outside the declared window; the new key can sign"}` + "\n",
		`{"level":"info","time":"2026-11-22T18:49:03.412Z","stream":"event","event":` + string(sampleOf(1, "ep", "key.removed", event.SeverityLow, `a "quoted" <kid>`).JSON) +
			`,"message":"a \"quoted\" <kid>"}` + "\n",
	}
	for i := range want {
		if len(w.lines) != 2 || w.lines[i] != want[i] {
			t.Errorf("line %d of %d\n%swant\n%s", i, len(w.lines), w.lines[i], want[i])
		}
	}
}

func TestLogLevels(t *testing.T) {
	t.Parallel()
	for severity, want := range map[event.Severity]string{
		event.SeverityInformational: "info", event.SeverityLow: "info", event.SeverityMedium: "warn",
		event.SeverityHigh: "error", event.SeverityCritical: "error",
	} {
		w := &writer{}
		e := sampleOf(1, "ep", "key.added", severity, "m")
		e.Severity = uint8(event.SeverityCritical) // the filter's, not the event's
		if _, err := (&Log{Writer: w}).Send(t.Context(), []state.Entry{e}); err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(w.lines[0], `{"level":"`+want+`",`) {
			t.Errorf("%s: %s", severity, w.lines[0])
		}
	}
}

// The global level of zerolog is for operations. It is process-wide, so this
// test runs alone.
func TestLogIgnoresGlobalLevel(t *testing.T) {
	before := zerolog.GlobalLevel()
	defer zerolog.SetGlobalLevel(before)
	zerolog.SetGlobalLevel(zerolog.PanicLevel)
	w := &writer{}
	l := &Log{Writer: w}
	e := []state.Entry{sampleOf(1, "ep", "key.added", event.SeverityLow, "m")}
	if sent, err := l.Send(t.Context(), e); sent != 1 || err != nil || len(w.lines) != 1 {
		t.Errorf("sent %d, %v: %q", sent, err, w.lines)
	}
	zerolog.SetGlobalLevel(zerolog.Disabled)
	if sent, err := l.Send(t.Context(), e); sent != 0 || err == nil || errors.Is(err, ErrRejected) {
		t.Errorf("an event vanished: sent %d, %v", sent, err)
	}
}

func TestLogHostileText(t *testing.T) {
	t.Parallel()
	hostile := "a\n{\"level\":\"info\",\"stream\":\"ops\"}\r\n\x1b[2J\x00\u2028\u202e\xff\"}"
	e := sampleOf(1, "ep", "key.added", event.SeverityHigh, hostile)
	w := &writer{}
	if _, err := (&Log{Writer: w}).Send(t.Context(), []state.Entry{e}); err != nil {
		t.Fatal(err)
	}
	line := w.lines[0]
	if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "}\n") || strings.ContainsAny(line, "\r\x1b\x00") {
		t.Errorf("not one clean line: %q", line)
	}
	var parsed struct {
		Stream  string          `json:"stream"`
		Event   json.RawMessage `json:"event"`
		Message string          `json:"message"`
	}
	if err := json.Unmarshal([]byte(line), &parsed); err != nil || parsed.Stream != "event" || string(parsed.Event) != string(e.JSON) {
		t.Errorf("%v: %+v", err, parsed)
	}
	// A line break between members would split the line.
	e.JSON = []byte(strings.Replace(string(e.JSON), ",", ",\n", 1))
	if sent, err := (&Log{Writer: w}).Send(t.Context(), []state.Entry{e}); sent != 0 || !errors.Is(err, ErrRejected) {
		t.Errorf("sent %d, %v", sent, err)
	}
}

func TestLogWriteFails(t *testing.T) {
	t.Parallel()
	entries := samples(4, 1)
	for name, test := range map[string]struct {
		failure func(p []byte) (int, error) // of the first two Writes of the second line
		writes  int
	}{
		"nothing written":  {func([]byte) (int, error) { return 0, io.ErrClosedPipe }, 6},
		"half written":     {func(p []byte) (int, error) { return len(p) / 2, io.ErrClosedPipe }, 6},
		"all but an error": {func(p []byte) (int, error) { return len(p), io.ErrClosedPipe }, 6},
		"short":            {func(p []byte) (int, error) { return len(p) / 2, nil }, 6},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, calls := &writer{}, 0
			w.before = func(p []byte) (int, error) {
				if calls++; calls == 2 || calls == 3 && len(p) > 0 {
					return test.failure(p)
				}
				return 0, nil
			}
			l := &Log{Writer: w}
			for sent := 0; sent < len(entries); {
				n, err := l.Send(t.Context(), entries[sent:])
				if sent += n; err == nil && sent < len(entries) {
					t.Fatalf("sent %d without an error", sent)
				}
			}
			var want string
			clean := &writer{}
			if _, err := (&Log{Writer: clean}).Send(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
			want = strings.Join(clean.lines, "")
			if got := strings.Join(w.lines, ""); got != want {
				t.Errorf("written\n%swant\n%s", got, want)
			}
		})
	}
}

// When the event of a half-written line does not come again, the line is ended
// before the next one begins.
func TestLogEndsBrokenLine(t *testing.T) {
	t.Parallel()
	w, calls := &writer{}, 0
	w.before = func(p []byte) (int, error) {
		if calls++; calls == 1 {
			return 10, io.ErrClosedPipe
		}
		return 0, nil
	}
	l := &Log{Writer: w}
	entries := samples(2, 1)
	if sent, err := l.Send(t.Context(), entries[:1]); sent != 0 || err == nil {
		t.Fatal(sent, err)
	}
	if sent, err := l.Send(t.Context(), entries[1:]); sent != 1 || err != nil {
		t.Fatal(sent, err)
	}
	lines := strings.SplitAfter(strings.Join(w.lines, ""), "\n")
	if len(lines) != 3 || len(lines[0]) != 11 || !json.Valid([]byte(lines[1])) {
		t.Errorf("%q", lines)
	}
}

func TestLogBlockedWriter(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	l := &Log{Writer: w}
	entries := make([]state.Entry, 0, 256)
	for i := range 256 { // more than a pipe holds
		entries = append(entries, sampleOf(i, "ep", "key.added", event.SeverityHigh, strings.Repeat("x", 4000)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	returned := make(chan error, 1)
	go func() {
		_, err := l.Send(ctx, entries)
		returned <- err
	}()
	one := make([]byte, 1)
	if _, err := r.Read(one); err != nil { // it writes
		t.Fatal(err)
	}
	cancel()
	if err := <-returned; !errors.Is(err, context.Canceled) {
		t.Errorf("Send returns %v", err)
	}
	// Once somebody reads, the next Send is in turn and no line is torn.
	lines := make(chan []string, 1)
	go func() {
		b, _ := io.ReadAll(r)
		lines <- strings.Split(strings.TrimSuffix(string(one)+string(b), "\n"), "\n")
	}()
	if sent, err := l.Send(t.Context(), entries); sent != len(entries) || err != nil {
		t.Fatal(sent, err)
	}
	w.Close()
	for _, line := range <-lines {
		if !json.Valid([]byte(line)) {
			t.Fatalf("torn line %.100q", line)
		}
	}
}

func TestLogDelivery(t *testing.T) {
	t.Parallel()
	w, calls := &writer{}, 0
	w.before = func([]byte) (int, error) {
		if calls++; calls%3 == 0 {
			return 0, io.ErrClosedPipe
		}
		return 0, nil
	}
	entries := samples(100, 3)
	d, stop := deliver(t, newJournal(entries...), &Log{Sink: "stdout", Writer: w}, (&ops{}).logger())
	eventually(t, "all is written", func() bool { return d.Stats().Sent == 100 })
	stop()
	ids := 0
	for _, line := range w.lines {
		if line != "" && strings.Contains(line, entries[ids].ID) {
			ids++
		}
	}
	if ids != 100 {
		t.Errorf("%d lines in order, want 100", ids)
	}
}
