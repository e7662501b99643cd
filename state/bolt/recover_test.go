package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// childRecover recovers a state, and says why it had to. It stays on one thread,
// because strace counts by thread.
func childRecover(path string) {
	runtime.LockOSThread()
	db, k, err := bolt.Recover(context.Background(), bolt.RecoverOptions{Path: path, Stream: agentStream})
	must(err)
	fmt.Println(k.Loss() != nil)
	must(db.Close())
	os.Exit(0)
}

// TestRecoverKilledAtEveryCall kills a recovery before each of its calls to the
// disk, or refuses the call, one in each run. The next recovery ends it: the same
// reason is told, and the right state goes on. No crash makes a loss silent.
func TestRecoverKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	dir := inMemory(t)
	a := gathered(dir)
	damaged := slices.Clone(a.newest.file)
	clear(damaged[8192 : len(damaged)/2])
	type laid map[string][]byte
	const kept = "state.db.backup-20261101T030000Z"
	scenes := []struct {
		reason string
		files  laid
		want   map[string]any
	}{
		{bolt.ReasonDamaged, laid{"state.db": damaged, "state.db.anchor": a.anchor, kept: a.early.file}, a.early.want},
		{bolt.ReasonOlder, laid{"state.db": a.late.file, "state.db.anchor": a.anchor}, a.late.want},
		{bolt.ReasonLost, laid{"state.db.anchor": a.anchor}, a.empty.want},
		{bolt.ReasonForeign, laid{"state.db": a.foreign.file, "state.db.anchor": a.anchor, kept: a.early.file}, a.early.want},
		{bolt.ReasonDamaged, laid{"state.db": nil}, a.empty.want},
	}
	every := 8
	if os.Getenv(mutationsEnv) != "" {
		every = 1
	}
	points := 0
	for i, s := range scenes {
		for _, call := range []string{"renameat", "linkat", "unlinkat", "fsync", "fdatasync", "pwrite64"} {
			for _, fault := range []string{"signal=KILL", "error=ENOSPC"} {
				step := every
				if call == "renameat" || call == "linkat" {
					step = 1
				}
				for n := 1 + i%step; ; n += step {
					folder := filepath.Join(dir, "scene")
					if err := errors.Join(os.RemoveAll(folder), os.Mkdir(folder, 0o700)); err != nil {
						t.Fatal(err)
					}
					for name, b := range s.files {
						if err := os.WriteFile(filepath.Join(folder, name), b, 0o600); err != nil {
							t.Fatal(err)
						}
					}
					path := filepath.Join(folder, "state.db")
					cmd := straced(t, child(t, "recover", path), "-o", os.DevNull, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, fault, n))
					out, err := cmd.Output()
					if err == nil && fault == "signal=KILL" {
						break // there are no more such calls
					}
					points++
					place := fmt.Sprintf("%s, %s at %s %d (%v, %s)", s.reason, fault, call, n, err, out)
					a.recoveredAfter(t, place, path, s.reason, s.want, s.files["state.db"])
					if err == nil && n > 12 {
						break // an error that hurts nobody, or no call any more
					}
				}
			}
		}
	}
	t.Logf("%d points, 0 silent losses", points)
	if points < 50 {
		t.Errorf("only %d points", points)
	}
}

func (a *archive) recoveredAfter(t *testing.T, place, path, reason string, want map[string]any, stood []byte) {
	t.Helper()
	db, k, err := bolt.Recover(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream})
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	defer db.Close()
	loss := k.Loss()
	if loss == nil || loss.Reason != reason {
		t.Fatalf("%s: told is %+v", place, loss)
	}
	if loss.Epoch != db.Installation().Epoch || loss.Epoch == a.newest.want["installation"].(bolt.Installation).Epoch {
		t.Errorf("%s: epoch %s, the state has %s", place, loss.Epoch, db.Installation().Epoch)
	}
	got, failed := content(db)
	delete(got, "installation")
	for key, value := range got {
		if !reflect.DeepEqual(value, want[key]) {
			t.Fatalf("%s: %s is %+v, want %+v", place, key, value, want[key])
		}
	}
	if failed {
		t.Errorf("%s: what goes on is damaged", place)
	}
	if loss.Aside == "" {
		return
	}
	if b, err := os.ReadFile(filepath.Join(filepath.Dir(path), loss.Aside)); err != nil || !bytes.Equal(b, stood) {
		t.Errorf("%s: what stood there is not kept (%v)", place, err)
	}
}

