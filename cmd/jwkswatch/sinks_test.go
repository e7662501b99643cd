package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestEverySink runs the real binary with a sink of every type that needs no
// broker: each gets what it asks for in its format, min_severity leaves out what it
// must, and a file that logrotate moved is begun anew on SIGHUP.
func TestEverySink(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	var mu sync.Mutex
	var posted, datagrams []string
	const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		v, verr := standardwebhooks.NewWebhook(secret)
		if err != nil || verr != nil || v.Verify(body, r.Header) != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		posted = append(posted, string(body))
	}))
	defer hook.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	go func() {
		b := make([]byte, 70_000)
		for {
			n, _, err := udp.ReadFrom(b)
			if err != nil {
				return
			}
			mu.Lock()
			datagrams = append(datagrams, string(b[:n]))
			mu.Unlock()
		}
	}()
	dir := t.TempDir()
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put("hook.key", secret+"\n")
	put("jwkswatch.yaml", fmt.Sprintf(`state: { path: %s/state.db }
poll: { interval: 1s }
endpoints: [{ name: idp, jwks_uri: %q, allow_private: true, tier: critical }]
sinks:
  - { name: stdout, type: log }
  - { name: ocsf, type: file, path: ocsf.jsonl, format: ocsf }
  - { name: ecs, type: file, path: ecs.jsonl, format: ecs, min_severity: high }
  - { name: collector, type: syslog, address: "udp://%s", format: cef }
  - { name: soar, type: webhook, url: "%s/x", secret_file: hook.key, min_severity: high }
observer: { name: soc-1, heartbeat: 1s }
`, dir, url, udp.LocalAddr(), hook.URL))
	d := startDaemon(t, filepath.Join(dir, "jwkswatch.yaml"))
	defer d.stop(t)
	text := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		return string(b)
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("timed out: %s\n%s", what, d.errs)
			}
		}
	}
	in := func(list *[]string, words ...string) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			for _, text := range *list {
				all := true
				for _, w := range words {
					all = all && strings.Contains(text, w)
				}
				if all {
					return true
				}
			}
			return false
		}
	}
	until("the baseline is in the file", func() bool { return strings.Contains(text("ocsf.jsonl"), `"event_code":"baseline.established"`) })
	if err := os.Rename(filepath.Join(dir, "ocsf.jsonl"), filepath.Join(dir, "ocsf.jsonl.old")); err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	issuer.Mutate("a")
	until("the finding is in the new file", func() bool { return strings.Contains(text("ocsf.jsonl"), `"event_code":"key.mutated"`) })
	until("the alert is in the other", func() bool { return strings.Contains(text("ecs.jsonl"), `"action":"key.mutated"`) })
	until("a datagram came", in(&datagrams, "<130>1 ", " jwkswatch ", " key.mutated ", "CEF:0|jwkswatch|jwkswatch|", "act=key.mutated"))
	until("a request came", in(&posted, `"type":"jwkswatch.key.mutated.v1"`))
	until("heartbeats pass every filter", in(&posted, `"type":"jwkswatch.agent.heartbeat.v1"`))
	// A drill arrives everywhere, says so in every format, and is no finding of the
	// endpoint.
	got := d.ask(t, exitOK, "drill", "-c", filepath.Join(dir, "jwkswatch.yaml"), "--scenario", "set.emptied", "--endpoint", "idp")
	if strings.Count(got, "delivered after") != 5 {
		t.Errorf("drill: %s", got)
	}
	until("the drill is in the file", func() bool { return strings.Contains(text("ocsf.jsonl"), "DRILL: The set holds no keys any more") })
	until("the drill is in the other", func() bool { return strings.Contains(text("ecs.jsonl"), `"tags":["jwkswatch","drill"]`) })
	until("the drill is a datagram", in(&datagrams, "act=set.emptied", "flexString2=true"))
	until("the drill is a request", in(&posted, `"drill":true`, `"type":"jwkswatch.set.emptied.v1"`, `"endpoint":null`, `DRILL: idp: `))
	if got := d.ask(t, exitOK, "endpoints", "-c", filepath.Join(dir, "jwkswatch.yaml"), "-o", "json"); strings.Contains(got, "emptied") {
		t.Errorf("the drill is a condition of the endpoint: %s", got)
	}
	d.ask(t, exitUsage, "drill", "-c", filepath.Join(dir, "jwkswatch.yaml"), "--scenario", "nonsense")
	mu.Lock()
	defer mu.Unlock()
	for name, list := range map[string]string{"ecs.jsonl": text("ecs.jsonl"), "requests": strings.Join(posted, "\n")} {
		if strings.Contains(list, "baseline.established") && !strings.Contains(list, "unverified") || strings.Contains(list, "agent.started") {
			t.Errorf("%s has what is below its severity:\n%s", name, list)
		}
	}
	if !strings.Contains(text("ocsf.jsonl.old"), "baseline.established") {
		t.Error("the moved file lost what it had")
	}
}
