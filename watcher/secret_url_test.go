package watcher_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestSecretsOfAURLStayOut holds that the values in the query of a configured
// URL are in no event and not in the state, and that another value is another
// URL all the same.
func TestSecretsOfAURLStayOut(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	dir := t.TempDir()
	h := &watched{t: t, db: open(t, dir), dir: dir}
	baselines := func(n int) {
		t.Helper()
		until(t, fmt.Sprint(n, " events"), func() bool { return len(h.events()) >= n })
	}
	h.start(endpoint("idp", url+"/jwks?code=canary-4711", time.Second))
	baselines(1)
	h.stop()
	h.start(endpoint("idp", url+"/jwks?code=canary-4711", time.Second)) // the same: no other baseline
	until(t, "two polls", func() bool { return h.w.Stats().Polls >= 2 })
	h.stop()
	if n := len(h.events()); n != 1 {
		t.Errorf("%d events for one and the same URL", n)
	}
	h.start(endpoint("idp", url+"/jwks?code=canary-4712", time.Second))
	baselines(2)
	h.stop()
	for _, e := range h.events() {
		if b, err := e.Encode(); err != nil || bytes.Contains(b, []byte("canary")) {
			t.Errorf("an event holds the secret (%v)", err)
		}
	}
	if err := h.db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte("canary")) {
		t.Error("the state holds the secret")
	}
}
