package main

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestBlocklistOfTheOperator runs the real binary with a list of known keys: the key
// that is on it is key.compromised, and a file that is no list keeps the daemon from
// starting.
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
	put(list, append(sum[:15:15], 7))
	put(config, fmt.Appendf(nil, "state: { path: %s/state.db }\npoll: { interval: 1s }\nendpoints: [{ name: idp, jwks_uri: %q, allow_private: true }]\ncompromised: { blocklists: [known.dat] }\n", dir, url))
	d := startDaemon(t, config)
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		var told strings.Builder
		for _, e := range d.printed(t) {
			told.WriteString(fmt.Sprint(e.Data.Event.Severity, " ", e.Data.Event.Type, " ", e.Data.Details, "\n"))
		}
		if strings.Contains(told.String(), "critical key.compromised") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("told %s\n%s", told.String(), d.errs)
		}
	}
	d.stop(t)
	put(list, []byte("no list"))
	if got := d.ask(t, exitFailed, "run", "-c", config); !strings.Contains(got, "compromised.blocklists: block-list known.dat") {
		t.Errorf("no list: %s", got)
	}
}
