//go:build unix

package agent_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// childEnv names the state over which a copy of this test binary begins a run
// and is killed.
const childEnv = "JWKSWATCH_AGENT_TEST_STATE"

func TestMain(m *testing.M) {
	if path := os.Getenv(childEnv); path != "" {
		err := childMain(path)
		_, _ = os.Stderr.WriteString(err.Error())
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func childMain(path string) error {
	db, voice, err := openVoice(path)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	if err := voice.Start(context.Background(), time.Now(), agent.StartFacts{ConfigDigest: sum("a")}); err != nil {
		return err
	}
	// Committed, and nothing is delivered.
	return errors.Join(syscall.Kill(os.Getpid(), syscall.SIGKILL), errors.New("not killed"))
}

func openVoice(path string) (*bolt.DB, *agent.Voice, error) {
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	if err != nil {
		return nil, nil, err
	}
	in := db.Installation()
	return db, &agent.Voice{Store: db, IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch}, Observer: observer, Log: zerolog.Nop()}, nil
}

// collector is a sink that keeps what it gets.
type collector struct {
	mu  sync.Mutex
	got []state.Entry
}

func (c *collector) Name() string { return "collector" }

func (c *collector) Send(_ context.Context, batch []state.Entry) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.got = append(c.got, batch...)
	return len(batch), nil
}

func (c *collector) ids() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := []string{}
	for _, e := range c.got {
		out = append(out, e.ID)
	}
	return out
}

// A process that is killed between the commit and the delivery loses no word and
// says none twice.
func TestKilledBetweenCommitAndDelivery(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	for range 3 {
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childEnv+"="+path)
		out, err := cmd.CombinedOutput()
		exit, ok := errors.AsType[*exec.ExitError](err)
		if status, is := exit.Sys().(syscall.WaitStatus); !ok || !is || status.Signal() != syscall.SIGKILL {
			t.Fatalf("the child was not killed: %v, %s", err, out)
		}
	}
	db, voice, err := openVoice(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err := voice.Start(t.Context(), time.Now(), agent.StartFacts{ConfigDigest: sum("a")}); err != nil {
		t.Fatal(err)
	}
	list := journal(t, db)
	want := []string{"informational started"}
	for range 3 {
		want = append(want, "medium stopped unclean", "informational started")
	}
	if got := tell(list); !slices.Equal(got, want) {
		t.Fatalf("told %q", got)
	}
	stored := []string{}
	for _, e := range list {
		stored = append(stored, e.ID)
	}

	sink := &collector{}
	d := &sinks.Delivery{Store: db, Sink: sink, From: sinks.FromBeginning, Log: zerolog.Nop()}
	if err := d.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	for deadline := time.Now().Add(20 * time.Second); len(sink.ids()) < len(stored) && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := sink.ids(); !slices.Equal(got, stored) {
		t.Errorf("delivered %q, stored %q", got, stored)
	}
}
