package watcher_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// TestHostileIssuers plays every scenario of the lab at an endpoint that was
// honest before and is honest after: none may remove a key that an honest
// answer still holds, go unnoticed when it is no set, stop the polls, or leave
// private material behind.
func TestHostileIssuers(t *testing.T) {
	for _, sc := range lab.Scenarios() {
		t.Run(sc.Name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) { hostile(t, dir, sc) })
			secrets(t, dir)
		})
	}
}

func hostile(t *testing.T, dir string, sc lab.Scenario) {
	issuer := &lab.Issuer{}
	pipe := lab.NewPipe()
	stop := issuer.Serve(pipe)
	h := &watched{t: t, db: open(t, dir), dial: pipe}
	issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
	h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
	time.Sleep(3 * time.Minute)
	issuer.Answer(sc.New())
	time.Sleep(15 * time.Minute)
	during := h.events()[1:]
	issuer.Answer(nil)
	time.Sleep(10 * time.Minute)
	polls := issuer.Count()
	time.Sleep(5 * time.Minute)
	if issuer.Count() < polls+5 {
		t.Errorf("%d polls in the five minutes after", issuer.Count()-polls)
	}
	h.stop()
	stop()
	after := h.events()[1:]
	if err := h.db.Close(); err != nil {
		t.Error(err)
	}
	held(t, sc, during, after)
}

// held holds what must be true of the events of any scenario.
func held(t *testing.T, sc lab.Scenario, during, after []*event.Event) {
	t.Helper()
	told := tell(during)
	is := func(typ string) bool {
		return slices.ContainsFunc(told, func(s string) bool { return strings.Contains(s, typ) && !strings.HasSuffix(s, "closed") })
	}
	switch sc.Outcome {
	case lab.Invalid:
		if !is("document.invalid") {
			t.Errorf("no document.invalid: %q", told)
		}
	case lab.Ambiguous:
		if !is("set.ambiguous") {
			t.Errorf("no set.ambiguous: %q", told)
		}
	case lab.Refused, lab.Broken:
		if !is("endpoint.unreachable") {
			t.Errorf("no endpoint.unreachable: %q", told)
		}
	case lab.Excess:
		if !is("document.invalid") && !is("endpoint.unreachable") {
			t.Errorf("neither document.invalid nor endpoint.unreachable: %q", told)
		}
	}
	switch want := tells(t, sc.Name); {
	case want == "" && len(told) > 0:
		t.Errorf("told %q, want nothing", told)
	case want != "" && !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, want) && !strings.HasSuffix(s, "closed") }):
		t.Errorf("told %q, want %s among it", told, want)
	}
	open := map[string]string{}
	for _, e := range after {
		facts := e.Data.Event
		if sc.Outcome != lab.Whole && sc.Outcome != lab.Varies && (strings.HasPrefix(string(facts.Type), "key.") || facts.Type == event.SetReplaced || facts.Type == event.SetEmptied) {
			t.Errorf("an answer that is no set made %s", facts.Type)
		}
		if c := facts.Condition; c != nil {
			if d, ok := e.Data.Details.(*event.EndpointUnreachableDetails); ok && slices.Contains(d.Codes, "intermittent") {
				continue // it ends after nine in ten of 50 polls were good
			}
			if c.State == event.Open {
				open[c.ID] = string(facts.Type)
			} else {
				delete(open, c.ID)
			}
		}
		if strings.ContainsAny(facts.Message, "\x00\x1b\n\r\u202e") {
			t.Errorf("%s: message %q", facts.Type, facts.Message)
		}
	}
	if len(open) > 0 {
		t.Errorf("still open ten minutes after the issuer is honest again: %v", open)
	}
}

// secrets holds that no private number of the lab lies in the state in any form
// that can be searched for.
func secrets(t *testing.T, dir string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	for _, seed := range []string{"k0", "k1"} {
		d, ok := lab.ECFromSeed(seed, "P-256", seed).Private()["d"].(string)
		if !ok || d == "" {
			t.Fatal("the lab's private key has no d")
		}
		if bytes.Contains(b, []byte(d)) {
			t.Errorf("the private number of %s lies in the state", seed)
		}
	}
}

// TestLeakLeavesNoSecret leaks private halves for a while: neither an event, nor
// a stored body, nor a memory holds them.
func TestLeakLeavesNoSecret(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		issuer := &lab.Issuer{}
		pipe := lab.NewPipe()
		stop := issuer.Serve(pipe)
		h := &watched{t: t, db: open(t, dir), dial: pipe}
		issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.NewOct("shared"))
		secret, _ := issuer.Keys()[1].Private()["k"].(string)
		h.start(endpoint("idp", "http://idp.example/jwks", time.Minute))
		time.Sleep(3 * time.Minute)
		issuer.Leak("k0")
		issuer.Leak("shared")
		time.Sleep(3 * time.Minute)
		h.stop()
		stop()
		d := lab.ECFromSeed("k0", "P-256", "k0").Private()["d"].(string)
		for rec, err := range h.db.Snapshots(t.Context(), "idp") {
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(rec.Body, []byte(d)) || bytes.Contains(rec.Body, []byte(secret)) || secret == "" {
				t.Errorf("revision %d holds a secret", rec.Revision)
			}
		}
		leaks := 0
		for entry, err := range h.db.Events(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(entry.JSON, []byte(d)) || bytes.Contains(entry.JSON, []byte(secret)) {
				t.Errorf("%s holds a secret", entry.Type)
			}
			if entry.Type == string(event.KeyPrivate) {
				leaks++
				e, err := event.Decode(entry.JSON)
				if err != nil {
					t.Fatal(err)
				}
				if e.Data.Transport.BodySHA256 != nil {
					t.Error("the hash of a body with a secret left the process")
				}
			}
		}
		if leaks != 2 {
			t.Errorf("%d leaks told, want 2", leaks)
		}
		rec, err := h.db.Latest(t.Context(), "idp")
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(rec.Memory, []byte(d)) || bytes.Contains(rec.Memory, []byte(secret)) {
			t.Error("the memory holds a secret")
		}
		if set := jwks.Parse(rec.Body); !set.HeldSecret || set.Digest != rec.Digest {
			t.Error("the stored body does not read back as the set that was seen")
		}
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
	secrets(t, dir)
}

// TestNoGoroutineForAnEndpoint holds that a thousand endpoints at rest take no
// more goroutines than the workers.
func TestNoGoroutineForAnEndpoint(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		issuer := &lab.Issuer{}
		pipe := lab.NewPipe()
		stop := issuer.Serve(pipe)
		h := &watched{t: t, db: open(t, dir), dial: pipe}
		issuer.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
		var list []watcher.Endpoint
		for i := range 1000 {
			list = append(list, endpoint(fmt.Sprint("idp", i), "http://idp.example/jwks", 24*time.Hour))
		}
		before := runtime.NumGoroutine()
		h.start(list...)
		time.Sleep(time.Hour)
		if n := h.w.Stats().Polls; n != 1000 {
			t.Errorf("%d polls", n)
		}
		if n := runtime.NumGoroutine() - before; n > 64+16 {
			t.Errorf("%d goroutines for 1,000 endpoints at rest", n)
		}
		h.stop()
		stop()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}
