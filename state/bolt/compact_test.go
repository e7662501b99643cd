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
	"sync"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// spacious makes a state of which most was dropped: something in every bucket,
// marks too, and many free pages.
func spacious(t *testing.T, path string, endpoints int) *bolt.DB {
	t.Helper()
	db := open(t, path)
	seen := map[string]time.Time{}
	for revision := range uint64(damageRevisions) {
		for i := range endpoints {
			name := fmt.Sprintf("ep-%d", i)
			seen[name] = at(uint64(i))
			txn := sampleStep(name, revision+1)
			if revision < 3 {
				txn.Next.Evidence = bytes.Repeat([]byte("e"), 20_000)
			}
			commit(t, db, txn)
		}
	}
	head, err := db.Head(t.Context())
	if err == nil {
		err = errors.Join(db.Seen(t.Context(), seen), db.SetCursor(t.Context(), "siem", head), db.SetCursor(t.Context(), "new", ""))
	}
	if err != nil {
		t.Fatal(err)
	}
	prune(t, db, at(4), "siem")
	thin(t, db, at(5), "siem")
	return db
}

// TestCompact holds that a compacted state has all that it had, in less room, goes on,
// and is the one that its anchor knows.
func TestCompact(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := spacious(t, path, 400)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, k, err := bolt.Recover(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	if err := k.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, _ := content(db)
	spare := db.Spare()
	sizes, err := db.Compact(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d octets, %d of them free; then %d, %d free", sizes.Before, spare, sizes.After, db.Spare())
	if sizes.After > sizes.Before-spare/2 || sizes.After == 0 {
		t.Errorf("%d octets after %d, of which %d were free", sizes.After, sizes.Before, spare)
	}
	if size, err := db.Size(); err != nil || size != sizes.After {
		t.Errorf("size is %d, %v", size, err)
	}
	if got, failed := content(db); failed || !reflect.DeepEqual(got, want) {
		t.Error("it is another state")
	}
	onlyFile(t, path)
	// The anchor of before holds, and so does that of after.
	for range 2 {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if db, k, err = bolt.Recover(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream}); err != nil {
			t.Fatal(err)
		}
		if k.Loss() != nil {
			t.Fatalf("told is %+v", k.Loss())
		}
		if got, failed := content(db); failed || !reflect.DeepEqual(got, want) {
			t.Error("it is another state after it was opened again")
		}
		commit(t, db, sampleStep("ep-0", damageRevisions+1))
		if err := k.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		want, _ = content(db)
	}
}

// onlyFile holds that nothing is left behind in the folder but the state and its anchor.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	left, err := filepath.Glob(path + "?*")
	if err != nil || len(left) > 1 || len(left) == 1 && left[0] != bolt.AnchorPath(path) {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

// TestCompactUnderWay compacts over and over while others commit, prune, read and
// copy: nobody fails, and all that was stored is there.
func TestCompactUnderWay(t *testing.T) {
	t.Parallel()
	const endpoints, revisions = 6, 80
	path := newPath(t)
	db := open(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	var work, all sync.WaitGroup
	for i := range endpoints {
		work.Go(func() {
			name := fmt.Sprintf("ep-%d", i)
			for revision := range uint64(revisions) {
				if err := db.Commit(t.Context(), step(name, revision+1, 2)); err != nil {
					t.Error(err)
				}
				if revision%16 == 15 {
					if _, err := db.Prune(t.Context(), at(revision-6), []string{"siem"}); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	repeat := func(least int, do func() error) {
		all.Go(func() {
			for n := 0; ctx.Err() == nil || n < least; n++ {
				if err := do(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	repeat(5, func() error { _, err := db.Compact(t.Context(), path); return err })
	repeat(1, func() error { return db.Backup(t.Context(), &bytes.Buffer{}) })
	repeat(1, func() error { _, err := db.Size(); return err })
	repeat(1, func() error {
		for _, err := range db.Events(t.Context(), "") {
			if err != nil {
				return err
			}
		}
		_, err := db.Latest(t.Context(), "ep-0")
		return err
	})
	work.Wait()
	cancel()
	all.Wait()
	if n := len(ids(t, db, "")); n != 2*endpoints*revisions {
		t.Errorf("%d events, want %d", n, 2*endpoints*revisions)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, path)
	if _, err := bolt.Check(t.Context(), path); err != nil {
		t.Error(err)
	}
	db = open(t, path)
	for i := range endpoints {
		r, err := db.Latest(t.Context(), fmt.Sprintf("ep-%d", i))
		if err != nil || r.Revision != revisions {
			t.Errorf("revision %d, %v", r.Revision, err)
		}
	}
}

// TestCompactGivesUp holds that what keeps a compaction from its end leaves the state
// as it was, and in use.
func TestCompactGivesUp(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := spacious(t, path, 40)
	want, _ := content(db)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := db.Compact(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if got, failed := content(db); failed || !reflect.DeepEqual(got, want) {
		t.Error("it is another state")
	}
	onlyFile(t, path)
	if err := os.WriteFile(path+".compact.part-1", []byte("of a run that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Compact(t.Context(), path); err != nil {
		t.Error(err)
	}
	onlyFile(t, path)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Compact(t.Context(), path); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error of a closed state is %v", err)
	}
	onlyFile(t, path)
}

// childCompact compacts once. Each of its calls to the disk comes from one thread, so
// that strace can count them.
func childCompact(path string) {
	runtime.LockOSThread()
	db, k, err := bolt.Recover(context.Background(), bolt.RecoverOptions{Path: path, Stream: agentStream})
	must(err)
	if _, err := db.Compact(context.Background(), path); err != nil {
		fmt.Println(err)
	}
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for range 3 { // one call is refused: what may be tried again then succeeds
		if err = db.Commit(context.Background(), sampleStep("ep-0", damageRevisions+1)); err == nil {
			fmt.Println("stored")
		}
		if err == nil || db.Broken(now) != nil {
			break
		}
	}
	if db.Broken(now) == nil {
		must(err)
	}
	must(k.Write(context.Background()))
	must(db.Close())
	os.Exit(0)
}

// TestCompactKilledAtEveryCall kills a compaction before each of its calls to the disk,
// or refuses the call. The state that stands then is whole, has what was acknowledged,
// and is the one that the anchor knows.
func TestCompactKilledAtEveryCall(t *testing.T) {
	t.Parallel()
	dir := inMemory(t)
	path := filepath.Join(dir, "state.db")
	db := spacious(t, path, 12)
	want, _ := content(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db, k, err := bolt.Recover(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.Write(t.Context()), db.Close()); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	anchor, err := os.ReadFile(bolt.AnchorPath(path))
	if err != nil {
		t.Fatal(err)
	}
	every := 8
	if os.Getenv(mutationsEnv) != "" {
		every = 1
	}
	points := 0
	for _, call := range []string{"renameat", "unlinkat", "fsync", "fdatasync", "pwrite64", "ftruncate"} {
		for _, fault := range []string{"signal=KILL", "error=EIO"} {
			step := every
			if call != "pwrite64" {
				step = 1
			}
			for n := 1; ; n += step {
				left, err := filepath.Glob(path + "*")
				if err != nil {
					t.Fatal(err)
				}
				for _, name := range left {
					if err := os.Remove(name); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(os.WriteFile(path, file, 0o600), os.WriteFile(bolt.AnchorPath(path), anchor, 0o600)); err != nil {
					t.Fatal(err)
				}
				cmd := straced(t, child(t, "compact-once", path), "-o", os.DevNull, "-e", "trace="+call, "-e", fmt.Sprintf("inject=%s:%s:when=%d", call, fault, n))
				out, err := cmd.Output()
				if err == nil && fault == "signal=KILL" {
					break // there are no more such calls
				}
				points++
				stored := bytes.Contains(out, []byte("stored"))
				compactedAfter(t, fmt.Sprintf("%s at %s %d (%v, %s)", fault, call, n, err, out), path, want, stored)
				if err == nil && stored && n > 16 {
					break // no call any more
				}
			}
		}
	}
	t.Logf("%d points", points)
	if points < 40 {
		t.Errorf("only %d points", points)
	}
}

func compactedAfter(t *testing.T, place, path string, want map[string]any, stored bool) {
	t.Helper()
	db, k, err := bolt.Recover(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream})
	if err != nil {
		t.Fatalf("%s: %v", place, err)
	}
	defer db.Close()
	if k.Loss() != nil {
		t.Fatalf("%s: told is %+v", place, k.Loss())
	}
	r, err := db.Latest(t.Context(), "ep-0")
	if err != nil || stored && r.Revision != damageRevisions+1 {
		t.Fatalf("%s: revision %d, %v", place, r.Revision, err)
	}
	if r.Revision == damageRevisions+1 {
		return // the commit after it
	}
	if got, failed := content(db); failed || !reflect.DeepEqual(got, want) {
		t.Fatalf("%s: it is another state", place)
	}
}

// TestCompactLarge measures how long commits wait for a compaction of a large state.
func TestCompactLarge(t *testing.T) {
	if os.Getenv(mutationsEnv) == "" {
		t.Skip("JWKSWATCH_LONG is not set: this measures, and holds nothing that the others do not")
	}
	path := newPath(t)
	db := open(t, path)
	var fill sync.WaitGroup
	for i := range 200 {
		fill.Go(func() {
			for revision := range uint64(50) {
				txn := step(fmt.Sprintf("ep-%d", i), revision+1, 4)
				txn.Next.Evidence = bytes.Repeat([]byte("e"), 50_000)
				if err := db.Commit(t.Context(), txn); err != nil {
					t.Error(err)
				}
			}
		})
	}
	fill.Wait()
	prune(t, db, at(25), "siem")
	ctx, cancel := context.WithCancel(t.Context())
	var worst time.Duration
	var commits int
	var work sync.WaitGroup
	work.Go(func() {
		for revision := uint64(1); ctx.Err() == nil; revision++ {
			begun := time.Now()
			if err := db.Commit(t.Context(), step("busy", revision, 2)); err != nil {
				t.Error(err)
			}
			worst, commits = max(worst, time.Since(begun)), commits+1
		}
	})
	begun := time.Now()
	sizes, err := db.Compact(t.Context(), path)
	took := time.Since(begun)
	cancel()
	work.Wait()
	t.Logf("from %d to %d MiB in %v; meanwhile %d commits, the longest %v (%v)", sizes.Before>>20, sizes.After>>20, took.Round(time.Millisecond), commits, worst.Round(time.Millisecond), err)
	if err != nil || worst > 5*time.Second {
		t.Error("commits wait too long")
	}
}
