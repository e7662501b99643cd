package main

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/configs"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestReloadSaysWhatItDid holds what people are told of a reload, by the command, by
// status and by the metrics: settings that changed, the place of what cannot, that
// the file on disk is refused, and that another file is not the daemon's. A start
// with another file tells what shrank as a reload does.
func TestReloadSaysWhatItDid(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	text := fmt.Sprintf(`state: { path: %s/state.db }
poll: { interval: 1s }
endpoints:
  - { name: idp, jwks_uri: %q, allow_private: true, expect: { keys: 1..3 } }
web: { listen: "127.0.0.1:0" }
observer: { name: soc-1 }
`, dir, url)
	file := write(t, dir, "jwkswatch.yaml", text)
	d := startDaemon(t, file)
	base := "http://" + d.webAddr(t)
	metrics := func(want ...string) {
		t.Helper()
		_, got := fetched(t, base+"/metrics")
		for _, w := range want {
			if !strings.Contains(got, "jwkswatch_config_"+w+"\n") {
				t.Errorf("%s is not in the metrics", w)
			}
		}
	}
	ask := func(code int, want string, args ...string) {
		t.Helper()
		if got := d.ask(t, code, args...); !strings.Contains(got, want) {
			t.Errorf("%v: %q is not in\n%s", args, want, got)
		}
	}
	ask(exitOK, "unchanged", "reload", "-c", file)
	metrics(`reloads_total{outcome="applied"} 0`, `reloads_total{outcome="refused"} 0`, "last_reload_successful 1")
	write(t, dir, "jwkswatch.yaml", strings.Replace(text, "state.db }", "state.db, retain: 500d }", 1))
	ask(exitOK, "settings changed  state.retain", "reload", "-c", file)
	metrics(`reloads_total{outcome="applied"} 1`)

	write(t, dir, "jwkswatch.yaml", strings.Replace(text, "soc-1", "soc-2", 1))
	ask(exitConfig, ":6:19: observer.name cannot change while the daemon runs", "reload", "-c", file)
	ask(exitOK, "the file on disk is refused, the one before goes on: ", "status", "-c", file)
	metrics(`reloads_total{outcome="refused"} 1`, "last_reload_successful 0")
	write(t, dir, "jwkswatch.yaml", strings.Replace(text, "state.db }", "state.db, retain: 500d }", 1))
	ask(exitOK, "unchanged", "reload", "-c", file)
	if got := d.ask(t, exitOK, "status", "-c", file); strings.Contains(got, "on disk") {
		t.Errorf("the file is good again:\n%s", got)
	}
	metrics(`reloads_total{outcome="applied"} 1`, `reloads_total{outcome="refused"} 1`, "last_reload_successful 1")

	other := write(t, dir, "other.yaml", text)
	ask(exitOK, "the daemon reads "+file+": what stands in "+other+" is not used", "reload", "-c", other)
	if got := d.ask(t, exitOK, "reload", "--state", filepath.Join(dir, "state.db")); strings.Contains(got, "not used") {
		t.Errorf("asked by the state:\n%s", got)
	}
	d.stop(t)

	write(t, dir, "jwkswatch.yaml", strings.Replace(text, ", expect: { keys: 1..3 }", "", 1))
	d = startDaemon(t, file)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		var told strings.Builder
		for _, e := range d.printed(t) {
			if e.Data.Event.Type == event.AgentConfigChanged {
				told.WriteString(fmt.Sprintln(e.Data.Event.Severity, e.Data.Event.Message))
			}
		}
		if strings.Contains(told.String(), "medium another configuration is in use (start): 1 endpoints changed, state.retain changed; endpoint idp: expect.keys is loosened") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the start tells %q\n%s", told.String(), d.errs)
		}
	}
	d.stop(t)
}

// TestWithoutAFile holds that a first start is told how to begin.
func TestWithoutAFile(t *testing.T) {
	t.Parallel()
	d := &process{}
	if got := d.ask(t, exitConfig, "run", "-c", filepath.Join(t.TempDir(), "none.yaml")); !strings.Contains(got, "jwkswatch config init prints a first one") {
		t.Errorf("no file: %s", got)
	}
}

// TestTheFileIsNamedWhole holds that a daemon which was given a relative path tells
// where its configuration lies, so that who asks sees that it is the one he means.
func TestTheFileIsNamedWhole(t *testing.T) {
	t.Parallel()
	want, err := filepath.Abs("x.yaml")
	if got := newExchange(nil, "x.yaml", &configs.Config{}).path; err != nil || got != want {
		t.Errorf("%s, want %s (%v)", got, want, err)
	}
}
