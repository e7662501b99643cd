package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestSIEMPages runs the blocks of a page as a new user would: copied and pasted, in
// order, in an empty folder, with the real receiver.
func TestSIEMPages(t *testing.T) {
	t.Parallel()
	for page, needs := range map[string][]string{
		"syslog.md": {"rsyslogd", "openssl"},
	} {
		t.Run(page, func(t *testing.T) {
			t.Parallel()
			for _, tool := range needs {
				if _, err := exec.LookPath(tool); err != nil {
					t.Skipf("SKIPPED: no %s in PATH; install Debian's packages rsyslog, rsyslog-gnutls and openssl to run the page", tool)
				}
			}
			src, err := os.ReadFile(filepath.Join("../../docs/siem", page))
			if err != nil {
				t.Fatal(err)
			}
			var script strings.Builder
			script.WriteString("set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null; wait' EXIT\n")
			blocks := strings.Split(string(src), "\n```sh\n")
			for _, part := range blocks[1:] {
				block, _, _ := strings.Cut(part, "\n```")
				script.WriteString(block + "\n")
			}
			if len(blocks) < 3 {
				t.Fatalf("%s has %d blocks", page, len(blocks)-1)
			}
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.ReplaceAll(script.String(), "16514", freePort(t)))
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(built(t))+":"+os.Getenv("PATH"))
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
			cmd.WaitDelay = 5 * time.Second
			timer := time.AfterFunc(3*time.Minute, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			defer timer.Stop()
			out, err := cmd.CombinedOutput()
			if err != nil {
				log, _ := os.ReadFile(filepath.Join(dir, "agent.log"))
				t.Fatalf("%v\n%s\n%s", err, out, log)
			}
			if got := string(out); !strings.Contains(got, "delivered after") || !strings.Contains(got, "DRILL: ") {
				t.Errorf("the page prints\n%s", got)
			}
		})
	}
}
