package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestTheAgentSpeaks holds what the real binary says of itself over an orderly
// stop, a kill and a start with another configuration: one chain, each word once.
func TestTheAgentSpeaks(t *testing.T) {
	t.Parallel()
	b := startNATS(t)
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	file := write(t, dir, "jwkswatch.yaml", config(dir, url, b.url))
	said := func(n int) []string {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			if got := short(ofAgent(b.all(t))); len(got) >= n || time.Now().After(deadline) {
				return got
			}
		}
	}
	want := []string{"informational agent.started"}
	d := startDaemon(t, file)
	said(len(want))
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, d.errs)
	}
	want = append(want, "informational agent.checkpoint", "low agent.stopped", "informational agent.started")
	d = startDaemon(t, file)
	said(len(want))
	d.kill()
	want = append(want, "medium agent.stopped", "informational agent.started", "medium agent.config_changed")
	less := strings.Replace(config(dir, url, b.url), "  - { name: stdout, type: log }\n", "", 1)
	d = startDaemon(t, write(t, dir, "jwkswatch.yaml", less))
	said(len(want))
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, d.errs)
	}
	want = append(want, "informational agent.checkpoint", "low agent.stopped")
	if got := said(len(want)); !slices.Equal(got, want) {
		t.Errorf("said\n%q\nwant\n%q", got, want)
	}
	var stream []*event.Event
	for _, e := range b.all(t) {
		if e.Data.Endpoint == nil {
			stream = append(stream, e)
		}
	}
	chained(t, stream)
}
