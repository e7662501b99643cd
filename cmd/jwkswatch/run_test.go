package main

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

func config(dir, url, nats string) string {
	return fmt.Sprintf(`
state: { path: %s/state.db }
poll: { interval: 1s, timeout: 5s, max_events: 100000 } # every change is counted
endpoints:
  - name: corp-idp
    jwks_uri: %s
    allow_private: true
    labels: { env: test }
sinks:
  - { name: stdout, type: log }
  - { name: siem, type: nats, url: "%s", stream: JWKSWATCH, subject: jwkswatch.v1 }
observer: { name: soc-1 }
`, dir, url, nats)
}

// TestRunPublishesEachChangeOnce drives the real binary against a local issuer
// and a real nats-server process: each change once, in the contract's time.
func TestRunPublishesEachChangeOnce(t *testing.T) {
	t.Parallel()
	b := startNATS(t)
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"), lab.NewEC("b", "P-256"), lab.NewRSA("r", 2048))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", config(dir, url, b.url)))
	arrives := func(n int, within time.Duration) {
		t.Helper()
		deadline := time.Now().Add(within)
		for len(b.published(t)) < n {
			if time.Now().After(deadline) {
				t.Fatalf("event %d is not in NATS after %v; there are %q\nops:\n%s", n, within, short(b.published(t)), d.errs)
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
	arrives(1, 20*time.Second) // the process has to start
	want := []string{"informational baseline.established"}
	for _, step := range []struct {
		do   func()
		want []string
	}{
		{func() { issuer.Add(lab.NewEC("c", "P-256")) }, []string{"low key.added c"}},
		{func() { issuer.Remove("a") }, []string{"informational key.removed a", "informational rotation.completed"}},
		{func() { issuer.Mutate("b") }, []string{"critical key.mutated b"}},
		{func() { issuer.Relabel("c", "c2") }, []string{"medium key.relabelled c2"}},
		{func() { issuer.Alter("r", "alg", "PS256") }, []string{"high key.altered r"}},
		{func() { issuer.Alter("r", "use", "enc") }, []string{"high key.altered r"}},
		{func() { issuer.Drop("r", "alg") }, []string{"low key.altered r"}},
	} {
		step.do()
		want = append(want, step.want...)
		// Two intervals, five seconds, and some for a busy machine.
		arrives(len(want), 2*time.Second+5*time.Second+3*time.Second)
	}
	time.Sleep(3 * time.Second)
	if got := short(b.published(t)); !slices.Equal(got, want) {
		t.Errorf("NATS holds\n%q\nwant\n%q", got, want)
	}
	if code := d.stop(t); code != 0 {
		t.Errorf("SIGTERM: exit code %d\n%s", code, d.errs)
	}
	if got := short(d.logged(t)); !slices.Equal(got, want) {
		t.Errorf("the log holds\n%q\nwant\n%q", got, want)
	}
	for line := range strings.Lines(d.errs.String()) {
		if !strings.HasPrefix(line, `{"level":`) || !strings.Contains(line, `"stream":"ops"`) {
			t.Errorf("an operational line that is no JSON of the stream ops: %q", line)
		}
	}
}

// TestRunWithoutNATS starts while the broker is away: the daemon watches, and
// delivers when it comes.
func TestRunWithoutNATS(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", config(dir, url, "nats://127.0.0.1:1")))
	deadline := time.Now().Add(patience)
	for len(d.logged(t)) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("no baseline while NATS is away\n%s", d.errs)
		}
		time.Sleep(50 * time.Millisecond)
	}
	if code := d.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, d.errs)
	}
	b := startNATS(t)
	d = startDaemon(t, write(t, dir, "jwkswatch.yaml", config(dir, url, b.url)))
	for deadline = time.Now().Add(patience); len(b.published(t)) == 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the baseline never reached NATS\n%s", d.errs)
		}
	}
	if got := short(b.published(t)); !slices.Equal(got, []string{"informational baseline.established"}) {
		t.Errorf("NATS holds %q", got)
	}
	d.stop(t)
}

// each names what was told of each key: after many short lives of the daemon a
// step may hold so many additions that they are rolled up into one event.
func each(events []*event.Event) []string {
	out := []string{}
	for _, e := range events {
		keys := e.Data.Keys
		if e.Data.Key != nil {
			keys = append(keys, *e.Data.Key)
		}
		for _, k := range keys {
			out = append(out, string(e.Data.Event.Type)+" "+*k.Kid)
		}
		if len(keys) == 0 {
			out = append(out, string(e.Data.Event.Type))
		}
	}
	return out
}

func count(list []string, part string) int {
	n := 0
	for _, s := range list {
		if strings.HasSuffix(s, part) {
			n++
		}
	}
	return n
}

// chained holds that the events are one unbroken chain, in order.
func chained(t *testing.T, events []*event.Event) {
	t.Helper()
	previous := ""
	for i, e := range events {
		in := e.Data.Integrity
		has := ""
		if in.Previous != nil {
			has = *in.Previous
		}
		if has != previous || in.Sequence != uint64(i+1) {
			t.Fatalf("event %d (%s) has sequence %d and follows %q, want %q", i+1, e.Data.Event.Type, in.Sequence, has, previous)
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		sum, err := event.Hash(b)
		if err != nil {
			t.Fatal(err)
		}
		previous = fmt.Sprintf("sha256:%x", sum)
	}
}

// TestOneSignalTwice holds that timeout(1) ends the daemon in order: it signals the
// process, and then the group in which the process is.
func TestOneSignalTwice(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", `
state: { path: ./state.db }
endpoints:
  - { name: corp-idp, jwks_uri: "http://127.0.0.1:1/keys", allow_private: true }
`))
	for deadline := time.Now().Add(30 * time.Second); len(d.printed(t)) == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(d.errs)
		}
	}
	for range 5 { // far below a second: all of it is one signal
		if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	if code := d.stop(t); code != 0 || !strings.Contains(d.errs.String(), `"message":"stopped"`) {
		t.Errorf("exit code %d\n%s", code, d.errs)
	}
}
