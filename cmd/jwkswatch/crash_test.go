package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// crashing is a daemon that is killed again and again while three issuers
// change.
type crashing struct {
	t    *testing.T
	nats *mortal
	file string // of the configuration
	grow *lab.Issuer
	swap *lab.Issuer
	leak *lab.Issuer

	added, removed, swapped []string
	leaks                   int // openings and closings
	lives                   []*process
}

func newCrashing(t *testing.T) *crashing {
	t.Helper()
	c := &crashing{t: t, nats: startMortal(t), grow: &lab.Issuer{}, swap: &lab.Issuer{}, leak: &lab.Issuer{}}
	dir := t.TempDir()
	var config strings.Builder
	config.WriteString("state: { path: " + dir + "/state.db }\npoll: { interval: 1s, timeout: 5s, max_events: 100000 }\nobserver: { name: soc-1 }\nsinks:\n" +
		"  - { name: stdout, type: log }\n" +
		"  - { name: siem, type: nats, url: \"" + c.nats.url + "\", stream: JWKSWATCH, subject: jwkswatch.v1 }\nendpoints:\n")
	for name, issuer := range map[string]*lab.Issuer{"grow": c.grow, "swap": c.swap, "leak": c.leak} {
		issuer.Publish(lab.NewEC("first", "P-256"))
		url, stop, err := issuer.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		fmt.Fprintf(&config, "  - { name: %s, jwks_uri: %s, allow_private: true }\n", name, url)
	}
	c.file = write(t, dir, "jwkswatch.yaml", config.String())
	return c
}

// change lets every issuer change. What was never seen cannot be told of, so a
// key goes, or is exchanged, only when it was told; what was served for a moment
// between two lives of the daemon is nobody's to know.
func (c *crashing) change(n int, told map[string]int) {
	c.grow.Add(lab.NewEC(fmt.Sprint("g", n), "P-256"))
	c.swap.Add(lab.NewEC(fmt.Sprint("s", n), "P-256"))
	c.added = append(c.added, fmt.Sprint("g", n), fmt.Sprint("s", n))
	for _, kid := range c.added {
		known, gone := told["key.added "+kid] > 0, slices.Contains(c.removed, kid)
		swapped := told["key.mutated "+kid] > 0
		switch {
		case !known || gone:
		case kid[0] == 'g' && len(c.grow.Keys()) > 10:
			c.grow.Remove(kid)
			c.removed = append(c.removed, kid)
		case kid[0] == 's' && !slices.Contains(c.swapped, kid):
			c.swap.Mutate(kid)
			c.swapped = append(c.swapped, kid)
		case swapped && len(c.swap.Keys()) > 20:
			c.swap.Remove(kid)
			c.removed = append(c.removed, kid)
		}
	}
	if told["key.private first"] == c.leaks {
		if c.leaks%2 == 0 {
			c.leak.Leak("first")
		} else {
			c.leak.Publish(c.leak.Keys()...)
		}
		c.leaks++
	}
}

// missing lists what is not told yet.
func (c *crashing) missing(told map[string]int) []string {
	var out []string
	for typ, kids := range map[string][]string{"key.added": c.added, "key.removed": c.removed, "key.mutated": c.swapped} {
		for _, kid := range kids {
			if told[typ+" "+kid] == 0 {
				out = append(out, typ+" "+kid)
			}
		}
	}
	if told["key.private first"] < c.leaks {
		out = append(out, "key.private first")
	}
	return out
}

// begin lets the daemon live until it has its baselines: what came before them
// is no change.
func (c *crashing) begin() {
	c.t.Helper()
	d := startDaemon(c.t, c.file)
	c.lives = append(c.lives, d)
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		told, err := c.told()
		if told["baseline.established"] == 3 {
			break
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("no baselines: %v\n%s", err, d.errs)
		}
	}
	d.kill()
}

// live starts the daemon and kills it within a second or so.
func (c *crashing) live(n int) {
	c.t.Helper()
	d := startDaemon(c.t, c.file)
	c.lives = append(c.lives, d)
	time.Sleep(rand.N(300 * time.Millisecond))
	if n%7 == 3 {
		c.nats.kill()
	}
	told, _ := c.told() // nothing, while the server is down
	c.change(n, told)
	time.Sleep(rand.N(300 * time.Millisecond))
	if n%7 == 3 {
		c.nats.start()
	}
	time.Sleep(rand.N(600 * time.Millisecond))
	if n%5 == 4 { // an endpoint has its own moment in the interval, and short lives may never reach it
		time.Sleep(1200 * time.Millisecond)
	}
	if err := d.cmd.Process.Kill(); err != nil {
		c.t.Fatalf("life %d ended by itself: %v\n%s", n, err, d.errs)
	}
	err := d.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		c.t.Fatalf("life %d ended by itself: %v\n%s", n, err, d.errs)
	}
}

