package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/jwkswatch/jwkswatch/state"
)

// rewrite changes a closed state by bbolt alone.
func rewrite(t *testing.T, path string, change func(*bbolt.Tx) error) {
	t.Helper()
	b, err := bbolt.Open(path, 0o600, &bbolt.Options{NoFreelistSync: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.Update(change), b.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestFormatVersion(t *testing.T) {
	t.Parallel()
	for version, hint := range map[uint32]string{0: "migrate", 3: "newer", 258: "newer"} {
		path := filepath.Join(t.TempDir(), "state.db")
		if err := openTest(t, path).Close(); err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, func(tx *bbolt.Tx) error {
			key := []byte(metaFormat)
			return tx.Bucket([]byte(bucketMeta)).Put(key, seal(bucketMeta, key, binary.BigEndian.AppendUint32(nil, version)))
		})
		// Nor does a daemon give such a state up: it belongs to another version.
		if _, _, err := Recover(t.Context(), RecoverOptions{Path: path}); !errors.Is(err, ErrFormat) {
			t.Errorf("format %d: recovering it gives %v", version, err)
		}
		_, err := Open(t.Context(), Options{Path: path})
		if !errors.Is(err, ErrFormat) || errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), hint) ||
			!strings.Contains(err.Error(), fmt.Sprintf("format %d,", version)) || !strings.Contains(err.Error(), "formats 1 and 2:") {
			t.Errorf("format %d: error is %v", version, err)
		}
	}
}

// TestMissing holds that what is gone is not taken for what never was.
func TestMissing(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bucket, key string }{
		{bucketHeads, "corp"},
		{bucketMemory, "corp"},
		{bucketRecords, string(recordKey("corp", 1))},
		{bucketJournal, string(number(2))},
		{bucketEventIDs, "jw1-1"},
		{bucketCursors, "siem"},
		{bucketSeen, string(seenKey("corp"))},
		{bucketBodies, string(number(1))},
		{bucketMeta, metaKey},
		{bucketMeta, metaEpoch},
		{bucketMeta, metaLedger},
		{bucketMeta, metaFormat},
		{bucketHeads, ""}, // the bucket
	} {
		path := filepath.Join(t.TempDir(), "state.db")
		db := openTest(t, path)
		for revision := range uint64(3) {
			err := db.Commit(t.Context(), state.Txn{
				Prev: revision, Next: state.Record{Endpoint: "corp", Revision: revision + 1, Body: []byte("{}")},
				Events: []state.Entry{{ID: fmt.Sprint("jw1-", revision), JSON: []byte("{}")}},
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(db.Seen(t.Context(), map[string]time.Time{"corp": time.Unix(1, 0)}), db.SetCursor(t.Context(), "siem", ""), db.Close()); err != nil {
			t.Fatal(err)
		}
		rewrite(t, path, func(tx *bbolt.Tx) error {
			if c.key == "" {
				return tx.DeleteBucket([]byte(c.bucket))
			}
			if tx.Bucket([]byte(c.bucket)).Get([]byte(c.key)) == nil {
				t.Errorf("%s %q is not there", c.bucket, c.key)
			}
			return tx.Bucket([]byte(c.bucket)).Delete([]byte(c.key))
		})
		if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("without %s %q: error is %v", c.bucket, c.key, err)
		}
	}
}

// TestMetaPages holds that one valid meta page of two is not enough: it is the
// state before the last transaction.
func TestMetaPages(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := openTest(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	original, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, start := range []int{16, os.Getpagesize() + 16} {
		for i := start; i < start+boltMetaSize; i++ {
			bad := bytes.Clone(original)
			bad[i] ^= 0x10
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("octet %d: error is %v", i, err)
			}
		}
	}
}

// TestStoredFreelist holds that a file with a stored freelist, as other tools
// write it, is read.
func TestStoredFreelist(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := openTest(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	b, err := bbolt.Open(path, 0o600, nil)
	if err == nil {
		err = errors.Join(b.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists([]byte("x"))
			return err
		}), b.Update(func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("x")) }), b.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	db := openTest(t, path)
	if err := db.SetCursor(t.Context(), "siem", ""); err != nil {
		t.Error(err)
	}
}

