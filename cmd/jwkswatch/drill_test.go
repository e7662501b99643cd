package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/configs"
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
	go func() { done <- run(ctx, path, c, out, errs) }()
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
