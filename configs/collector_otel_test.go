package configs_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state"
)

// TestOpenTelemetry runs the shipped configuration: each line of the file sink is one
// log record, whole, with its time and severity, though the collector is killed while
// the other end takes nothing, and the file is rotated while it is down.
func TestOpenTelemetry(t *testing.T) {
	collector, receiver := tool(t, "otelcol"), tool(t, "receiver")
	cert, key := certificate(t)
	dir := t.TempDir()
	events, out, open := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "out.jsonl"), filepath.Join(dir, "open")
	far := start(t, nil, receiver, "-cert", cert, "-key", key, "-out", out, "-open", open)
	eventually(t, far, "it listens", func() bool { return far.hasSaid("\n") })
	config, err := filepath.Abs("otel-collector/jwkswatch.yaml")
	if err != nil {
		t.Fatal(err)
	}
	run := func() *process {
		// Its own metrics would listen on a fixed port. Its time zone is not ours.
		return start(t, []string{
			"JWKSWATCH_EVENTS=" + events, "JWKSWATCH_OTEL_STORAGE=" + filepath.Join(dir, "storage"),
			"JWKSWATCH_OTLP=" + strings.TrimSpace(far.String()), "SSL_CERT_FILE=" + cert, "TZ=America/New_York",
		}, collector, "--config", config, "--config", "yaml:service::telemetry::metrics::level: none")
	}
	sent := feed(t)
	sink := &sinks.File{Sink: "archive", Path: events, MaxSize: 96 << 10, Keep: 10}
	defer func() { _ = sink.Close() }()
	write := func(from, to int) {
		t.Helper()
		if n, err := sink.Send(t.Context(), sent[from:to]); err != nil || n != to-from {
			t.Fatalf("%d of %d are written: %v", n, to-from, err)
		}
	}

	write(0, 30)
	p := run()
	eventually(t, p, "it is turned away", func() bool { return p.hasSaid("Will retry the request") })
	p.stop(t, os.Kill)
	write(30, len(sent)) // some of it into a new file
	if _, err := os.Stat(events + ".1"); err != nil {
		t.Fatalf("the file was not rotated: %v", err)
	}
	save(t, open, nil)
	p = run()
	eventually(t, p, "all have arrived", func() bool { return len(byID(t, out)) >= len(sent) })
	got := byID(t, out)
	for _, e := range sent {
		records := got[e.ID]
		if len(records) == 0 {
			t.Errorf("%s (%s) did not arrive", e.ID, e.Type)
			continue
		}
		checkRecord(t, records[0], decoded(t, e.JSON))
	}

	// While it is not killed, each comes once, though it is ended and started again.
	more := again(t, sent)
	half := len(more) / 2
	for i, part := range [][]state.Entry{more[:half], more[half:]} {
		if n, err := sink.Send(t.Context(), part); err != nil || n != len(part) {
			t.Fatalf("%d are written: %v", n, err)
		}
		if i > 0 {
			p = run()
		}
		eventually(t, p, "the rest has arrived", func() bool { return len(byID(t, out)) >= len(sent)+i*half+len(part) })
		p.stop(t, os.Interrupt)
	}
	got = byID(t, out)
	for _, e := range more {
		if n := len(got[e.ID]); n != 1 {
			t.Errorf("%s arrived %d times", e.ID, n)
		}
	}
}

// record is a log record of OTLP, as much of it as is looked at.
type record struct {
	TimeUnixNano   string  `json:"timeUnixNano"`
	SeverityNumber int     `json:"severityNumber"`
	SeverityText   string  `json:"severityText"`
	Body           value   `json:"body"`
	Attributes     []field `json:"attributes"`
}

type field struct {
	Key   string `json:"key"`
	Value value  `json:"value"`
}

// value is an AnyValue of OTLP in JSON.
type value struct {
	String *string  `json:"stringValue"`
	Bool   *bool    `json:"boolValue"`
	Int    *string  `json:"intValue"`
	Double *float64 `json:"doubleValue"`
	Array  *struct {
		Values []value `json:"values"`
	} `json:"arrayValue"`
	Map *struct {
		Values []field `json:"values"`
	} `json:"kvlistValue"`
}

// plain is the value as encoding/json would have it.
func (v value) plain() any {
	switch {
	case v.String != nil:
		return *v.String
	case v.Bool != nil:
		return *v.Bool
	case v.Int != nil:
		n, err := strconv.ParseFloat(*v.Int, 64)
		if err != nil {
			return *v.Int
		}
		return n
	case v.Double != nil:
		return *v.Double
	case v.Array != nil:
		out := []any{}
		for _, e := range v.Array.Values {
			out = append(out, e.plain())
		}
		return out
	case v.Map != nil:
		out := map[string]any{}
		for _, f := range v.Map.Values {
			out[f.Key] = f.Value.plain()
		}
		return out
	}
	return nil
}

// byID reads what the other end took.
func byID(t *testing.T, path string) map[string][]record {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]record{}
	for line := range bytes.Lines(b) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // still being written
		}
		var request struct {
			ResourceLogs []struct {
				ScopeLogs []struct {
					LogRecords []record `json:"logRecords"`
				} `json:"scopeLogs"`
			} `json:"resourceLogs"`
		}
		if err := json.Unmarshal(line, &request); err != nil {
			t.Fatal(err)
		}
		for _, r := range request.ResourceLogs {
			for _, s := range r.ScopeLogs {
				for _, l := range s.LogRecords {
					body, _ := l.Body.plain().(map[string]any)
					id, _ := body["id"].(string)
					out[id] = append(out[id], l)
				}
			}
		}
	}
	return out
}

func checkRecord(t *testing.T, got record, want map[string]any) {
	t.Helper()
	facts := want["data"].(map[string]any)["event"].(map[string]any)
	typ := facts["type"].(string)
	same(t, typ, got.Body.plain(), any(want))
	at, err := time.Parse(time.RFC3339Nano, want["time"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if got.TimeUnixNano != strconv.FormatInt(at.UnixNano(), 10) {
		t.Errorf("%s: time %s, want %d", typ, got.TimeUnixNano, at.UnixNano())
	}
	// The numbers of the log data model: INFO, WARN, ERROR, FATAL.
	severity := map[string]int{"informational": 9, "low": 9, "medium": 13, "high": 17, "critical": 21}[facts["severity"].(string)]
	if got.SeverityNumber != severity || got.SeverityText != facts["severity"] {
		t.Errorf("%s: severity %d %s, want %d %s", typ, got.SeverityNumber, got.SeverityText, severity, facts["severity"])
	}
	name := ""
	for _, a := range got.Attributes {
		if a.Key == "event.name" && a.Value.String != nil {
			name = *a.Value.String
		}
	}
	if name != typ {
		t.Errorf("%s: event.name %q", typ, name)
	}
}
