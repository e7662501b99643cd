package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestRulesAreReloaded exchanges the rules of the real binary while it watches: new
// ones hold without a restart, bad ones are refused and the old go on, and a change
// that lowers is told as one. A bad file keeps a daemon from starting.
func TestRulesAreReloaded(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	rule := func(severity string) string {
		return "version: 1\nrules:\n  - { id: own, on: key.added, severity: " + severity + ", repeat: 7d }\n  - { id: up, on: set.*, action: raise }\noverrides: [{ id: endpoint-content-type, enabled: false }]\n"
	}
	config := filepath.Join(dir, "jwkswatch.yaml")
	put("rules.yaml", rule("high"))
	put("jwkswatch.yaml", fmt.Sprintf(`state: { path: %s/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: %q, allow_private: true }]
rules: { files: [rules.yaml] }
observer: { name: soc-1, heartbeat: off }
`, dir, url))
	d := startDaemon(t, config)
	await := func(what string, is func(e *event.Event) bool) *event.Event {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			all := d.printed(t)
			if i := slices.IndexFunc(all, is); i >= 0 {
				return all[i]
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s: not within 20 s\n%s", what, d.errs)
			}
		}
	}
	added := func(kid string) *event.Event {
		t.Helper()
		issuer.Add(lab.NewEC(kid, "P-256"))
		return await(kid, func(e *event.Event) bool {
			return e.Data.Event.Type == event.KeyAdded && e.Data.Key != nil && *e.Data.Key.Kid == kid
		})
	}
	reload := func(text string) (int, string) {
		t.Helper()
		put("rules.yaml", text)
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{"reload", "-c", config}, strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	await("the baseline", func(e *event.Event) bool { return e.Data.Event.Type == event.BaselineEstablished })
	first := added("one")
	if first.Data.Event.Severity != event.SeverityHigh {
		t.Errorf("one is %s", first.Data.Event.Severity)
	}
	if code, told := reload(rule("hihg")); code != exitConfig || !strings.Contains(told, "rules.yaml:3:") {
		t.Errorf("a bad file: exit %d\n%s", code, told)
	}
	if e := added("two"); e.Data.Event.Severity != event.SeverityHigh || e.Data.Observer.RulesDigest != first.Data.Observer.RulesDigest {
		t.Errorf("after a refused reload two is %s", e.Data.Event.Severity)
	}
	if code, told := reload(rule("medium")); code != exitOK || !strings.Contains(told, "rule own is medium and no longer high") {
		t.Errorf("exit %d\n%s", code, told)
	}
	e := await("the change of rules", func(e *event.Event) bool {
		return e.Data.Event.Type == event.AgentConfigChanged && slices.Contains(e.Data.Event.Reasons, "coverage_shrinks")
	})
	if b, err := json.Marshal(e.Data.Details); err != nil || !strings.Contains(string(b), "rule own is medium") {
		t.Errorf("the change says %s", b)
	}
	if e := added("three"); e.Data.Event.Severity != event.SeverityMedium || e.Data.Observer.RulesDigest == first.Data.Observer.RulesDigest {
		t.Errorf("by the new rules three is %s", e.Data.Event.Severity)
	}
	if code := d.stop(t); code != exitOK {
		t.Errorf("exit %d\n%s", code, d.errs)
	}
	put("rules.yaml", rule("hihg"))
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"run", "-c", config}, strings.NewReader(""), &out, &errs); code != exitConfig || !strings.Contains(errs.String(), `did you mean "high"?`) {
		t.Errorf("a bad file of rules: exit %d\n%s", code, &errs)
	}
}
