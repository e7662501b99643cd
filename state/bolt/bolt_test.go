package bolt_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/state/statetest"
)

// childEnv names what a copy of this test binary does instead of testing.
const childEnv = "JWKSWATCH_BOLT_TEST_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "":
		os.Exit(m.Run())
	case "hold":
		childHold(os.Args[1])
	case "commit":
		childCommit(os.Args[1], false)
	case "compact":
		childCommit(os.Args[1], true)
	case "compact-once":
		childCompact(os.Args[1])
	case "damage":
		childDamage()
	case "recover":
		childRecover(os.Args[1])
	case "mutate":
		childMutate()
	case "thin":
		childThin(os.Args[1])
	case "full":
		childFull(os.Args[1])
	case "power":
		childPower(os.Args[1])
	case "faults":
		childFaults(os.Args[1], os.Args[2])
	}
}

func child(t *testing.T, what string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), childEnv+"="+what)
	cmd.Stderr = new(bytes.Buffer)
	return cmd
}

func open(t testing.TB, path string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func newPath(t testing.TB) string { t.Helper(); return filepath.Join(t.TempDir(), "state.db") }

func at(revision uint64) time.Time {
	return time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(revision) * time.Hour)
}

// step makes the Txn that leads to a revision, with n events.
func step(endpoint string, revision uint64, n int) state.Txn {
	name := fmt.Sprintf("%s-%d", endpoint, revision)
	body := fmt.Appendf(nil, `{"keys":[{"kid":%q,"n":"%x"}]}`, name, sha256.Sum256([]byte(name)))
	t := state.Txn{Prev: revision - 1, Next: state.Record{
		Endpoint: endpoint, Revision: revision, At: at(revision),
		Head:   state.Head{Epoch: "epoch", Sequence: revision * uint64(n), Hash: sha256.Sum256([]byte(name))},
		Digest: sha256.Sum256(body), Body: body, Memory: []byte("memory " + name), Evidence: []byte(`{}`),
	}}
	for i := range n {
		id := fmt.Sprintf("jw1-%s-%d", name, i)
		t.Events = append(t.Events, state.Entry{
			ID: id, Type: "key.added", Endpoint: endpoint, Severity: 4, At: at(revision), JSON: fmt.Appendf(nil, `{"id":%q}`, id),
		})
	}
	return t
}

func commit(t testing.TB, db *bolt.DB, txns ...state.Txn) {
	t.Helper()
	for _, txn := range txns {
		if err := db.Commit(context.Background(), txn); err != nil {
			t.Fatal(err)
		}
	}
}

func ids(t testing.TB, db *bolt.DB, after string) []string {
	t.Helper()
	var out []string
	for e, err := range db.Events(context.Background(), after) {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.ID)
	}
	return out
}

