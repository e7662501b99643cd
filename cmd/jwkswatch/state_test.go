package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// lived is a folder in which an agent has watched, and what it left at three
// times: with the key a; with a and b; and another agent's, elsewhere.
type lived struct {
	issuer             *lab.Issuer
	url                string
	old, newest, other []byte // the state files
	oldAnchor, anchor  []byte
}

func stateConfig(dir, url string) string {
	return fmt.Sprintf(`
state: { path: "%[1]s/state.db" }
poll: { interval: 1s, timeout: 5s }
endpoints:
  - { name: corp-idp, jwks_uri: "%[2]s", allow_private: true }
sinks:
  - { name: stdout, type: log }
  - { name: archive, type: file, path: "%[1]s/events.jsonl" }
`, dir, url)
}

// watched runs the real binary until it has told what is wanted, and ends it.
func watched(t *testing.T, dir, url string, want ...string) *process {
	t.Helper()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", stateConfig(dir, url)))
	deadline := time.Now().Add(patience)
	for {
		var told []string
		for _, e := range d.printed(t) {
			told = append(told, string(e.Data.Event.Type))
		}
		if !slices.ContainsFunc(want, func(w string) bool { return !slices.Contains(told, w) }) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("told %q, want %q\n%s", told, want, d.errs)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if code := d.stop(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, d.errs)
	}
	return d
}

func live(t *testing.T) lived {
	t.Helper()
	l := lived{issuer: &lab.Issuer{}}
	l.issuer.Publish(lab.NewEC("a", "P-256"))
	var stop func()
	var err error
	if l.url, stop, err = l.issuer.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	file := func(dir, name string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	dir, elsewhere := t.TempDir(), t.TempDir()
	d := watched(t, dir, l.url, "baseline.established")
	for _, e := range ofAgent(d.printed(t)) {
		if strings.HasPrefix(string(e.Data.Event.Type), "agent.state_") {
			t.Errorf("the first start tells %s", e.Data.Event.Message)
		}
	}
	if strings.Contains(d.errs.String(), "anchor") {
		t.Errorf("the first start warns:\n%s", d.errs)
	}
	l.old, l.oldAnchor = file(dir, "state.db"), file(dir, "state.db.anchor")
	l.issuer.Add(lab.NewEC("b", "P-256"))
	watched(t, dir, l.url, "key.added")
	l.newest, l.anchor = file(dir, "state.db"), file(dir, "state.db.anchor")
	watched(t, elsewhere, l.url, "baseline.established")
	l.other = file(elsewhere, "state.db")
	l.issuer.Add(lab.NewEC("c", "P-256")) // while nobody watches
	return l
}

// lay lays out a folder: file names and content.
func (l lived) lay(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, b := range files {
		write(t, dir, name, string(b))
	}
	return dir
}

const keptOld, keptNew = "state.db.backup-20261101T030000Z", "state.db.backup-20261102T030000Z"

// TestState runs what shares a history.
func TestState(t *testing.T) {
	t.Parallel()
	l := live(t)
	t.Run("reasons", l.testReasons)
	t.Run("restore", l.testRestore)
	t.Run("looking", l.testLooking)
	t.Run("backup", l.testBackup)
}

// testReasons holds every reason of agent.state_lost and
// agent.state_restored with the real binary: what was done to the file, what is
// told, once and in every sink, and that what stood there is kept.
func (l lived) testReasons(t *testing.T) {
	t.Parallel()
	damaged := slices.Clone(l.newest)
	for at := 2 * 4096; at < len(damaged); at += 3 * 4096 {
		clear(damaged[at : at+4096])
	}
	const added = "key.added"
	for name, c := range map[string]struct {
		files map[string][]byte
		told  string // type and reason
		also  string // what the same run tells: the change that nobody saw, or a baseline
		aside string // prefix of the name of the file that is kept
	}{
		"gone":                   {map[string][]byte{"state.db.anchor": l.anchor}, "agent.state_lost lost", "baseline.established", ""},
		"gone, with a backup":    {map[string][]byte{"state.db.anchor": l.anchor, keptOld: l.old}, "agent.state_restored lost", added, ""},
		"gone, anchor damaged":   {map[string][]byte{"state.db.anchor": []byte("{")}, "agent.state_lost lost", "baseline.established", ""},
		"cut to nothing":         {map[string][]byte{"state.db.anchor": l.anchor, "state.db": {}}, "agent.state_lost damaged", "baseline.established", "state.db.damaged-"},
		"damaged":                {map[string][]byte{"state.db.anchor": l.anchor, "state.db": damaged}, "agent.state_lost damaged", "baseline.established", "state.db.damaged-"},
		"damaged, no anchor":     {map[string][]byte{"state.db": damaged}, "agent.state_lost damaged", "baseline.established", "state.db.damaged-"},
		"damaged, with a backup": {map[string][]byte{"state.db.anchor": l.anchor, "state.db": damaged, keptOld: l.old}, "agent.state_restored damaged", added, "state.db.damaged-"},
		"newest backup damaged":  {map[string][]byte{"state.db.anchor": l.anchor, "state.db": damaged, keptOld: l.old, keptNew: damaged}, "agent.state_restored damaged", added, "state.db.damaged-"},
		"backup of another":      {map[string][]byte{"state.db.anchor": l.anchor, keptNew: l.other}, "agent.state_lost lost", "baseline.established", ""},
		"older":                  {map[string][]byte{"state.db.anchor": l.anchor, "state.db": l.old}, "agent.state_lost older", added, ""},
		"foreign":                {map[string][]byte{"state.db.anchor": l.anchor, "state.db": l.other}, "agent.state_lost foreign", "baseline.established", "state.db.foreign-"},
		"foreign, with a backup": {map[string][]byte{"state.db.anchor": l.anchor, "state.db": l.other, keptOld: l.old}, "agent.state_restored foreign", added, "state.db.foreign-"},
		"no anchor":              {map[string][]byte{"state.db": l.newest}, "", added, ""},
		"both deleted":           {map[string][]byte{keptOld: l.old}, "", "baseline.established", ""},
		"as it was":              {map[string][]byte{"state.db.anchor": l.anchor, "state.db": l.newest}, "", added, ""},
		"newer than the anchor":  {map[string][]byte{"state.db.anchor": l.oldAnchor, "state.db": l.newest}, "", added, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := l.lay(t, c.files)
			d := watched(t, dir, l.url, c.also)
			if got := lossTold(d.printed(t)); got != c.told {
				t.Errorf("told %q, want %q\n%s", got, c.told, d.errs)
			}
			archive, err := os.ReadFile(filepath.Join(dir, "events.jsonl"))
			if err != nil || strings.Contains(string(archive), "agent.state_") != (c.told != "") {
				t.Errorf("the second sink has something else (%v):\n%s", err, archive)
			}
			kept, err := filepath.Glob(filepath.Join(dir, "state.db.*-2*"))
			if err != nil {
				t.Fatal(err)
			}
			kept = slices.DeleteFunc(kept, func(s string) bool { return strings.Contains(s, ".backup-") })
			switch {
			case c.aside == "" && len(kept) > 0:
				t.Errorf("moved aside: %q", kept)
			case c.aside != "" && (len(kept) != 1 || !strings.HasPrefix(filepath.Base(kept[0]), c.aside)):
				t.Errorf("moved aside: %q, want %s…", kept, c.aside)
			case c.aside != "":
				if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, c.files["state.db"]) {
					t.Errorf("what was moved aside is not what stood there (%v)", err)
				}
			}
			if again := watched(t, dir, l.url, "agent.started"); lossTold(again.printed(t)) != "" {
				t.Errorf("the next start tells %q again", lossTold(again.printed(t)))
			}
		})
	}
}