// TestRecoverAtOnce holds that two that recover the same state at once end with
// one state and one holder of it.
func TestRecoverAtOnce(t *testing.T) {
	t.Parallel()
	a := gathered(t.TempDir())
	for _, file := range [][]byte{a.newest.file[:len(a.newest.file)/2], a.foreign.file, nil} {
		path := newPath(t)
		if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(bolt.AnchorPath(path), a.anchor, 0o600), os.WriteFile(path+".backup-20261101T030000Z", a.early.file, 0o600)); err != nil {
			t.Fatal(err)
		}
		type result struct {
			db  *bolt.DB
			err error
		}
		results := make(chan result)
		for range 3 {
			go func() {
				db, _, err := bolt.Recover(context.Background(), bolt.RecoverOptions{Path: path, Stream: agentStream, Timeout: 300 * time.Millisecond})
				results <- result{db, err}
			}()
		}
		var held []*bolt.DB
		for range 3 {
			switch r := <-results; {
			case r.err == nil:
				held = append(held, r.db)
			case !errors.Is(r.err, state.ErrLocked):
				t.Errorf("error is %v", r.err)
			}
		}
		if len(held) != 1 {
			t.Fatalf("%d hold the state", len(held))
		}
		got, failed := content(held[0])
		delete(got, "installation")
		want := allBut(a.early.want)
		if failed || !reflect.DeepEqual(got, want) {
			t.Errorf("the state is not the backup")
		}
		if err := held[0].Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// allBut is what a restored state must hold: all but the epoch.
func allBut(want map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range want {
		if k != "installation" {
			out[k] = v
		}
	}
	return out
}

// TestRecoverRefuses holds what is an error and no loss: nothing is moved.
func TestRecoverRefuses(t *testing.T) {
	t.Parallel()
	a := gathered(t.TempDir())
	path := newPath(t)
	if err := os.WriteFile(path, a.newest.file, 0o600); err != nil {
		t.Fatal(err)
	}
	held := open(t, path)
	_, _, err := bolt.Recover(t.Context(), bolt.RecoverOptions{Path: path, Timeout: time.Millisecond})
	if !errors.Is(err, state.ErrLocked) {
		t.Errorf("a held state: %v", err)
	}
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bolt.Recover(t.Context(), bolt.RecoverOptions{Path: filepath.Dir(path)}); err == nil {
		t.Error("a folder was recovered")
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("there are %q now (%v)", names, err)
	}
}

// TestCheck holds what of a state is the agent's future and what its past.
func TestCheck(t *testing.T) {
	t.Parallel()
	path := writeSample(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := bolt.Check(t.Context(), path)
	if err != nil || whole.Damaged != 0 || whole.Values < 100 || whole.Format != 2 || whole.Epoch == "" {
		t.Fatalf("%+v %v", whole, err)
	}
	// The oldest record of a stream is its past, its newest the future.
	damage := func(text string, nth int) (bolt.Report, error) {
		b := slices.Clone(before)
		at := -len(text)
		for range nth {
			at += len(text)
			at += bytes.Index(b[at:], []byte(text))
		}
		b[at] ^= 1
		bad := newPath(t)
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		return bolt.Check(t.Context(), bad)
	}
	past, future := 0, 0
	for nth := 1; nth <= strings.Count(string(before), strings.Repeat("ep-3", 100)); nth++ {
		switch r, err := damage(strings.Repeat("ep-3", 100), nth); {
		case errors.Is(err, state.ErrCorrupt):
			future++
		case err == nil && r.Damaged == 1 && strings.Contains(r.First[0], "records"):
			past++
		case err != nil || r.Damaged != 0: // of a page that is free
			t.Errorf("%+v %v", r, err)
		}
	}
	if past == 0 || future == 0 {
		t.Errorf("%d of the past, %d of the future", past, future)
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the check has changed the file (%v)", err)
	}
}

// TestKeep holds that a damaged state pushes no good backup out, and that the
// time of a clock which was set back drops nothing that was just written.
func TestKeep(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	commit(t, db, step("corp", 1, 1))
	keep := func(day int, check func(context.Context, string) error) (string, error) {
		return db.Keep(t.Context(), bolt.KeepOptions{
			StatePath: path, Keep: 2, Now: time.Date(2026, 11, day, 3, 0, 0, 0, time.UTC), Check: check,
		})
	}
	names := func() string {
		list, err := bolt.KeptBackups(path, "")
		if err != nil {
			t.Fatal(err)
		}
		var days []string
		for _, k := range list {
			days = append(days, k.At.Format("02"))
		}
		return strings.Join(days, " ")
	}
	for _, c := range []struct {
		day   int
		check func(context.Context, string) error
		left  string
	}{
		{1, nil, "01"},
		{2, nil, "02 01"},
		{3, func(context.Context, string) error { return state.ErrCorrupt }, "02 01"},
		{4, nil, "04 02"},
		{3, nil, "04 03"},
		{1, nil, "04 01"},
	} {
		if _, err := keep(c.day, c.check); (err != nil) != (c.check != nil) {
			t.Errorf("day %d: %v", c.day, err)
		}
		if got := names(); got != c.left {
			t.Errorf("day %d: left are %q, want %q", c.day, got, c.left)
		}
	}
	list, err := bolt.KeptBackups(path, "")
	if err != nil {
		t.Fatal(err)
	}
	day := func(n, hour int) time.Time { return time.Date(2026, 11, n, hour, 0, 0, 0, time.UTC) }
	for at, want := range map[time.Time]bool{day(2, 2): false, day(2, 3): true, day(4, 2): true, day(4, 4): false, day(5, 4): true} {
		if got := bolt.KeepDue(list, at, 24*time.Hour); got != want {
			t.Errorf("%v: due is %v", at, got)
		}
	}
}

// TestAnchorIsNeverNewer holds that a state which was just written and killed is
// never older than its anchor.
func TestAnchorIsNeverNewer(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	o := bolt.RecoverOptions{Path: path, Stream: "corp"}
	for round := range uint64(5) {
		db, k, err := bolt.Recover(t.Context(), o)
		if err != nil || k.Loss() != nil || len(k.Notes) > 0 {
			t.Fatalf("round %d: %v, %+v, %q", round, err, k.Loss(), k.Notes)
		}
		done := make(chan error)
		go func() {
			var err error
			for range 50 {
				err = errors.Join(err, k.Write(context.Background()))
			}
			done <- err
		}()
		for r := range uint64(20) {
			commit(t, db, step("corp", round*20+r+1, 1))
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		before, err := os.ReadFile(bolt.AnchorPath(path))
		if err != nil {
			t.Fatal(err)
		}
		if err := k.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := k.Write(t.Context()); err != nil { // says nothing new
			t.Fatal(err)
		}
		if err := errors.Join(db.Close(), os.WriteFile(bolt.AnchorPath(path), before, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
}
