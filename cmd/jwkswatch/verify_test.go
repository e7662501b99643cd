package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestVerifyWhatADaemonWrote exports events of a real daemon by its file sink: they
// verify against the key that the host shows; one altered octet, and one line less, are
// found.
func TestVerifyWhatADaemonWrote(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	config, events := filepath.Join(dir, "jwkswatch.yaml"), filepath.Join(dir, "events.jsonl")
	if err := os.WriteFile(config, fmt.Appendf(nil, `state: { path: %s/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: %q, allow_private: true }]
sinks: [{ name: archive, type: file, path: events.jsonl, from: beginning }]
observer: { name: soc-1, heartbeat: 1s }
`, dir, url), 0o600); err != nil {
		t.Fatal(err)
	}
	d := startDaemon(t, config)
	read := func() string {
		b, err := os.ReadFile(events)
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(read(), "baseline.established"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(d.errs)
		}
	}
	issuer.Mutate("a")
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(read(), "key.mutated"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(d.errs)
		}
	}
	d.stop(t)
	pin := strings.TrimSpace(d.ask(t, exitOK, "verify", "--show-key", "-c", config))
	if got := d.ask(t, exitOK, "verify", "-c", config, "--key", pin, events); !strings.Contains(got, "signed by "+pin) || !strings.Contains(got, "1 checkpoints: 0 findings") {
		t.Errorf("whole: %s", got)
	}
	if got := d.ask(t, exitOK, "verify", "-c", config, "--key", pin); !strings.Contains(got, "0 findings") {
		t.Errorf("the journal: %s", got)
	}
	whole := read()
	for name, text := range map[string]string{
		"altered": strings.Replace(whole, `"type":"key.mutated"`, `"type":"key.altered"`, 1),
		"dropped": whole[:strings.LastIndex(whole[:strings.Index(whole, `"type":"key.mutated"`)], "\n")] + whole[strings.Index(whole, `"type":"key.mutated"`)+strings.Index(whole[strings.Index(whole, `"type":"key.mutated"`):], "\n"):],
	} {
		if err := os.WriteFile(events+"."+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := d.ask(t, exitFindings, "verify", "-c", config, "--key", pin, events+"."+name)
		if !strings.Contains(got, "idp") {
			t.Errorf("%s: %s", name, got)
		}
	}
	d.ask(t, exitFindings, "verify", "--key", "another", events)
	d.ask(t, exitBlind, "verify", filepath.Join(dir, "none.jsonl"))
}
