package bolt_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// TestTaken takes the file of an open state away, and puts others in its place and
// into it. Nothing may be written any more, and the anchor must not follow: the next
// start has to see it.
func TestTaken(t *testing.T) {
	t.Parallel()
	const stream = "corp"
	for name, c := range map[string]struct {
		do     func(t *testing.T, path string, old []byte)
		taken  bool
		reason string // at the next start
	}{
		"deleted": {func(t *testing.T, path string, _ []byte) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, true, bolt.ReasonLost},
		"another in its place": {func(t *testing.T, path string, old []byte) {
			beside := filepath.Join(filepath.Dir(path), "copy")
			if err := errors.Join(os.WriteFile(beside, old, 0o600), os.Rename(beside, path)); err != nil {
				t.Fatal(err)
			}
		}, true, bolt.ReasonOlder},
		"an older one written into it": {func(t *testing.T, path string, old []byte) {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteAt(old, 0)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}, false, bolt.ReasonOlder},
	} {
		for _, first := range []string{"the anchor", "a commit"} {
			if c.taken && first == "a commit" {
				continue // it succeeds, and is lost: only the name shows it
			}
			t.Run(name+"/"+first, func(t *testing.T) {
				t.Parallel()
				path := newPath(t)
				o := bolt.RecoverOptions{Path: path, Stream: stream}
				db, k, err := bolt.Recover(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = db.Close() })
				commit(t, db, step(stream, 1, 1))
				old, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				commit(t, db, step(stream, 2, 1), step("other", 1, 3))
				if err := k.Write(t.Context()); err != nil {
					t.Fatal(err)
				}
				anchor, err := os.ReadFile(bolt.AnchorPath(path))
				if err != nil {
					t.Fatal(err)
				}
				c.do(t, path, old)
				if first == "the anchor" {
					if err := k.Write(t.Context()); !errors.Is(err, state.ErrUnavailable) || errors.Is(err, bolt.ErrTaken) != c.taken {
						t.Errorf("the anchor: %v", err)
					}
				}
				if err := db.Commit(t.Context(), step("other", 2, 3)); !errors.Is(err, state.ErrUnavailable) {
					t.Errorf("a commit: %v", err)
				}
				if err := db.Broken(t.Context()); errors.Is(err, bolt.ErrTaken) != c.taken {
					t.Errorf("it ends with %v", err)
				}
				if err := k.Write(t.Context()); err == nil {
					t.Error("the anchor follows")
				}
				if c.taken { // all of it can be saved still
					if kept, err := db.Keep(t.Context(), bolt.KeepOptions{StatePath: path, Dir: t.TempDir(), Now: at(9)}); err != nil {
						t.Error(err)
					} else if r, err := bolt.Check(t.Context(), kept); err != nil || r.Damaged != 0 {
						t.Errorf("the backup: %+v (%v)", r, err)
					}
				}
				if now, err := os.ReadFile(bolt.AnchorPath(path)); err != nil || string(now) != string(anchor) {
					t.Errorf("the anchor is\n%s(%v), was\n%s", now, err, anchor)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				db, k, err = bolt.Recover(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if l := k.Loss(); l == nil || l.Reason != c.reason {
					t.Errorf("the next start: %+v", l)
				}
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}
