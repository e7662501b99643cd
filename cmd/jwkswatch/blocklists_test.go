package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestBlocklistOfTheOperator runs the real binary with a list of known keys: a key
// that comes on the list while it stands is key.compromised, a shorter list is told,
// and a file that is no list is refused with its place.
func TestBlocklistOfTheOperator(t *testing.T) {
	t.Parallel()
	known := lab.NewEd25519("known")
	issuer := &lab.Issuer{}
	issuer.Publish(known)
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	text, ok := known.Public()["x"].(string)
	if !ok {
		t.Fatal("the lab's key has no x")
	}
	x, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(strings.TrimLeft(string(x), "\x00")))
	dir := t.TempDir()
	list, config := filepath.Join(dir, "known.dat"), filepath.Join(dir, "jwkswatch.yaml")
	put := func(path string, b []byte) {
		t.Helper()
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other := append(bytes.Repeat([]byte{1}, 15), 7)
	put(list, other)
	put(config, fmt.Appendf(nil, "state: { path: %s/state.db }\npoll: { interval: 1s }\nendpoints: [{ name: idp, jwks_uri: %q, allow_private: true }]\ncompromised: { blocklists: [known.dat] }\n", dir, url))
	d := startDaemon(t, config)
	told := func(want string) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
			var all strings.Builder
			for _, e := range d.printed(t) {
				all.WriteString(fmt.Sprint(e.Data.Event.Severity, " ", e.Data.Event.Type, " ", e.Data.Event.Message, "\n"))
			}
			if strings.Contains(all.String(), want) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("%q is not among\n%s\n%s", want, all.String(), d.errs)
			}
		}
	}
	told("baseline.established")
	put(list, slices.Concat(other, sum[:15], []byte{7})) // sum does not begin with 0 or 1
	if got := d.ask(t, exitOK, "reload", "-c", config); !strings.Contains(got, "applied") {
		t.Errorf("another content of the list: %s", got)
	}
	told("critical key.compromised")
	put(list, []byte("no list"))
	if got := d.ask(t, exitConfig, "reload", "-c", config); !strings.Contains(got, ":4:29: ") || !strings.Contains(got, "7 octets are no whole records") {
		t.Errorf("no list: %s", got)
	}
	put(list, other)
	if got := d.ask(t, exitOK, "reload", "-c", config); !strings.Contains(got, "list of known keys known.dat has 1 keys and no longer 2") {
		t.Errorf("a shorter list: %s", got)
	}
	d.stop(t)
	put(list, nil)
	if got := d.ask(t, exitConfig, "run", "-c", config); !strings.Contains(got, "it is empty") {
		t.Errorf("an empty list: %s", got)
	}
}
