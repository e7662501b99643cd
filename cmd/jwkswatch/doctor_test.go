package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// doctored runs doctor and returns the outcomes by part and name.
func doctored(t *testing.T, args ...string) (code int, report checkup, by map[string]diagnosis) {
	t.Helper()
	var out, errs strings.Builder
	root := newRoot()
	root.SetArgs(append([]string{"doctor", "-o", "json", "--timeout", "3s"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	if e, ok := errors.AsType[*ended](err); ok {
		code = e.code
	} else if err != nil {
		t.Fatal(err, errs.String())
	}
	if err := json.Unmarshal([]byte(out.String()), &report); err != nil {
		t.Fatalf("%v\n%s\n%s", err, &out, &errs)
	}
	by = map[string]diagnosis{}
	for _, d := range report.Checks {
		key := d.Part
		if d.Name != nil {
			key += " " + *d.Name
		}
		if old, twice := by[key]; !twice || old.Outcome == well {
			by[key] = d
		}
	}
	return code, report, by
}

// TestDoctorBeforeTheStart holds that each thing that keeps an agent from its work is
// found before it is started, and that looking leaves nothing behind.
func TestDoctorBeforeTheStart(t *testing.T) {
	t.Parallel()
	broker := startNATS(t)
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	good := httptest.NewServer(issuer)
	t.Cleanup(good.Close)
	old := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
		fmt.Fprint(w, "<html>\x1b[2J")
	}))
	t.Cleanup(old.Close)
	receiver, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = receiver.Close() })
	dir := t.TempDir()
	write(t, dir, "secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n")
	config := write(t, dir, "jwkswatch.yaml", fmt.Sprintf(`
state: { path: %[1]s/state/jwkswatch.db }
endpoints:
  - { name: good, jwks_uri: "%[2]s/jwks", allow_private: true }
  - { name: page, jwks_uri: "%[3]s/jwks", allow_private: true }
  - { name: later, jwks_uri: "%[3]s/jwks/2", allow_private: true }
  - { name: issuer, issuer: "%[3]s", allow_private: true }
  - { name: away, jwks_uri: "http://127.0.0.1:1/jwks", allow_private: true }
sinks:
  - { name: log, type: log }
  - { name: file, type: file, path: %[1]s/events.jsonl }
  - { name: nowhere, type: file, path: %[1]s/none/events.jsonl }
  - { name: syslog, type: syslog, address: "tcp://%[4]s" }
  - { name: deaf, type: syslog, address: "tcp://127.0.0.1:1" }
  - { name: datagrams, type: syslog, address: "udp://127.0.0.1:514" }
  - { name: hook, type: webhook, url: "http://%[4]s/", secret_file: %[1]s/secret }
  - { name: nats, type: nats, url: "%[5]s", stream: JWKSWATCH, manage: verify, insecure: true }
  - { name: other, type: nats, url: "%[5]s", stream: OTHER, subject: other, manage: create, insecure: true }
  - { name: down, type: nats, url: "nats://127.0.0.1:1", stream: OTHER, subject: down, insecure: true }
`, dir, good.URL, old.URL, receiver.Addr(), broker.url))
	code, report, by := doctored(t, "-c", config)
	if code != exitFindings || report.Running {
		t.Errorf("exit code %d, running %v", code, report.Running)
	}
	for name, want := range map[string]outcome{
		"configuration": warning, // clear text
		"state":         well, "clock": warning,
		"endpoint good": well, "endpoint page": broken, "endpoint issuer": broken, "endpoint away": broken,
		"sink log": well, "sink file": well, "sink nowhere": broken, "sink syslog": well, "sink deaf": broken, "sink datagrams": unknown,
		"sink hook": well, "sink nats": well, "sink other": warning, "sink down": broken,
	} {
		if got := by[name]; got.Outcome != want {
			t.Errorf("%s is %s (%s), want %s", name, got.Outcome, got.Text, want)
		}
	}
	for name, want := range map[string]string{
		"endpoint page": "no key set", "endpoint good": "1 keys", "clock": "1h0m", "sink nats": "JWKSWATCH", "sink down": "refused", "endpoint issuer": "discovery",
	} {
		if !strings.Contains(by[name].Text, want) {
			t.Errorf("%s says %q, want %q in it", name, by[name].Text, want)
		}
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 2 {
		t.Errorf("it left something behind: %v, %v", list, err)
	}
	if _, err := broker.js.Stream(t.Context(), "OTHER"); err == nil {
		t.Error("it made a stream")
	}
}

// TestDoctorOfAState holds what is said of a state that rests.
func TestDoctorOfAState(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "state.db")
	config := write(t, dir, "jwkswatch.yaml", fmt.Sprintf("state: { path: %s, backup: { every: 1h } }\nendpoints: [{ name: idp, jwks_uri: \"http://127.0.0.1:1/jwks\", allow_private: true }]\n", path))
	d := startDaemon(t, config)
	d.until(t, "a start", func() bool { return strings.Contains(d.errs.String(), `"watching"`) })
	if code := d.stop(t); code != 0 {
		t.Fatal(d.errs)
	}
	if _, _, by := doctored(t, "-c", config); by["state"].Outcome != well || by["backup"].Outcome != warning {
		t.Errorf("at rest: %+v", by)
	}
	if err := os.WriteFile(path+".backup-20200101T000000Z", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, by := doctored(t, "-c", config); !strings.Contains(by["backup"].Text, "overdue") {
		t.Errorf("a backup of 2020: %+v", by["backup"])
	}
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, by := doctored(t, "-c", config); by["state"].Outcome != broken || !strings.Contains(*by["state"].Hint, "restore") {
		t.Errorf("damaged: %+v", by["state"])
	}
}
