package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// webAddr is where the daemon says that it serves.
func (d *process) webAddr(t *testing.T) string {
	t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		for line := range strings.Lines(d.errs.String()) {
			var l struct{ Addr string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Addr != "" {
				return l.Addr
			}
		}
	}
	t.Fatalf("the daemon serves nothing\n%s", d.errs)
	return ""
}

func fetched(t *testing.T, url string) (int, string) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// TestMetricsOfTheDaemon scrapes the real binary and holds what it says to
// promtool and to what happened.
func TestMetricsOfTheDaemon(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", `
state: { path: `+dir+`/state.db }
poll: { interval: 1s }
endpoints:
  - name: corp-idp
    jwks_uri: `+url+`/jwks?session=canary-4711
    allow_private: true
    headers: { Authorization: "Bearer canary-4711" }
web: { listen: "127.0.0.1:0" }
`))
	base := "http://" + d.webAddr(t)
	var text string
	for deadline := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		_, text = fetched(t, base+"/metrics")
		if strings.Contains(text, "jwkswatch_endpoint_keys{endpoint=\"corp-idp\"} 1\n") &&
			strings.Contains(text, `jwkswatch_events_total{severity="informational",type="baseline.established"} 1`) &&
			strings.Contains(text, `jwkswatch_events_total{severity="informational",type="agent.started"} 1`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the metrics do not tell what happened:\n%s", text)
		}
	}
	if strings.Contains(text, "canary") {
		t.Error("a secret is in the metrics")
	}
	for _, path := range []string{"/livez", "/readyz"} {
		if code, body := fetched(t, base+path); code != 200 || strings.TrimSpace(body) != "ok" {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	if code := d.stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, d.errs)
	}
	if all := d.errs.String() + d.out.String(); strings.Contains(all, "canary") {
		t.Error("a secret is in the logs")
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian's package prometheus): the metrics are not held to it")
	}
	cmd := exec.Command(promtool, "check", "metrics")
	cmd.Stdin = strings.NewReader(text)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		t.Errorf("promtool check metrics: %v\n%s", err, said.String())
	}
}