// TestUnavailable holds what an error of the disk does: a full one leaves the
// store at work, a broken one ends all writing.
func TestUnavailable(t *testing.T) {
	t.Parallel()
	db := openTest(t, filepath.Join(t.TempDir(), "state.db"))
	txn := state.Txn{Next: state.Record{Endpoint: "corp", Revision: 1, Memory: bytes.Repeat([]byte("m"), 1<<20)}}
	db.on.Load().bolt.MaxSize = 1 << 16
	for range 2 {
		if err := db.Commit(t.Context(), txn); !errors.Is(err, state.ErrUnavailable) || !errors.Is(err, berrors.ErrMaxSizeReached) {
			t.Fatalf("error is %v", err)
		}
	}
	db.on.Load().bolt.MaxSize = 0
	if err := db.Commit(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
	// What was written before an error may be lost without a further one.
	if err := db.on.Load().file.Close(); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := db.SetCursor(t.Context(), "siem", ""); !errors.Is(err, state.ErrUnavailable) || !errors.Is(err, os.ErrClosed) {
			t.Fatalf("error is %v", err)
		}
	}
	if db.broken == nil {
		t.Error("goes on after an error of the disk")
	}
	if r, err := db.Latest(t.Context(), "corp"); err != nil || r.Revision != 1 {
		t.Errorf("revision %d (%v)", r.Revision, err)
	}
}

// TestHalfWay holds that an op that fails after its first change takes nothing
// of its own and nobody else with it.
func TestHalfWay(t *testing.T) {
	t.Parallel()
	db := openTest(t, filepath.Join(t.TempDir(), "state.db"))
	boom := errors.New("boom")
	ops := []*op{}
	for i := range 3 {
		ops = append(ops, &op{done: make(chan struct{}), apply: func(w *writer) error {
			if err := w.put(bucketCursors, []byte{'a' + byte(i)}, number(0)); err != nil {
				return err
			}
			w.ledger.cursors++
			if i == 1 {
				return boom
			}
			return nil
		}})
	}
	db.turn <- struct{}{}
	db.queue = ops
	db.writeBatch()
	<-db.turn
	for i, o := range ops {
		_, ok, err := db.Cursor(t.Context(), string(rune('a'+i)))
		if err != nil || ok != (i != 1) || (o.err == nil) != ok || (i == 1 && !errors.Is(o.err, boom)) {
			t.Errorf("op %d: stored %v, %v (%v)", i, ok, o.err, err)
		}
	}
}

// TestMisplaced holds that values which are whole, and of the right number, are
// not taken for others: a memory of another step, an entry at another position.
func TestMisplaced(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	db := openTest(t, path)
	txn := state.Txn{Next: state.Record{Endpoint: "corp", Revision: 1}}
	for _, id := range []string{"a", "b", "c"} {
		txn.Events = append(txn.Events, state.Entry{ID: id, JSON: []byte("{}")})
	}
	if err := errors.Join(db.Commit(t.Context(), txn), db.Close()); err != nil {
		t.Fatal(err)
	}
	rewrite(t, path, func(tx *bbolt.Tx) error {
		journal, from, to := tx.Bucket([]byte(bucketJournal)), number(2), number(9)
		payload, err := unseal(bucketJournal, from, journal.Get(from))
		return errors.Join(err, journal.Put(to, seal(bucketJournal, to, payload)), journal.Delete(from),
			tx.Bucket([]byte(bucketMemory)).Put([]byte("corp"), seal(bucketMemory, []byte("corp"), encodeMemory(7, nil))))
	})
	db = openTest(t, path)
	if _, err := db.Latest(t.Context(), "corp"); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	var got []string
	var failed error
	for e, err := range db.Events(t.Context(), "") {
		if failed = err; err == nil {
			got = append(got, e.ID)
		}
	}
	if len(got) > 1 || !errors.Is(failed, state.ErrCorrupt) || !strings.Contains(failed.Error(), "bucket journal, key 2") {
		t.Errorf("events are %v, error is %v", got, failed)
	}
}
