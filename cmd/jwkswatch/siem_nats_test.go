package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestNATSPage does what docs/siem/nats.md says, in one shell, with a nats-server
// that is built from its module. Only the ports are others.
func TestNATSPage(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "python3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("the page needs %s", tool)
		}
	}
	page, err := os.ReadFile("../../docs/siem/nats.md")
	if err != nil {
		t.Fatal(err)
	}
	var script strings.Builder
	script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT\nset -m\n")
	blocks := regexp.MustCompile("(?s)```bash\n(.*?)```").FindAllSubmatch(page, -1)
	if len(blocks) < 7 {
		t.Fatalf("the page has %d blocks", len(blocks))
	}
	for _, b := range blocks {
		script.Write(b[1])
	}
	dir := t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "configs", "nats"), os.DirFS("../../configs/nats")); err != nil {
		t.Fatal(err)
	}
	daemon, err := natsBinary()
	if err != nil {
		t.Fatal(err)
	}
	text := script.String()
	conf := filepath.Join(dir, "configs", "nats", "server.conf")
	server, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	broker, issuer := freePort(t), freePort(t)
	text = strings.NewReplacer("4222", broker, "8088", issuer).Replace(text)
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(string(server), "4222", broker)), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", text)
	cmd.Dir, cmd.WaitDelay = dir, 5*time.Second
	cmd.Env = append(os.Environ(), "NATS=127.0.0.1:"+broker,
		"PATH="+strings.Join([]string{filepath.Dir(daemon), filepath.Dir(built(t)), os.Getenv("PATH")}, string(filepath.ListSeparator)))
	if deadline, ok := t.Deadline(); ok {
		defer time.AfterFunc(time.Until(deadline)-10*time.Second, func() { _ = cmd.Process.Kill() }).Stop()
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
		for _, name := range []string{"nats.log", "jwkswatch.log", "issuer.log"} {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			t.Logf("%s:\n%s", name, b)
		}
	}
	received, err := os.ReadFile(filepath.Join(dir, "received.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`"severity":"critical".*"name":"corp-idp"`).Match(received) {
		t.Errorf("received:\n%s", received)
	}
	log, err := os.ReadFile(filepath.Join(dir, "jwkswatch.log"))
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{`"level":"error"`, "not set up as it should be", "needs the right"} {
		if strings.Contains(string(log), bad) {
			t.Errorf("with the files that are shipped the agent logs:\n%s", log)
		}
	}
	if !strings.Contains(string(log), "connected to NATS") {
		t.Errorf("the agent's log:\n%s", log)
	}
}

// freePort is a port that nobody has at this moment, and that the kernel gives to
// nobody who asks for any: a connection of another test would have it meanwhile.
func freePort(t *testing.T) string {
	t.Helper()
	for range 100 {
		port := fmt.Sprint(20_000 + rand.N(10_000))
		if l, err := net.Listen("tcp", "127.0.0.1:"+port); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return ""
}
