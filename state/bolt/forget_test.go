package bolt_test

import (
	"slices"
	"testing"
)

// TestForget drops the snapshots of one endpoint, over several batches, and
// leaves its newest, its body and everybody else's alone.
func TestForget(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	const n = 600
	for i := range uint64(n) {
		s := step("corp", i+1, 0)
		if i > 0 {
			s.Next.Body = nil // the first one's stands for all
		}
		commit(t, db, s)
	}
	commit(t, db, step("partner", 1, 1), step("partner", 2, 1))
	if got, err := db.Forget(t.Context(), "corp", at(n-2)); err != nil || got != n-3 {
		t.Errorf("dropped %d, want %d (%v)", got, n-3, err)
	}
	if got := revisions(t, db, "corp"); !slices.Equal(got, []uint64{n, n - 1, n - 2}) {
		t.Errorf("corp has %v", got)
	}
	if got, err := db.Forget(t.Context(), "corp", at(10*n)); err != nil || got != 2 {
		t.Errorf("dropped %d, want 2: the newest stays (%v)", got, err)
	}
	if got := revisions(t, db, "partner"); !slices.Equal(got, []uint64{2, 1}) {
		t.Errorf("partner has %v", got)
	}
	if got, err := db.Forget(t.Context(), "nobody", at(n)); err != nil || got != 0 {
		t.Errorf("dropped %d of nobody (%v)", got, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := revisions(t, open(t, path), "corp"); !slices.Equal(got, []uint64{n}) {
		t.Errorf("after a restart corp has %v", got)
	}
}
