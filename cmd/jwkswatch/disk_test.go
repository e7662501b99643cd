package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// patience is how long a test waits for what the daemon does within seconds,
// when the machine has other things to do.
const patience = 60 * time.Second

// ailing is a daemon whose state lies on a disk that will fail. Issuer a
// changes, issuer b stands still: its polls must not notice.
type ailing struct {
	*process
	t    *testing.T
	dir  string // of the state
	file string // of the configuration
	base string // of the web listener
	a, b *lab.Issuer
	kids []string // that a added
}

func newAiling(t *testing.T, dir string) *ailing {
	t.Helper()
	h := &ailing{t: t, dir: dir, a: &lab.Issuer{}, b: &lab.Issuer{}}
	var config strings.Builder
	config.WriteString("state: { path: " + dir + "/state.db }\npoll: { interval: 1s, max_events: 100000 }\nweb: { listen: \"127.0.0.1:0\" }\nendpoints:\n")
	for name, issuer := range map[string]*lab.Issuer{"a": h.a, "b": h.b} {
		issuer.Publish(lab.NewEC("first", "P-256"))
		url, stop, err := issuer.Start()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		fmt.Fprintf(&config, "  - { name: %s, jwks_uri: %s, allow_private: true }\n", name, url)
	}
	h.file = write(t, t.TempDir(), "jwkswatch.yaml", config.String())
	h.start()
	h.until("two baselines", func() bool { return count(short(h.logged(t)), "baseline.established") == 2 })
	return h
}

func (h *ailing) start() {
	h.t.Helper()
	h.process = startDaemon(h.t, h.file)
	h.base = "http://" + h.webAddr(h.t)
}

func (h *ailing) until(what string, is func() bool) {
	h.t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			ops := h.errs.String()
			h.t.Fatalf("still not: %s\ntold: %q\n…%s", what, short(h.printed(h.t)), ops[max(0, len(ops)-4000):])
		}
	}
}

// add lets the issuer publish one more key.
func (h *ailing) add() {
	kid := fmt.Sprint("k", len(h.kids))
	h.a.Add(lab.NewEC(kid, "P-256"))
	h.kids = append(h.kids, kid)
}

func (h *ailing) metric(line string) bool {
	_, text := fetched(h.t, h.base+"/metrics")
	return strings.Contains(text, "\n"+line+"\n")
}

// notices waits until the daemon says that it cannot write, and holds that it
// says so everywhere but in the journal, and goes on polling.
func (h *ailing) notices() {
	h.t.Helper()
	h.until("the trouble is in the metrics", func() bool { return h.metric(`jwkswatch_degraded{code="state_unwritable"} 1`) })
	h.until("the trouble is in the log", func() bool {
		return strings.Contains(h.errs.String(), `"type":"agent.degraded","code":"state_unwritable"`)
	})
	if h.metric("jwkswatch_store_errors_total 0") {
		h.t.Error("no error of the store was counted")
	}
	if code, _ := fetched(h.t, h.base+"/livez"); code != 200 {
		h.t.Errorf("/livez answers %d: a restart would mend nothing", code)
	}
	h.until("not ready", func() bool { code, _ := fetched(h.t, h.base+"/readyz"); return code == 503 })
	a, b := h.a.Count(), h.b.Count()
	h.until("polls go on", func() bool { return h.a.Count() >= a+3 && h.b.Count() >= b+3 })
	if slices.Contains(each(h.logged(h.t)), "key.added "+h.kids[len(h.kids)-1]) {
		h.t.Error("what was not stored was told")
	}
}