func TestConformance(t *testing.T) {
	t.Parallel()
	statetest.Run(t, func(t *testing.T, dir string) state.Store {
		t.Helper()
		return open(t, filepath.Join(dir, "state.db"))
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "var", "lib")
	path := filepath.Join(dir, "state.db")
	db := open(t, path)
	for name, want := range map[string]os.FileMode{path: 0o600, dir: 0o700} {
		info, err := os.Stat(name)
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s has mode %v, want %v (%v)", name, info.Mode().Perm(), want, err)
		}
	}
	if size, err := db.Size(); err != nil || size < 4096 {
		t.Error(size, err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files beside each other: %v (%v)", len(left), left, err)
	}
}

func TestOpenAtOnce(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	results := make(chan error)
	const n = 4
	for range n {
		go func() {
			db, err := bolt.Open(t.Context(), bolt.Options{Path: path, Timeout: 5 * time.Second})
			if err == nil {
				err = errors.Join(db.Seen(t.Context(), map[string]time.Time{"corp": at(1)}), db.Close())
			}
			results <- err
		}()
	}
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
}

func TestUnchangedWritesNothing(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	first := step("corp", 1, 1)
	commit(t, db, first)
	seen := map[string]time.Time{"corp": at(1)}
	head, err := db.Head(t.Context())
	if err == nil {
		err = errors.Join(db.Seen(t.Context(), seen), db.SetCursor(t.Context(), "siem", head))
	}
	if err != nil {
		t.Fatal(err)
	}
	before := db.Stats().Writes
	if before != 3 {
		t.Errorf("%d writes, want 3", before)
	}
	for range 10 {
		if err := errors.Join(db.Seen(t.Context(), seen), db.Seen(t.Context(), nil), db.SetCursor(t.Context(), "siem", head), db.Commit(t.Context(), first)); err != nil {
			t.Fatal(err)
		}
		if _, err := db.Latest(t.Context(), "corp"); err != nil {
			t.Fatal(err)
		}
	}
	if after := db.Stats().Writes; after != before {
		t.Errorf("%d writes of what is known", after-before)
	}
	// Seen is one transaction, however many endpoints.
	for i := range 300 {
		seen[fmt.Sprintf("ep-%d", i)] = at(2)
	}
	if err := db.Seen(t.Context(), seen); err != nil {
		t.Fatal(err)
	}
	if n := db.Stats().Writes - before; n != 1 {
		t.Errorf("%d writes for one flush", n)
	}
}

func TestGroupCommit(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	const n = 200
	results, start := make(chan error, n), make(chan struct{})
	for i := range n {
		txn := step(fmt.Sprintf("ep-%d", i), 1, 1)
		txn.Next.Body = nil // packing is one after the other
		go func() {
			<-start
			results <- db.Commit(t.Context(), txn)
		}()
	}
	close(start)
	for range n {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	if w := db.Stats().Writes; w == 0 || w > n/2 {
		t.Errorf("%d transactions for %d commits at once", w, n)
	}
}

// TestBubble holds that the engine works where time is simulated: nothing in
// it waits by anything but channels.
func TestBubble(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		woken := false
		go func() {
			if err := db.Wait(t.Context(), ""); err != nil {
				t.Error(err)
			}
			woken = true
		}()
		commit(t, db, step("corp", 1, 0))
		synctest.Wait()
		if woken {
			t.Error("woken without an entry")
		}
		time.Sleep(30 * 24 * time.Hour)
		commit(t, db, step("corp", 2, 1))
		synctest.Wait()
		if !woken {
			t.Error("not woken by an entry")
		}
		// A lock that is held is given up on in time.
		locked := time.Now()
		if _, err := bolt.Open(t.Context(), bolt.Options{Path: path}); !errors.Is(err, state.ErrLocked) {
			t.Errorf("error is %v", err)
		}
		if d := time.Since(locked); d > 5*time.Second || d < 3*time.Second {
			t.Errorf("waited %v for the lock", d)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		head, err := db.Head(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Wait(ctx, head); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error is %v", err)
		}
		if d := time.Since(begin); d < 30*24*time.Hour || d > 31*24*time.Hour {
			t.Errorf("%v have passed", d)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestEventByID(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	txn := step("corp", 1, 3)
	commit(t, db, txn)
	for _, want := range txn.Events {
		e, err := db.EventByID(t.Context(), want.ID)
		if err != nil || string(e.JSON) != string(want.JSON) || e.Position == "" {
			t.Errorf("event %s is %+v (%v)", want.ID, e, err)
		}
	}
	if _, err := db.EventByID(t.Context(), "jw1-nothing"); !errors.Is(err, bolt.ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestCursorAfterHead(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	commit(t, db, step("corp", 1, 1))
	head, err := db.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	beyond := head[:len(head)-1] + "9"
	if err := db.SetCursor(t.Context(), "siem", beyond); err == nil || errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
}

func TestBadNames(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	for _, name := range []string{"", "a\x00b", "a\nb", "ä", strings.Repeat("a", 200)} {
		if err := db.Commit(t.Context(), step(name, 1, 0)); err == nil || strings.ContainsAny(err.Error(), "\x00\n") || len(err.Error()) > 400 {
			t.Errorf("%q: error is %v", name, err)
		}
		if err := db.SetCursor(t.Context(), name, ""); err == nil {
			t.Errorf("%q: is a cursor", name)
		}
		if err := db.Seen(t.Context(), map[string]time.Time{name: at(1)}); err == nil {
			t.Errorf("%q: was seen", name)
		}
	}
}