// told counts what the stream tells of endpoints. It fails while the server is
// down.
func (c *crashing) told() (map[string]int, error) {
	if c.nats.cmd.ProcessState != nil {
		return nil, errors.New("the server is down")
	}
	if err := c.nats.follow(); err != nil {
		return nil, err
	}
	told := map[string]int{}
	for _, what := range each(ofEndpoints(c.nats.events)) {
		told[what]++
	}
	return told, nil
}

// TestKill kills the real binary at random moments while issuers change, and now
// and then a real nats-server with it: no change is lost, none has two ids, and
// no chain has a gap. JWKSWATCH_CYCLES sets how many lives.
func TestKill(t *testing.T) {
	t.Parallel()
	cycles := 50
	if testing.Short() {
		cycles = 10
	}
	if n, err := strconv.Atoi(os.Getenv("JWKSWATCH_CYCLES")); err == nil {
		cycles = n
	}
	c := newCrashing(t)
	began := time.Now()
	c.begin()
	for n := range cycles {
		c.live(n)
	}
	last := startDaemon(t, c.file)
	c.lives = append(c.lives, last)
	for deadline := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		told, err := c.told()
		if err == nil && len(c.missing(told)) == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v; never told: %q\n%s", err, c.missing(told), last.errs)
		}
	}
	if code := last.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, last.errs)
	}
	told, err := c.told()
	if err != nil {
		t.Fatal(err)
	}
	c.judge(told)
	// What any life committed and printed is in the stream, octet by octet.
	for n, d := range c.lives {
		for _, e := range d.printedWhole(t) {
			b, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.nats.octets[e.ID], b) {
				t.Errorf("life %d printed another %s %s than the stream holds:\n%s\n%s", n, e.Data.Event.Type, e.ID, b, c.nats.octets[e.ID])
			}
		}
	}
	if !t.Failed() {
		t.Logf("%d kills of the daemon and %d of the broker in %v: %d additions, %d removals, %d substitutions, %d leaks opened or closed; %d events, each told once, %d repeated in the stream with the same octets, 0 gaps",
			cycles, (cycles+3)/7, time.Since(began).Round(time.Second), len(c.added), len(c.removed), len(c.swapped), c.leaks, len(c.nats.events), c.nats.repeated)
	}
	if n := min(len(c.removed), len(c.swapped), c.leaks); cycles >= 50 && n < cycles/20 {
		t.Errorf("%d removals, %d substitutions, %d leaks: too few to hold anything", len(c.removed), len(c.swapped), c.leaks)
	}
}

// judge holds that everything was told once, nothing was told that was not, and
// every chain is whole.
func (c *crashing) judge(has map[string]int) {
	c.t.Helper()
	want := map[string]int{"baseline.established": 3, "key.private first": c.leaks}
	for typ, kids := range map[string][]string{"key.added": c.added, "key.removed": c.removed, "key.mutated": c.swapped} {
		for _, kid := range kids {
			want[typ+" "+kid] = 1
		}
	}
	// How many rotations the removals were depends on which a poll saw together;
	// no key ends two of them.
	ended := map[string]int{}
	for _, e := range c.nats.events {
		if done, ok := e.Data.Details.(*event.RotationCompletedDetails); ok {
			for _, thumbprint := range done.Removed {
				if ended[thumbprint]++; ended[thumbprint] > 1 {
					c.t.Errorf("the rotation that %v ended was told twice", thumbprint)
				}
			}
		}
	}
	delete(has, "rotation.completed")
	for what, n := range want {
		if has[what] != n {
			c.t.Errorf("%s was told %d times, not %d", what, has[what], n)
		}
	}
	for what, n := range has {
		if _, ok := want[what]; !ok {
			c.t.Errorf("%s was told %d times and never was", what, n)
		}
	}
	byStream := map[string][]*event.Event{}
	for _, e := range c.nats.events {
		byStream[e.Data.Integrity.Stream] = append(byStream[e.Data.Integrity.Stream], e)
	}
	if len(byStream) != 4 {
		c.t.Errorf("%d streams", len(byStream))
	}
	for _, list := range byStream {
		chained(c.t, list)
	}
}

// printedWhole is printed without a last line that the kill cut off.
func (d *process) printedWhole(t *testing.T) []*event.Event {
	t.Helper()
	whole := &process{out: &lines{}}
	text := d.out.String()
	_, _ = whole.out.Write([]byte(text[:strings.LastIndexByte(text, '\n')+1]))
	return whole.printed(t)
}