// recovers holds that the same process tells everything once when it can.
func (h *ailing) recovers() {
	h.t.Helper()
	h.add()
	h.until("all is told", func() bool {
		return !slices.ContainsFunc(h.kids, func(kid string) bool { return count(each(h.logged(h.t)), "key.added "+kid) == 0 })
	})
	h.until("the trouble is told, and its end", func() bool {
		n := 0
		for _, e := range ofAgent(h.printed(h.t)) {
			if d, ok := e.Data.Details.(*event.AgentDegradedDetails); ok && d.Code == "state_unwritable" {
				n++
			}
		}
		return n == 2
	})
	h.until("ready", func() bool {
		code, _ := fetched(h.t, h.base+"/readyz")
		return code == 200 && h.metric(`jwkswatch_degraded{code="state_unwritable"} 0`)
	})
	h.once(h.printed(h.t))
	if code := h.stop(h.t); code != 0 {
		h.t.Errorf("exit code %d\n%s", code, h.errs)
	}
}

// once holds that each key was told once, and that each chain is whole.
func (h *ailing) once(events []*event.Event) {
	h.t.Helper()
	for _, kid := range h.kids {
		if n := count(each(ofEndpoints(events)), "key.added "+kid); n != 1 {
			h.t.Errorf("key.added %s was told %d times", kid, n)
		}
	}
	for _, e := range events {
		if e.Data.Event.Type == event.KeyRemoved || e.Data.Event.Type == event.EndpointUnreachable {
			h.t.Errorf("told, and never was: %s", named(e))
		}
	}
	byStream := map[string][]*event.Event{}
	for _, e := range events {
		byStream[e.Data.Integrity.Stream] = append(byStream[e.Data.Integrity.Stream], e)
	}
	for _, list := range byStream {
		chained(h.t, list)
	}
}

// small mounts a small file system in memory, or skips the test.
func small(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("no file system can be mounted here (%v: %s); a limit of the file's size stands for it in state/bolt, TestFullDisk", err, bytes.TrimSpace(out))
	}
	t.Cleanup(func() { _ = exec.Command("umount", "-l", dir).Run() })
	return dir
}

// TestDiskFull fills a real file system under the real binary and empties it
// again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := small(t)
	h := newAiling(t, dir)
	ballast, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer ballast.Close()
	if _, err := io.Copy(ballast, endless{}); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("the file system is not full: %v", err)
	}
	// What is free within the file takes some steps yet.
	h.until("a step is not stored", func() bool {
		h.add()
		time.Sleep(time.Second)
		return strings.Contains(h.errs.String(), "no space left on device")
	})
	h.add()
	h.notices()
	if err := ballast.Truncate(0); err != nil {
		t.Fatal(err)
	}
	h.recovers()
}

type endless struct{}

func (endless) Read(b []byte) (int, error) { return len(b), nil }

// TestDiskReadOnly starts over a file system that takes no writes: the daemon
// says so and ends, and does not watch without a memory.
func TestDiskReadOnly(t *testing.T) {
	t.Parallel()
	dir := small(t)
	h := newAiling(t, dir)
	h.stop(t)
	for _, how := range []string{"ro", "rw"} {
		if out, err := exec.Command("mount", "-o", "remount,"+how, dir).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		if how == "rw" {
			continue
		}
		d := startDaemon(t, h.file)
		if err := d.cmd.Wait(); err == nil || d.cmd.ProcessState.ExitCode() != exitFailed {
			t.Errorf("ended with %v", err)
		}
		if said := d.errs.String(); !strings.Contains(said, "read-only file system") || !strings.Contains(said, "state.db") {
			t.Errorf("it says %q", said)
		}
	}
	h.start()
	h.add()
	h.until("the change is told", func() bool { return count(each(h.logged(t)), "key.added k0") == 1 })
	h.stop(t)
}

