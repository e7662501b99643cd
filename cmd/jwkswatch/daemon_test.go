package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// deaf is a state that takes nothing while it is told to.
type deaf struct {
	state.Store
	on bool
}

func (d *deaf) Commit(ctx context.Context, t state.Txn) error {
	if d.on {
		return fmt.Errorf("%w: the disk is full", state.ErrUnavailable)
	}
	return d.Store.Commit(ctx, t)
}

// wired is a daemon that does not run, over a real state.
func wired(t *testing.T, dir, file string) *daemon {
	t.Helper()
	c, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.Open(t.Context(), bolt.Options{Path: filepath.Join(dir, "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	d, err := newDaemon(file, c, db, io.Discard, zerolog.Nop(), notifier{})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func journal(t *testing.T, d *daemon) (out []string) {
	t.Helper()
	for e, err := range d.db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		ev, err := event.Decode(e.JSON)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, ev.Data.Event.Message)
	}
	return out
}

const wiring = "state: { path: %s/state.db, retain: 30d }\nendpoints:\n  - { name: idp, jwks_uri: \"https://idp.example/jwks\" }\n  - { name: other, jwks_uri: \"https://other.example/jwks\" }\n"

// TestAChangeThatCouldNotBeTold holds that a reload whose word the state did not take
// is told at a later look, together with what changed since, and once.
func TestAChangeThatCouldNotBeTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := fmt.Sprintf(wiring, dir)
	file := write(t, dir, "jwkswatch.yaml", text)
	d := wired(t, dir, file)
	if err := d.begin(t.Context(), d.exchange.current()); err != nil {
		t.Fatal(err)
	}
	store := &deaf{Store: d.voice.Store, on: true}
	d.voice.Store = store
	without := text[:strings.Index(text, "  - { name: other")]
	write(t, dir, "jwkswatch.yaml", without)
	d.exchange.look(t.Context())
	if n := len(d.exchange.current().Endpoints); n != 1 {
		t.Fatalf("%d endpoints: the change is not in use", n)
	}
	d.exchange.look(t.Context()) // still deaf
	told := func() int {
		return len(slices.DeleteFunc(journal(t, d), func(m string) bool { return !strings.Contains(m, "endpoint other is removed") }))
	}
	if n := told(); n != 0 {
		t.Fatalf("told %d times by a state that takes nothing", n)
	}
	store.on = false
	d.exchange.look(t.Context())
	d.exchange.look(t.Context())
	if n := told(); n != 1 {
		t.Errorf("told %d times: %q", n, journal(t, d))
	}
	// What is undone before it could be told is no change.
	store.on = true
	write(t, dir, "jwkswatch.yaml", text)
	d.exchange.look(t.Context())
	write(t, dir, "jwkswatch.yaml", without)
	d.exchange.look(t.Context())
	store.on = false
	before := len(journal(t, d))
	d.exchange.look(t.Context())
	if list := journal(t, d); len(list) != before {
		t.Errorf("told %q", list[before:])
	}
}

