package main

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestReloadUnderLoad exchanges the configuration of the real binary again and
// again while issuers change: endpoints come, go and change their interval, and
// what is told of keys is exactly what the issuers did.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	const all, steady = 24, 16 // the rest comes and goes
	dir := t.TempDir()
	issuers := make([]*lab.Issuer, all)
	urls := make([]string, all)
	for i := range issuers {
		issuers[i] = &lab.Issuer{}
		issuers[i].Publish(lab.NewEC("a", "P-256"), lab.NewEC("b", "P-256"))
		url, stop, err := issuers[i].Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		urls[i] = url
	}
	file := dir + "/jwkswatch.yaml"
	configure := func(round int) {
		var b strings.Builder
		fmt.Fprintf(&b, "state: { path: %s/state.db }\npoll: { interval: 1s, max_events: 100000 }\nobserver: { name: soc-1, heartbeat: off }\nendpoints:\n", dir)
		for i := range all {
			interval := "1s"
			if i%4 == 0 && round%2 == 1 {
				interval = "2s"
			}
			if i < steady || round%3 != 0 {
				fmt.Fprintf(&b, "  - { name: idp-%02d, jwks_uri: %q, allow_private: true, interval: %s }\n", i, urls[i], interval)
			}
		}
		// As an editor does it: never half a file.
		if err := os.WriteFile(file+".new", []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	configure(1)
	d := startDaemon(t, file)
	seen := func() map[string]int {
		out := map[string]int{}
		for _, e := range d.logged(t) {
			kid := ""
			if e.Data.Key != nil {
				kid = *e.Data.Key.Kid
			}
			out[fmt.Sprint(e.Data.Endpoint.Name, " ", e.Data.Event.Type, " ", kid)]++
		}
		return out
	}
	await := func(what string, has func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !has(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within 30 s; told %v\n%s", what, seen(), d.errs)
			}
		}
	}
	await("all baselines", func() bool { return len(seen()) == all })
	want := map[string]int{}
	for i := range all {
		want[fmt.Sprintf("idp-%02d baseline.established ", i)] = 1
	}
	for round := range 16 {
		i := round % steady
		switch {
		case round%4 == 3:
			issuers[i].Remove("a")
			want[fmt.Sprintf("idp-%02d key.removed a", i)] = 1
		default:
			kid := fmt.Sprint("k", round)
			issuers[i].Add(lab.NewEC(kid, "P-256"))
			want[fmt.Sprintf("idp-%02d key.added %s", i, kid)] = 1
		}
		configure(round)
		if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond)
	}
	await("every change", func() bool { return len(seen()) >= len(want) })
	time.Sleep(3 * time.Second) // nothing more may come
	if got := seen(); !maps.Equal(got, want) {
		t.Errorf("told\n%v\nwant\n%v", got, want)
	}
	var changed, medium int
	for _, e := range d.printed(t) {
		if e.Data.Event.Type == event.AgentConfigChanged {
			changed++
			if e.Data.Event.Severity == event.SeverityMedium && slices.Contains(e.Data.Event.Reasons, "coverage_shrinks") {
				medium++
			}
		}
	}
	if changed < 10 || medium < 3 || medium == changed {
		t.Errorf("%d changes of the configuration were told, %d of them as shrinking", changed, medium)
	}
	if code := d.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, d.errs)
	}
}

// TestHangupAtAnyTime holds that a hang-up never ends the daemon: not while it opens
// its state, which it is told to log before, and not while it stops.
func TestHangupAtAnyTime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := write(t, dir, "jwkswatch.yaml", fmt.Sprintf(`
state: { path: %s/state.db }
endpoints: [{ name: idp, jwks_uri: "http://127.0.0.1:1/jwks", allow_private: true, headers: { X-Trace: a } }]
sinks: [{ name: log, type: log }]
`, dir))
	d := startDaemon(t, config)
	d.until(t, "the warning before the state is opened", func() bool { return strings.Contains(d.errs.String(), "clear text") })
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-time.After(time.Millisecond):
				_ = d.cmd.Process.Signal(syscall.SIGHUP) // it may be gone
			}
		}
	}()
	d.until(t, "a reload", func() bool { return strings.Contains(d.errs.String(), "loaded again") })
	if code := d.stop(t); code != 0 || !strings.Contains(d.errs.String(), `"stopped"`) {
		t.Errorf("exit code %d\n%s", code, d.errs)
	}
}