// lossTold is type and reason of what is told of the state, "" when nothing is.
func lossTold(list []*event.Event) string {
	var told []string
	for _, e := range list {
		if d, ok := e.Data.Details.(*event.AgentStateDetails); ok {
			told = append(told, string(e.Data.Event.Type)+" "+d.Reason)
		}
	}
	return strings.Join(told, ", ")
}

// testRestore holds that a backup takes the place of the state by command: not
// while a daemon runs, not when it is damaged, and told by the next run.
func (l lived) testRestore(t *testing.T) {
	t.Parallel()
	dir := l.lay(t, map[string][]byte{"state.db.anchor": l.anchor, "state.db": l.newest, keptOld: l.old, keptNew: l.old[:len(l.old)/2]})
	restore := func(name string) (int, string) {
		t.Helper()
		out, err := exec.Command(built(t), "restore", "-c", filepath.Join(dir, "jwkswatch.yaml"), filepath.Join(dir, name)).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode(), string(out)
		} else if err != nil {
			t.Fatal(err)
		}
		return 0, string(out)
	}
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", stateConfig(dir, l.url)))
	for deadline := time.Now().Add(patience); len(d.printed(t)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(d.errs)
		}
	}
	if code, text := restore(keptOld); code != exitFailed || !strings.Contains(text, "stop the daemon first") {
		t.Errorf("while a daemon runs: %d %s", code, text)
	}
	if code := d.stop(t); code != 0 {
		t.Fatal(code)
	}
	before, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{keptNew, "none", "jwkswatch.yaml"} {
		if code, text := restore(bad); code != exitBlind || strings.Contains(text, "the state itself") {
			t.Errorf("%s: %d %s", bad, code, text)
		}
	}
	if now, err := os.ReadFile(filepath.Join(dir, "state.db")); err != nil || !bytes.Equal(now, before) {
		t.Errorf("a refused backup has touched the state (%v)", err)
	}
	code, text := restore(keptOld)
	if code != 0 {
		t.Fatalf("%d %s", code, text)
	}
	aside, err := filepath.Glob(filepath.Join(dir, "state.db.replaced-*"))
	if err != nil || len(aside) != 1 {
		t.Fatalf("aside: %q (%v)", aside, err)
	}
	if b, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(b, before) {
		t.Errorf("what stood there is not kept (%v)", err)
	}
	again := watched(t, dir, l.url, "key.added")
	if told := lossTold(again.printed(t)); told != "agent.state_restored command" {
		t.Errorf("told %q\n%s", told, again.errs)
	}
	epochs := map[string]bool{}
	for _, e := range append(d.printed(t), again.printed(t)...) {
		epochs[e.Data.Integrity.Epoch] = true
	}
	if len(epochs) != 2 {
		t.Errorf("epochs %v: the restored state must have a new one", epochs)
	}
}

