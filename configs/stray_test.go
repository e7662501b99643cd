package configs

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const watched = "endpoints: [{ name: a, jwks_uri: https://a.example/ }]\n"

// TestNobodyWaitsForAPipe holds that a named pipe, wherever a file is read, is a
// problem at once and not a reader that hangs for ever.
func TestNobodyWaitsForAPipe(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"itself":   "",
		"included": "include: [pipe.yaml]\n" + watched,
		"a file":   "endpoints: [{ name: a, jwks_uri: https://a.example/, headers: { Authorization: \"${file:pipe.yaml}\" } }]",
		"CA":       "endpoints: [{ name: a, jwks_uri: https://a.example/, tls: { ca_file: pipe.yaml } }]",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			pipe := filepath.Join(dir, "pipe.yaml")
			if err := syscall.Mkfifo(pipe, 0o600); err != nil {
				t.Skipf("skipped: no named pipes here: %v", err)
			}
			file := pipe
			if text != "" {
				file = filepath.Join(dir, "jwkswatch.yaml")
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			done := make(chan error, 1)
			go func() { _, err := Load(file); done <- err }()
			select {
			case err := <-done:
				if err == nil || !strings.Contains(err.Error(), "not a regular file") {
					t.Errorf("%v", err)
				}
			case <-time.After(time.Minute):
				t.Error("still waiting")
			}
		})
	}
}

// TestStrayLinesAreNotRepeated holds that what a file was never meant to show
// does not stand in problems, which a reload publishes: the first word of a line
// that is no key, and a secret where a mapping belongs.
func TestStrayLinesAreNotRepeated(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"a password file": "root:$6$" + canary + ":19000:0:99999:7:::\n" + watched,
		"twice":           watched + "$" + canary + ": 1\n$" + canary + ": 1\n",
		"a header":        "endpoints: [{ name: a, jwks_uri: https://a.example/, headers: \"Bearer " + canary + "\" }]",
	} {
		_, err := Parse("x.yaml", []byte(text), world())
		if err == nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		check(t, name, err.Error())
		check(t, name, fmt.Sprintf("%+v", err))
	}
}
