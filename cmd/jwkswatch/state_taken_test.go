package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
)

// TestStateTaken deletes the state under the running daemon. It does not go on
// writing to a file that nobody will ever open again: it saves what it has and ends,
// and the next start goes on with that, and tells.
func TestStateTaken(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	dir := t.TempDir()
	d := startDaemon(t, write(t, dir, "jwkswatch.yaml", stateConfig(dir, url)))
	for deadline := time.Now().Add(patience); len(d.logged(t)) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("no baseline\n%s", d.errs)
		}
	}
	if err := os.Remove(filepath.Join(dir, "state.db")); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- d.cmd.Wait() }()
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatalf("it goes on\n%s", d.errs)
	}
	if code := d.cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if !strings.Contains(d.errs.String(), "jwkswatch: the state is not written any more: state: unavailable: the file was taken away") {
		t.Errorf("its last words:\n%s", d.errs)
	}
	issuer.Add(lab.NewEC("b", "P-256")) // while nobody watches
	next := watched(t, dir, url, "agent.state_restored", "key.added").printed(t)
	i := slices.IndexFunc(next, func(e *event.Event) bool { return e.Data.Event.Type == event.AgentStateRestored })
	if said := next[i].Data.Event; fmt.Sprint(said.Reasons) != "[lost]" || !strings.Contains(said.Message, ": 0 events are missing;") {
		t.Errorf("%q: %s", said.Reasons, said.Message)
	}
	if slices.ContainsFunc(next, func(e *event.Event) bool {
		return e.Data.Event.Type == event.BaselineEstablished && e.Data.Integrity.Epoch == next[i].Data.Integrity.Epoch
	}) {
		t.Error("the endpoint began anew")
	}
}