// TestWhatIsTooOldIsDropped holds that the hourly work drops events beyond the
// retention in use, and not what a sink still lacks.
func TestWhatIsTooOldIsDropped(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := wired(t, dir, write(t, dir, "jwkswatch.yaml", fmt.Sprintf(wiring, dir)))
	now := time.Now()
	for _, ago := range []time.Duration{31, 29} {
		if err := d.voice.Start(t.Context(), now.Add(-ago*24*time.Hour), coverage(d.exchange.current())); err != nil {
			t.Fatal(err)
		}
	}
	before := len(journal(t, d))
	if err := d.drop(t.Context(), now.Add(-2*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	if n := len(journal(t, d)); n != before {
		t.Errorf("%d of %d events are left, none was too old", n, before)
	}
	if err := d.drop(t.Context(), now); err != nil {
		t.Fatal(err)
	}
	if n := len(journal(t, d)); n == 0 || n >= before {
		t.Errorf("%d of %d events are left", n, before)
	}
}

// TestASparseStateIsCompacted holds that the hourly work makes a file smaller of which
// most is free, and leaves one alone of which little is.
func TestASparseStateIsCompacted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	d := wired(t, dir, write(t, dir, "jwkswatch.yaml", fmt.Sprintf(wiring, dir)))
	if err := d.compact(t.Context()); err != nil || d.db.Stats().Writes > 0 {
		t.Errorf("a small state: %v", err)
	}
	for revision := range uint64(10) { // evidence of nine of them goes
		err := d.db.Commit(t.Context(), state.Txn{Prev: revision, Next: state.Record{
			Endpoint: "idp", Revision: revision + 1, At: time.Now().Add(-time.Hour), Evidence: make([]byte, 10<<20),
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	before, err := d.db.Size()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.drop(t.Context(), time.Now().Add(31*24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	after, err := d.db.Size()
	if err != nil || after > before/2 {
		t.Errorf("%d octets after %d, %v", after, before, err)
	}
	if r, err := d.db.Latest(t.Context(), "idp"); err != nil || r.Revision != 10 {
		t.Errorf("revision %d, %v", r.Revision, err)
	}
}

// TestStoppedWhileItStarts holds that a daemon which is told to stop before it has
// opened its state ends in order.
func TestStoppedWhileItStarts(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c, err := configs.Load(write(t, dir, "jwkswatch.yaml", fmt.Sprintf(wiring, dir)))
	if err != nil {
		t.Fatal(err)
	}
	db, keeper, err := recovered(t.Context(), c, zerolog.Nop())
	if err == nil {
		err = errors.Join(keeper.Write(t.Context()), db.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs strings.Builder
	if db, _, err := recovered(ctx, c, zerolog.Nop()); err == nil {
		_ = db.Close()
		t.Fatal("opening does not heed its context: this test shows nothing")
	}
	if err := run(ctx, filepath.Join(dir, "jwkswatch.yaml"), c, nil, io.Discard, &errs); err != nil || !strings.Contains(errs.String(), "stopped before it began") {
		t.Errorf("error is %v\n%s", err, &errs)
	}
}

// TestStoppedBeforeItWatches holds that a daemon which is told to stop after it has
// opened its state, and before its first poll, ends in order too.
func TestStoppedBeforeItWatches(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "jwkswatch.yaml", fmt.Sprintf(wiring, dir))
	d := wired(t, dir, file)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.run(ctx); err != nil {
		t.Error(err)
	}
	if n := d.db.Written(); n != 0 {
		t.Errorf("%d events of a start that was none", n)
	}
}

// TestBackupBeforeAnUpgrade holds that a state which another version wrote last is
// copied before this one writes to it, and that of the same version is not.
func TestBackupBeforeAnUpgrade(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := write(t, dir, "jwkswatch.yaml", fmt.Sprintf(wiring, dir))
	c, err := configs.Load(file)
	if err != nil {
		t.Fatal(err)
	}
	kept := func() int {
		list, err := bolt.KeptBackups(c.State.Path, "")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	life := func(as string) {
		t.Helper()
		db, keeper, err := recovered(t.Context(), c, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		d, err := newDaemon(file, c, db, io.Discard, zerolog.Nop(), notifier{})
		if err != nil {
			t.Fatal(err)
		}
		d.keeper = keeper
		if as != "" {
			own := d.voice.Observer
			d.voice.Observer = func() event.Observer { o := own(); o.Version = as; return o }
		}
		if err := errors.Join(d.upgraded(t.Context()), d.begin(t.Context(), c), keeper.Write(t.Context()), db.Close()); err != nil {
			t.Fatal(err)
		}
	}
	for i, step := range []struct {
		as   string
		want int
	}{
		{"", 0}, {"", 0}, {"0.0.9", 0}, {"", 1}, {"", 1},
	} {
		if life(step.as); kept() != step.want {
			t.Fatalf("life %d: %d backups, want %d", i, kept(), step.want)
		}
	}
	list, err := bolt.KeptBackups(c.State.Path, "")
	if err != nil {
		t.Fatal(err)
	}
	db, err := bolt.OpenCopy(t.Context(), list[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	voice := &agent.Voice{Store: db}
	if last, ran, err := voice.Ran(t.Context(), time.Now()); err != nil || !ran || last != "0.0.9" {
		t.Errorf("the backup is of version %q, %t, %v", last, ran, err)
	}
}
