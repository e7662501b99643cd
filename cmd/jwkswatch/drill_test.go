package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state"
)

// TestScheduledDrills runs the daemon with drills by schedule: one that arrives is
// told, and one that does not is told by the sinks that work. The schedule is set
// below what a configuration may say, or the test would take minutes.
func TestScheduledDrills(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "jwkswatch.yaml", "state: { path: "+dir+"/state.db }\nendpoints: [{ name: idp, jwks_uri: 'https://idp.invalid/jwks' }]\n"+
		"sinks: [{ name: stdout, type: log }, { name: gone, type: file, path: none/events.jsonl }]\nobserver: { heartbeat: off }\n")
	c, err := configs.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	c.Drill.Every = time.Second
	out, errs := &lines{}, &lines{}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx, path, c, nil, out, errs) }()
	await := func(what string) {
		t.Helper()
		for deadline := time.Now().Add(90 * time.Second); !strings.Contains(out.String(), what); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no %s in\n%s\n%s", what, out, errs)
			}
		}
	}
	await(`"type":"drill.failed"`) // after the time that a drill may take
	if err := os.Mkdir(filepath.Join(dir, "none"), 0o755); err != nil {
		t.Fatal(err)
	}
	await(`"type":"drill.passed"`)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(out.String(), "an alert would not have arrived at gone") || !strings.Contains(out.String(), `"scheduled":true`) {
		t.Errorf("told %s", out)
	}
}

// TestDrillOfADeadSink sends a drill while one sink cannot take it: the command fails
// in time, and says of each sink how long it took by itself, not how long the dead one
// was waited for.
func TestDrillOfADeadSink(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "jwkswatch.yaml", "state: { path: "+dir+"/state.db }\nendpoints: [{ name: idp, jwks_uri: 'https://idp.invalid/jwks' }]\n"+
		"sinks: [{ name: dead, type: file, path: none/events.jsonl }, { name: stdout, type: log }]\nobserver: { heartbeat: 1s }\n")
	d := startDaemon(t, path)
	d.until(t, "it watches", func() bool { return strings.Contains(d.out.String(), "agent.started") })
	var r control.DrillResult
	if err := json.Unmarshal([]byte(d.ask(t, exitFailed, "drill", "-c", path, "--timeout", "2s", "-o", "json")), &r); err != nil {
		t.Fatal(err)
	}
	if len(r.Sinks) != 2 || r.Sinks[0].Outcome != control.Pending || r.Sinks[0].Error == nil || r.Sinks[1].Outcome != control.Delivered || *r.Sinks[1].LatencyMS > 900 {
		t.Errorf("%+v", r)
	}
	d.stop(t)
}

// TestDrillCutShort stops an agent whose drill is under way: nobody knows what would
// have become of it, so nothing is told.
func TestDrillCutShort(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := write(t, dir, "jwkswatch.yaml", "state: { path: "+dir+"/state.db }\nendpoints: [{ name: idp, jwks_uri: 'https://idp.invalid/jwks' }]\n"+
		"drill: { every: 24h }\nsinks: [{ name: stdout, type: log }, { name: dead, type: file, path: none/events.jsonl }]\nobserver: { heartbeat: off }\n")
	d := startDaemon(t, path)
	d.until(t, "the first drill comes at once", func() bool { return strings.Contains(d.out.String(), `"drill":true`) })
	d.stop(t)
	if got := d.out.String(); strings.Contains(got, "drill.failed") || !strings.Contains(got, "agent.stopped") {
		t.Errorf("told %s", got)
	}
}

// away is a sink that takes nothing.
type away struct{}

func (away) Name() string { return "away" }

func (away) Send(context.Context, []state.Entry) (int, error) { return 0, errors.New("away") }

// TestDrillLeftBehind sends a drill to a sink that is away for so long that its oldest
// events are left behind, the drill among them: its cursor is beyond it, and yet it never
// arrived.
func TestDrillLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := wired(t, dir, write(t, dir, "jwkswatch.yaml", fmt.Sprintf(wiring, dir)))
	if err := d.begin(t.Context(), d.exchange.current()); err != nil {
		t.Fatal(err)
	}
	d.post.run([]*courier{{
		Delivery: &sinks.Delivery{
			Store: d.db, Sink: away{}, From: sinks.FromBeginning, MaxBacklog: 4, Pace: time.Millisecond, Lost: d.post.lost,
			Backoff: sinks.Backoff{Min: time.Millisecond, Max: 5 * time.Millisecond}, Drain: time.Millisecond, Log: zerolog.Nop(),
		},
		config: configs.Sink{Name: "away", Type: configs.TypeFile}, close: func() error { return nil }, done: make(chan struct{}),
	}})
	defer func() {
		if err := d.post.end(); err != nil {
			t.Error(err)
		}
	}()
	done := make(chan control.DrillResult, 1)
	go func() {
		r, err := d.drill(t.Context(), "idp", "key-mutated", 30*time.Second, false)
		if err != nil {
			t.Error(err)
		}
		done <- r
	}()
	for {
		select {
		case r := <-done:
			if len(r.Sinks) != 1 || r.Sinks[0].Outcome != control.Pending || r.Sinks[0].Error == nil || !strings.Contains(*r.Sinks[0].Error, "left behind") {
				t.Errorf("%+v", r.Sinks)
			}
			return
		case <-time.After(10 * time.Millisecond): // one event more that it does not take
			if err := d.voice.Drilled(t.Context(), time.Now(), event.DrillDetails{Sinks: []event.DrillOutcome{}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestScenariosAgree holds the scenarios that may be configured against those there are.
func TestScenariosAgree(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range agent.Scenarios() {
		path := write(t, dir, "jwkswatch.yaml", "endpoints: [{ name: idp, jwks_uri: 'https://idp.invalid/jwks' }]\ndrill: { every: 1h, scenario: "+name+" }\n")
		if c, err := configs.Load(path); err != nil || c.Drill.Scenario != name {
			t.Errorf("%s: %v", name, err)
		}
	}
	var schema struct {
		Properties struct {
			Drill struct {
				Properties struct {
					Scenario struct{ AnyOf []struct{ Enum []string } }
				}
			}
		}
	}
	if err := json.Unmarshal(configs.Schema(), &schema); err != nil {
		t.Fatal(err)
	}
	if got := schema.Properties.Drill.Properties.Scenario.AnyOf[0].Enum; !slices.Equal(got, agent.Scenarios()) {
		t.Errorf("%q may be configured, and there are %q", got, agent.Scenarios())
	}
}
