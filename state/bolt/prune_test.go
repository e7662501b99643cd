package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func revisions(t *testing.T, db *bolt.DB, endpoint string) (out []uint64) {
	t.Helper()
	for r, err := range db.Snapshots(t.Context(), endpoint) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Body == nil {
			t.Fatalf("revision %d has lost its body", r.Revision)
		}
		out = append(out, r.Revision)
	}
	return out
}

func prune(t *testing.T, db *bolt.DB, before time.Time, cursors ...string) bolt.Pruned {
	t.Helper()
	p, err := db.Prune(t.Context(), before, cursors)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPruneSnapshots(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	// Revisions 1 to 4 of corp; 3 lets the body of 2 stand. Partner has the
	// body of corp's first revision. Old has one revision, older than all.
	third, other := step("corp", 3, 0), step("partner", 1, 0)
	third.Next.Body = nil
	other.Next.Body, other.Next.At = step("corp", 1, 0).Next.Body, at(100)
	commit(t, db, step("corp", 1, 0), step("corp", 2, 0), third, step("corp", 4, 0), other, step("old", 1, 0))
	if p := prune(t, db, at(1)); p != (bolt.Pruned{}) {
		t.Errorf("dropped %+v, nothing is older", p)
	}
	// Corp's first goes, its body stays: partner's is the same.
	if p := prune(t, db, at(2)); p != (bolt.Pruned{Snapshots: 1}) {
		t.Errorf("dropped %+v", p)
	}
	// The second goes, its body stands in the third.
	if p := prune(t, db, at(3)); p != (bolt.Pruned{Snapshots: 1}) {
		t.Errorf("dropped %+v", p)
	}
	if got := revisions(t, db, "corp"); !slices.Equal(got, []uint64{4, 3}) {
		t.Errorf("corp has %v", got)
	}
	if p := prune(t, db, at(1000)); p != (bolt.Pruned{Snapshots: 1, Bodies: 1}) {
		t.Errorf("dropped %+v", p)
	}
	writes := db.Stats().Writes
	if p := prune(t, db, at(1000)); p != (bolt.Pruned{}) || db.Stats().Writes != writes {
		t.Errorf("dropped %+v in %d writes, nothing is left", p, db.Stats().Writes-writes)
	}
	for endpoint, want := range map[string]uint64{"corp": 4, "partner": 1, "old": 1} {
		if got := revisions(t, db, endpoint); !slices.Equal(got, []uint64{want}) {
			t.Errorf("%s has %v", endpoint, got)
		}
		r, err := db.Latest(t.Context(), endpoint)
		if want := fmt.Sprintf("memory %s-%d", endpoint, want); err != nil || string(r.Memory) != want {
			t.Errorf("memory of %s is %q (%v)", endpoint, r.Memory, err)
		}
	}
	// The body that was dropped may come again, and the file is whole.
	again := step("corp", 5, 0)
	again.Next.Body = step("corp", 2, 0).Next.Body
	commit(t, db, again)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := revisions(t, open(t, path), "corp"); !slices.Equal(got, []uint64{5, 4}) {
		t.Errorf("corp has %v", got)
	}
}

func TestPruneJournal(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	for revision := range uint64(6) {
		commit(t, db, step("corp", revision+1, 1))
	}
	var positions []string
	for e, err := range db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		positions = append(positions, e.Position)
	}
	for name, n := range map[string]int{"fast": 5, "slow": 2} {
		if err := db.SetCursor(t.Context(), name, positions[n]); err != nil {
			t.Fatal(err)
		}
	}
	if p := prune(t, db, at(1000), "fast", "never started"); p.Entries != 0 {
		t.Errorf("dropped %+v before a cursor that is not stored", p)
	}
	if p := prune(t, db, at(2), "fast", "slow"); p.Entries != 1 {
		t.Errorf("dropped %+v, one entry is older", p)
	}
	if p := prune(t, db, at(1000), "fast", "slow"); p.Entries != 2 {
		t.Errorf("dropped %+v, the slow cursor has passed three", p)
	}
	for _, after := range []string{"", positions[0], positions[2]} {
		if got := ids(t, db, after); len(got) != 3 || got[0] != "jw1-corp-4-0" {
			t.Errorf("after %q: %v", after, got)
		}
	}
	if _, err := db.EventByID(t.Context(), "jw1-corp-1-0"); !errors.Is(err, bolt.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
	// An empty journal keeps its head, and has nothing to wait for.
	if p := prune(t, db, at(1000)); p.Entries != 3 {
		t.Errorf("dropped %+v", p)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, path)
	if head, err := db.Head(t.Context()); err != nil || head != positions[5] {
		t.Errorf("head is %q (%v)", head, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := db.Wait(ctx, ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
	commit(t, db, step("corp", 7, 1))
	if err := db.Wait(t.Context(), ""); err != nil {
		t.Error(err)
	}
	if got := ids(t, db, positions[5]); !slices.Equal(got, []string{"jw1-corp-7-0"}) {
		t.Errorf("events are %v", got)
	}
}

// TestPruneUnderWay prunes while others read and commit: what they read may
// end early, but it is never wrong.
func TestPruneUnderWay(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	const n = 600 // several batches
	for revision := range uint64(n) {
		txn := step("corp", revision+1, 1)
		if revision > 0 {
			txn.Next.Body = nil
		}
		commit(t, db, txn)
	}
	stop := make(chan struct{})
	committed := make(chan error, 1)
	go func() {
		var err error
		for revision := uint64(n + 1); err == nil; revision++ {
			select {
			case <-stop:
				committed <- nil
				return
			default:
				err = db.Commit(t.Context(), step("corp", revision, 1))
			}
		}
		committed <- err
	}()
	first := true
	for _, err := range db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if first {
			first = false
			for _, err := range db.Snapshots(t.Context(), "corp") {
				if err != nil {
					t.Fatal(err)
				}
				if p := prune(t, db, at(n-10)); p.Entries > n || p.Snapshots > n {
					t.Errorf("dropped %+v", p)
				}
			}
		}
	}
	close(stop)
	if err := <-committed; err != nil {
		t.Error(err)
	}
	var all []state.Record
	for r, err := range db.Snapshots(t.Context(), "corp") {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, r)
	}
	if last := all[len(all)-1]; !last.At.Equal(at(n - 10)) {
		t.Errorf("the oldest snapshot is of %v", last.At)
	}
}