// testLooking holds that commands which only ask leave a damaged
// state and its folder as they are.
func (l lived) testLooking(t *testing.T) {
	t.Parallel()
	dir := l.lay(t, map[string][]byte{"state.db.anchor": l.anchor, "state.db": l.newest[:len(l.newest)/2], keptOld: l.old})
	config := write(t, dir, "jwkswatch.yaml", stateConfig(dir, l.url))
	listed := func() (out string) {
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if b, failed := os.ReadFile(path); failed == nil {
				out += fmt.Sprintf("%s %x\n", path, b)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	before := listed()
	for _, words := range [][]string{
		{"status"}, {"events"}, {"endpoints"}, {"history", "corp-idp"}, {"show", "corp-idp"}, {"migrate"}, {"migrate", "--dry-run"}, {"backup", filepath.Join(t.TempDir(), "b")},
	} {
		out, err := exec.Command(built(t), append(words, "-c", config)...).CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitBlind {
			t.Errorf("%q: %v %s", words, err, out)
		}
	}
	if listed() != before {
		t.Error("the folder is not as it was")
	}
}

// testBackup holds that an agent keeps a verified copy of its state by
// itself, and drops the oldest.
func (l lived) testBackup(t *testing.T) {
	t.Parallel()
	dir := l.lay(t, map[string][]byte{
		"state.db.anchor": l.anchor, "state.db": l.newest, keptOld: l.old, keptNew: l.old,
		"state.db.backup-20261031T030000Z": l.old, "state.db.backup-x": l.old, "state.db.backup-20261103T030000Z.part-1": nil,
	})
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", stateConfig(dir, l.url)))
	for deadline := time.Now().Add(patience); !strings.Contains(d.errs.String(), "backup of the state kept"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(d.errs)
		}
	}
	if code := d.stop(t); code != 0 {
		t.Fatal(code)
	}
	left, err := filepath.Glob(filepath.Join(dir, "state.db.backup-*"))
	if err != nil || len(left) != 4 || filepath.Base(left[0]) != keptOld || filepath.Base(left[1]) != keptNew || filepath.Base(left[3]) != "state.db.backup-x" {
		t.Fatalf("left are %q (%v)", left, err)
	}
	if info, err := os.Stat(left[2]); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	out, err := exec.Command(built(t), "migrate", "--dry-run", "--state", left[2], "-o", "json").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"from":1,"to":1`) || !strings.Contains(string(out), `"damaged":0`) {
		t.Errorf("%v %s", err, out)
	}
}

// TestOldFormat holds that a state which an earlier version has written goes on:
// it is verified, needs no migration, and a daemon takes it as it is.
func TestOldFormat(t *testing.T) {
	t.Parallel()
	packed, err := os.Open("../../state/bolt/testdata/v1.db.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	z, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	old, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	path := write(t, dir, "state.db", string(old))
	for _, words := range [][]string{{"--dry-run"}, {}, {"-o", "json"}} {
		out, err := exec.Command(built(t), append([]string{"migrate", "--state", path}, words...)...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "format 1, which") && !strings.Contains(string(out), `"from":1,"to":1`) {
			t.Errorf("%q: %v %s", words, err, out)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, old) {
		t.Errorf("migrate has changed the file (%v)", err)
	}
	d := watched(t, dir, url, "baseline.established")
	if told := lossTold(d.printed(t)); told != "" || !strings.Contains(d.errs.String(), "no anchor beside the state") {
		t.Errorf("told %q\n%s", told, d.errs)
	}
}
