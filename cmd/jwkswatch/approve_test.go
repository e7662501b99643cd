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

	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/lab"
)

// ask runs a command line in this process and returns what it printed.
func (d *process) ask(t *testing.T, want int, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := execute(t.Context(), args, strings.NewReader(""), &out, &errs); code != want {
		t.Fatalf("%q: exit %d, want %d\n%s%s", args, code, want, &out, &errs)
	}
	return out.String() + errs.String()
}

// TestApproveByCommand runs the real binary: a key that is announced by command
// passes, over a restart too; one that is revoked does not; one that came is
// accepted afterwards; and all of it stands in the journal.
func TestApproveByCommand(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	config := filepath.Join(dir, "jwkswatch.yaml")
	if err := os.WriteFile(config, fmt.Appendf(nil, `state: { path: %s/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: %q, allow_private: true, tier: critical }]
observer: { name: soc-1, heartbeat: off }
`, dir, url), 0o600); err != nil {
		t.Fatal(err)
	}
	planned, late, revoked, private := lab.NewEC("planned", "P-256"), lab.NewEC("late", "P-256"), lab.NewEC("revoked", "P-256"), lab.NewEC("private", "P-256")
	thumb := func(k lab.Key) string { return jwks.Parse(lab.Document(k)).Keys[0].ID.String() }
	file := filepath.Join(dir, "planned.jwks.json")
	if err := os.WriteFile(file, lab.Document(planned), 0o600); err != nil {
		t.Fatal(err)
	}

	d := startDaemon(t, config)
	has := func(want string) (id string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			var all []string
			for _, e := range d.printed(t) {
				line := fmt.Sprint(e.Data.Event.Severity, " ", e.Data.Event.Type, " ", e.Data.Event.Verdict)
				if e.Data.Key != nil && e.Data.Key.Kid != nil {
					line += " " + *e.Data.Key.Kid
				}
				if all = append(all, line); line == want {
					return e.ID
				}
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q is not among %q\n%s", want, all, d.errs)
			}
		}
	}
	has("medium baseline.established unexpected")
	c := []string{"-c", config}
	if got := d.ask(t, exitOK, append([]string{"approvals"}, c...)...); got != "nothing is announced\n" {
		t.Errorf("before: %q", got)
	}
	for want, args := range map[string][]string{
		"--reason is missing":        {"approve", thumb(planned)},
		"no endpoint is named other": {"approve", thumb(planned), "--endpoint", "other", "--reason", "x"},
		"longer than 90 days":        {"approve", thumb(planned), "--until", "91d", "--reason", "x"},
		"before it begins":           {"approve", thumb(planned), "--until", "2020-01-01", "--reason", "x"},
		"is no thumbprint":           {"approve", "nonsense", "--reason", "x"},
		"there is no such approval":  {"revoke", "ap-x", "--reason", "x"},
		"what cannot be seen":        {"approve", thumb(planned), "--reason", "a\x1b[2Jb"},
	} {
		if got := d.ask(t, exitUsage, append(args, c...)...); !strings.Contains(got, want) {
			t.Errorf("%q: %q", args, got)
		}
	}
	d.ask(t, exitFailed, append([]string{"approve", "jw1-none", "--reason", "x"}, c...)...)

	d.ask(t, exitOK, append([]string{"approve", file, "--reason", "CHG-1", "--by", "iam"}, c...)...)
	got := d.ask(t, exitOK, append([]string{"approve", thumb(revoked), "--endpoint", "idp", "--expires", "2h", "--reason", "CHG-2", "-o", "json"}, c...)...)
	var rows []control.ApprovalRow
	if err := json.Unmarshal([]byte(got), &rows); err != nil || len(rows) != 1 || rows[0].State != control.ApprovalActive ||
		rows[0].Until.Sub(rows[0].From.Time).Round(time.Minute) != 2*time.Hour || rows[0].By == "" || rows[0].Source != "command" {
		t.Fatalf("%s: %v", got, err)
	}
	d.ask(t, exitOK, append([]string{"revoke", rows[0].ID, "--reason", "called off"}, c...)...)
	has("medium approval.granted informational")
	has("low approval.revoked informational")

	d.stop(t) // what was approved is known after a restart too
	d = startDaemon(t, config)
	defer func() { d.stop(t) }()
	has("informational agent.started informational")
	issuer.Add(planned)
	has("informational key.added expected planned")
	has("informational rotation.approved_change expected planned")
	issuer.Add(revoked)
	has("medium key.added informational revoked")
	issuer.Add(late)
	id := has("medium key.added informational late")
	if got := d.ask(t, exitOK, append([]string{"approve", id, "--reason", "INC-1: ours"}, c...)...); !strings.Contains(got, "is accepted until") {
		t.Errorf("accepted: %q", got)
	}
	issuer.Remove("late")
	has("informational key.removed expected late")
	// The private half of a key that is announced by mistake goes nowhere.
	secret, err := json.Marshal(private.Private())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, secret, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := d.ask(t, exitOK, append([]string{"approve", file, "--reason", "CHG-3"}, c...)...); !strings.Contains(got, "private half") || !strings.Contains(got, thumb(private)) {
		t.Errorf("a private key: %q", got)
	}
	got = d.ask(t, exitOK, append([]string{"approvals", "-o", "json"}, c...)...)
	if err := json.Unmarshal([]byte(got), &rows); err != nil || len(rows) != 3 {
		t.Fatalf("%s: %v", got, err)
	}
	slices.SortFunc(rows, func(a, b control.ApprovalRow) int { return strings.Compare(a.Reason, b.Reason) })
	if r := rows[0]; r.Reason != "CHG-1" || !r.Used || r.By != "iam" || r.Kid == nil || *r.Kid != "planned" || *r.Thumbprint != thumb(planned) {
		t.Errorf("announced: %+v", r)
	}
	if r := rows[2]; r.Source != "acknowledgement" || *r.Event != id || *r.Thumbprint != thumb(late) {
		t.Errorf("accepted: %+v", r)
	}
}
