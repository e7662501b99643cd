package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestBacktestOfStoredSets replays what a real daemon stored, while it runs and when
// it rests: the same changes are told as the daemon told, and rules of the operator
// judge them.
func TestBacktestOfStoredSets(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	config, own := filepath.Join(dir, "jwkswatch.yaml"), filepath.Join(dir, "rules.yaml")
	for path, text := range map[string]string{
		config: fmt.Sprintf("state: { path: %s/state.db }\npoll: { interval: 1s }\nendpoints: [{ name: idp, jwks_uri: %q, allow_private: true }]\n", dir, url),
		own:    "version: 1\nrules: [{ id: every-key, on: key.added, severity: critical }]\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	d := startDaemon(t, config)
	has := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			var all []string
			for _, e := range d.printed(t) {
				all = append(all, string(e.Data.Event.Type))
			}
			if slices.Contains(all, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q is not among %q\n%s", want, all, d.errs)
			}
		}
	}
	has("baseline.established")
	issuer.Add(lab.NewEC("b", "P-256"))
	has("key.added")
	issuer.Mutate("a")
	has("key.mutated")
	look := func() {
		t.Helper()
		var got backtest
		if err := json.Unmarshal([]byte(d.ask(t, exitOK, "rules", "backtest", "-c", config, "-o", "json")), &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{"baseline.established": 1, "key.added": 1, "key.mutated": 1}
		for typ, n := range want {
			if got.Events[typ] != n {
				t.Errorf("%d of %s in %v", got.Events[typ], typ, got.Events)
			}
		}
		if got.Endpoints != 1 || got.Events["key.removed"]+got.Events["set.replaced"] > 0 {
			t.Errorf("%+v", got)
		}
	}
	look()
	d.stop(t)
	look()
	if got := d.ask(t, exitOK, "rules", "backtest", "-c", config, "--rules", own, "-o", "json"); !strings.Contains(got, `"critical":2`) {
		t.Errorf("with rules of the operator: %s", got)
	}
}
