package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/lab"
)

// exporting is a real daemon that saw a key exchanged and writes its events to a file.
func exporting(t *testing.T, more string) (d *process, config, events string) {
	t.Helper()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	dir := t.TempDir()
	events = filepath.Join(dir, "events.jsonl")
	config = write(t, dir, "jwkswatch.yaml", fmt.Sprintf(`state: { path: %s/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: %q, allow_private: true }]
sinks: [{ name: archive, type: file, path: events.jsonl, from: beginning }, { name: stdout, type: log }]
observer: { name: soc-1, heartbeat: 1s }
%s
`, dir, url, more))
	d = startDaemon(t, config)
	for _, typ := range []string{"baseline.established", "key.mutated"} {
		d.until(t, typ, func() bool { return strings.Contains(contents(t, events), typ) })
		issuer.Mutate("a")
	}
	return d, config, events
}

func contents(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return string(b)
}

// TestVerifyWhatADaemonWrote exports events of a real daemon by its file sink and its
// log sink: they verify against the key that the host shows; one altered octet, one line
// less and another stream are found.
func TestVerifyWhatADaemonWrote(t *testing.T) {
	t.Parallel()
	d, config, events := exporting(t, "evidence: { key_file: signing.key }")
	d.stop(t)
	if info, err := os.Stat(filepath.Join(filepath.Dir(events), "signing.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key: %v, %v", info, err)
	}
	pin := strings.TrimSpace(d.ask(t, exitOK, "verify", "--show-key", "-c", config))
	logged := write(t, t.TempDir(), "logged.jsonl", d.out.String())
	for _, file := range []string{events, logged} {
		got := d.ask(t, exitOK, "verify", "--key", pin, file)
		if !strings.Contains(got, "signed by "+pin) || !strings.Contains(got, "; 1 checkpoints: 0 findings") {
			t.Errorf("whole: %s", got)
		}
	}
	whole := contents(t, events)
	lines := strings.SplitAfter(whole, "\n")
	var without strings.Builder
	for _, l := range lines {
		if !strings.Contains(l, `"type":"baseline.established"`) {
			without.WriteString(l)
		}
	}
	for name, text := range map[string]string{
		"altered": strings.Replace(whole, `"type":"key.mutated"`, `"type":"key.altered"`, 1), "dropped": without.String(), "moved": strings.Replace(whole, `"stream":"idp"`, `"stream":"other"`, 1),
	} {
		got := d.ask(t, exitFindings, "verify", "--key", pin, write(t, t.TempDir(), name, text))
		if !strings.Contains(got, "idp") {
			t.Errorf("%s: %s", name, got)
		}
	}
	d.ask(t, exitFindings, "verify", "--key", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", events)
	d.ask(t, exitOK, "verify", "--key", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", "--key", pin, events)
	d.ask(t, exitBlind, "verify", filepath.Join(filepath.Dir(events), "none.jsonl"))
	d.ask(t, exitBlind, "verify", write(t, t.TempDir(), "empty", ""))
	d.ask(t, exitBlind, "verify", write(t, t.TempDir(), "cef", "CEF:0|jwkswatch|jwkswatch|1\n"))
	// Who else can read the key can sign: the agent does not go on with it.
	if err := os.Chmod(filepath.Join(filepath.Dir(events), "signing.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	d.ask(t, exitBlind, "verify", "--show-key", "-c", config)
	if again := startDaemon(t, config); again.cmd.Wait() == nil || !strings.Contains(again.errs.String(), "can be read or written by everybody") {
		t.Errorf("started with an open key: %s", again.errs)
	}
}

// TestVerifyState verifies a state while the daemon runs and at rest, and finds an
// octet that the disk turned.
func TestVerifyState(t *testing.T) {
	t.Parallel()
	d, config, _ := exporting(t, "")
	for _, when := range []string{"running", "at rest"} {
		var r verification
		if err := json.Unmarshal([]byte(d.ask(t, exitOK, "verify", "-c", config, "-o", "json")), &r); err != nil {
			t.Fatal(err)
		}
		if r.State == nil || r.State.Values == 0 || r.State.Damaged > 0 || r.Events < 4 || r.Streams != 2 {
			t.Errorf("%s: %+v", when, r)
		}
		if when == "running" {
			d.stop(t)
		} else if r.Checkpoints != 1 || r.Signed < 4 {
			t.Errorf("%s: %+v", when, r)
		}
	}
	path := filepath.Join(filepath.Dir(config), "state.db")
	b := []byte(contents(t, path))
	for _, is := range [][]byte{[]byte(`"type":"baseline.established"`)} {
		if !bytes.Contains(b, is) {
			t.Skip("SKIPPED: the journal does not hold events as they are")
		}
		b = bytes.ReplaceAll(b, is, bytes.Replace(is, []byte("established"), []byte("estAblished"), 1))
	}
	write(t, filepath.Dir(path), "state.db", string(b))
	if got := d.ask(t, exitFindings, "verify", "-c", config); !strings.Contains(got, "damaged: ") || !strings.Contains(got, "missing: idp: ") {
		t.Errorf("damaged: %s", got)
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".jwkswatch-verify-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}