// fault makes the kernel refuse calls of a running process on its state, until
// mend is called.
func (h *ailing) fault(inject string) (mend func()) {
	h.t.Helper()
	if runtime.GOOS != "linux" {
		h.t.Skip("only Linux has strace")
	}
	path, err := exec.LookPath("strace")
	if err != nil {
		h.t.Skip("strace is not installed: no single write can be made to fail")
	}
	name, _, _ := strings.Cut(inject, ":")
	cmd := exec.Command(path, "-f", "-p", fmt.Sprint(h.cmd.Process.Pid), "-o", os.DevNull, "-P", filepath.Join(h.dir, "state.db"),
		"-e", "trace="+name, "-e", "inject="+inject)
	var said lines
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		h.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for !strings.Contains(said.String(), " attached") {
		select {
		case err := <-ended:
			h.t.Skipf("strace may not trace here (%v): %s", err, said.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
	mend = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // it lets go of the process
		<-ended
	})
	h.t.Cleanup(mend)
	return mend
}

// TestDiskRefusesWrites has every write fail for a while: a failing disk, and
// one that the kernel made read-only under a running process.
func TestDiskRefusesWrites(t *testing.T) {
	t.Parallel()
	h := newAiling(t, t.TempDir())
	mend := h.fault("pwrite64:error=EIO")
	h.add()
	h.notices()
	mend()
	mend = h.fault("pwrite64:error=EROFS")
	h.add()
	h.until("the cause is named", func() bool { return strings.Contains(h.errs.String(), "read-only file system") })
	mend()
	h.recovers()
}

// TestDiskIsSlow lets every sync take more than a second: what changes waits
// for it, what does not is polled as ever.
func TestDiskIsSlow(t *testing.T) {
	t.Parallel()
	h := newAiling(t, t.TempDir())
	defer h.fault("fdatasync:delay_enter=1200000")()
	b := h.b.Count()
	h.add()
	h.until("the change is told", func() bool { return count(each(h.logged(t)), "key.added k0") == 1 })
	if n := h.b.Count(); n < b+3 {
		t.Errorf("the other was polled %d times meanwhile", n-b)
	}
	h.once(h.printed(t))
	if text := h.errs.String(); strings.Contains(text, "not stored") {
		t.Errorf("slow is no error:\n%s", text)
	}
}

// TestDiskFailsToSync lets one fsync fail. The process ends and says why: a
// second fsync would succeed without what the first one dropped. The next
// process finds what is on the disk, and tells everything once.
func TestDiskFailsToSync(t *testing.T) {
	t.Parallel()
	for _, when := range []int{1, 2} { // of the pages, and of the root
		t.Run(fmt.Sprint(when), func(t *testing.T) {
			t.Parallel()
			h := newAiling(t, t.TempDir())
			mend := h.fault(fmt.Sprintf("fdatasync:error=EIO:when=%d+", when))
			h.add()
			ended := make(chan error, 1)
			go func() { ended <- h.cmd.Wait() }()
			select {
			case <-ended:
			case <-time.After(patience):
				t.Fatalf("it goes on\n%s", h.errs)
			}
			mend()
			if code := h.cmd.ProcessState.ExitCode(); code != exitFailed {
				t.Errorf("exit code %d", code)
			}
			last := strings.Split(strings.TrimSpace(h.errs.String()), "\n")
			if said := last[len(last)-1]; !strings.HasPrefix(said, "jwkswatch: the state is not written any more: ") || !strings.Contains(said, "input/output error") {
				t.Errorf("its last word is %q", said)
			}
			before := h.printed(t)
			h.start()
			h.until("the change is told", func() bool { return count(each(ofEndpoints(merged(t, before, h.printed(t)))), "key.added k0") == 1 })
			h.once(merged(t, before, h.printed(t)))
			h.stop(t)
		})
	}
}

// merged puts together what several lives of the daemon printed. The log may
// repeat an event after a crash, but never with other content.
func merged(t *testing.T, lives ...[]*event.Event) []*event.Event {
	t.Helper()
	var out []*event.Event
	seen := map[string]string{}
	for _, e := range slices.Concat(lives...) {
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		if has, ok := seen[e.ID]; ok {
			if has != string(b) {
				t.Errorf("id %s stands for two events:\n%s\n%s", e.ID, has, b)
			}
			continue
		}
		seen[e.ID] = string(b)
		out = append(out, e)
	}
	return out
}
