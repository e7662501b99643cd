package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestAnnouncedChange runs the real binary with an approval and a rule of the
// operator: the announced key is expected, the one that comes with it is what the
// rule says, and both stand in the journal.
func TestAnnouncedChange(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	planned := lab.NewEC("planned", "P-256")
	thumbprint := jwks.Parse(lab.Document(planned)).Keys[0].ID.String()
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	from, until := time.Now().Add(-time.Hour).UTC(), time.Now().Add(24*time.Hour).UTC()
	put("approvals.yaml", fmt.Sprintf("version: 1\napprovals: [{ endpoint: idp, thumbprint: %s, kid: planned, from: %s, until: %s, reason: CHG-1, by: iam }]\n",
		thumbprint, from.Format(time.RFC3339), until.Format(time.RFC3339)))
	put("rules.yaml", "version: 1\nrules: [{ id: not-planned, on: key.added, where: { event.verdict: { ne: expected } }, severity: high }]\n")
	put("jwkswatch.yaml", fmt.Sprintf(`state: { path: %s/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: %q, allow_private: true, tier: critical }]
rules: { files: [rules.yaml] }
approvals: { files: [approvals.yaml] }
observer: { name: soc-1, heartbeat: off }
`, dir, url))
	d := startDaemon(t, filepath.Join(dir, "jwkswatch.yaml"))
	defer d.stop(t)
	has := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			var all []string
			for _, e := range d.printed(t) {
				f := &e.Data.Event
				line := fmt.Sprint(f.Severity, " ", f.Type, " ", f.Verdict)
				if e.Data.Key != nil && e.Data.Key.Kid != nil {
					line += " " + *e.Data.Key.Kid
				}
				all = append(all, line)
			}
			if slices.Contains(all, want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q is not among %q\n%s", want, all, d.errs)
			}
		}
	}
	has("medium approval.granted informational")
	has("medium baseline.established unexpected")
	issuer.Add(planned)
	has("informational key.added expected planned")
	has("informational rotation.approved_change expected planned")
	issuer.Add(lab.NewEC("rogue", "P-256"))
	has("high key.added unexpected rogue")
}
