package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/jwkswatch/jwkswatch/state"
)

// lockRetry is how often a lock that is held is tried again.
const lockRetry = 50 * time.Millisecond

// Open opens the state at Options.Path and creates it, with its folder, when
// there is none. Nothing is read by bbolt before the file was looked at: see
// inspect. Errors: state.ErrLocked when the state is held, in this process or
// another; state.ErrCorrupt, ErrFormat and those of the file system.
func Open(ctx context.Context, o Options) (*DB, error) {
	db, err := open(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("opening state %s: %w", o.Path, err)
	}
	return db, nil
}

func open(ctx context.Context, o Options) (_ *DB, err error) {
	if o.Path == "" {
		return nil, errors.New("path is empty")
	}
	if o.Timeout == 0 {
		o.Timeout = defaultTimeout
	}
	if _, err := os.Stat(o.Path); errors.Is(err, os.ErrNotExist) {
		if err := create(o.Path); err != nil {
			return nil, fmt.Errorf("creating it: %w", err)
		}
	}
	f, err := openLocked(ctx, o)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = f.Close() // gives up the lock; bbolt may have closed it already
		}
	}()
	return openFile(f, func() (*bbolt.DB, error) { return openBolt(o.Path, f) })
}

// openLocked opens the file and locks it. While it waited, a recovery or a
// restore may have put another file in its place, and the lock is then that of a
// file which nobody calls the state any more.
func openLocked(ctx context.Context, o Options) (*os.File, error) {
	for {
		f, err := os.OpenFile(o.Path, os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		named := false
		if err = lock(ctx, f, o.Timeout, tryLock); err == nil {
			named, err = stillNamed(f, o.Path)
		}
		if named {
			return f, nil
		}
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, err
		}
	}
}

// openFile looks at a file before bbolt does and reads what it holds.
func openFile(f *os.File, openBolt func() (*bbolt.DB, error)) (*DB, error) {
	counts, err := inspect(f)
	if err != nil {
		return nil, err
	}
	db := &DB{turn: make(chan struct{}, 1), closed: make(chan struct{}), woken: make(chan struct{}), gaveUp: make(chan struct{})}
	if db.packer, err = newPacker(); err != nil {
		return nil, err
	}
	b, err := openBolt()
	if err != nil {
		return nil, err
	}
	db.on.Store(&handle{b, f})
	if err := db.view(func(tx *bbolt.Tx) error { return db.load(tx, counts) }); err != nil {
		_ = b.Close()
		return nil, err
	}
	return db, nil
}

// openBolt gives bbolt the file that is locked and was looked at.
func openBolt(path string, f *os.File) (b *bbolt.DB, err error) {
	err = guard(func() error {
		b, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:        lockRetry,
			FreelistType:   bbolt.FreelistMapType,
			NoFreelistSync: true, // measured: a large freelist is written anew in every commit
			OpenFile:       func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if errors.Is(err, berrors.ErrTimeout) {
		err = state.ErrLocked
	}
	return b, err
}

// lock waits for a lock of f, at most for timeout.
func lock(ctx context.Context, f *os.File, timeout time.Duration, try func(*os.File) (bool, error)) error {
	deadline := time.NewTimer(timeout)
	defer deadline.Stop()
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		if ok, err := try(f); err != nil {
			return fmt.Errorf("locking it: %w", err)
		} else if ok {
			return nil
		}
		select {
		case <-retry.C:
		case <-deadline.C:
			return fmt.Errorf("%w (waited %s)", state.ErrLocked, timeout)
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", state.ErrLocked, ctx.Err())
		}
	}
}

// load reads what every later read relies on, and verifies the buckets where a
// key that went missing would look like something never seen.
func (db *DB) load(tx *bbolt.Tx, counts map[string]uint64) error {
	if err := checkCounts(counts, nil); err != nil {
		return err
	}
	format, err := checkFormat(tx)
	if err != nil {
		return err
	}
	epoch, err := get(tx, bucketMeta, []byte(metaEpoch))
	if err != nil {
		return err
	}
	key, err := get(tx, bucketMeta, []byte(metaKey))
	if err != nil {
		return err
	}
	if len(epoch) != epochSize || len(key) != 32 {
		return damaged(bucketMeta, []byte(metaKey), errors.New("not an installation"))
	}
	db.installation = &Installation{Epoch: string(epoch), Key: [32]byte(key)}
	if db.ledger, err = readLedger(tx); err != nil {
		return err
	}
	if db.ledger.format() != format {
		return damaged(bucketMeta, []byte(metaLedger), fmt.Errorf("is not that of format %d", format))
	}
	records, err := sumHeads(tx)
	if err != nil {
		return err
	}
	for _, bucket := range []string{bucketCursors, bucketSeen} {
		if err := verifyBucket(tx, bucket, nil); err != nil {
			return err
		}
	}
	return checkCounts(counts, map[string]uint64{
		bucketHeads:     db.ledger.endpoints,
		bucketMemory:    db.ledger.endpoints,
		bucketRecords:   records,
		bucketJournal:   db.ledger.entries(),
		bucketEventIDs:  db.ledger.entries() - db.ledger.thinned,
		bucketBodyIndex: counts[bucketBodies],
		bucketCursors:   db.ledger.cursors,
		bucketSeen:      db.ledger.seen,
	})
}

// checkFormat returns the format of the file, which is one that is known.
func checkFormat(tx *bbolt.Tx) (uint32, error) {
	format, err := get(tx, bucketMeta, []byte(metaFormat))
	if err != nil {
		return 0, err
	}
	if len(format) != 4 {
		return 0, damaged(bucketMeta, []byte(metaFormat), errors.New("not a number"))
	}
	has := binary.BigEndian.Uint32(format)
	if has == formatEntries || has == formatVersion {
		return has, nil
	}
	hint := "migrate it"
	if has > formatVersion {
		hint = "it was written by a newer version"
	}
	return 0, fmt.Errorf("%w: the file has format %d, this version reads and writes formats %d and %d: %s",
		ErrFormat, has, formatEntries, formatVersion, hint)
}

// sumHeads verifies every head and returns how many records there must be.
func sumHeads(tx *bbolt.Tx) (uint64, error) {
	var records uint64
	err := verifyBucket(tx, bucketHeads, func(payload []byte) error {
		h, err := decodeHead(payload)
		records += h.revision - h.oldest + 1
		return err
	})
	return records, err
}

// verifyBucket reads every value of a bucket.
func verifyBucket(tx *bbolt.Tx, bucket string, each func(payload []byte) error) error {
	c := tx.Bucket([]byte(bucket)).Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		payload, err := unseal(bucket, k, v)
		if err != nil {
			return err
		}
		if each == nil {
			continue
		}
		if err := each(payload); err != nil {
			return damaged(bucket, k, err)
		}
	}
	return nil
}

// create makes a state in a file of its own and gives it its name when it is
// whole: a crash leaves no empty file, which could not be told from a loss.
func create(path string) (err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	made, err := createBeside(path)
	if err != nil {
		return err
	}
	return moveIn(made, path)
}

// createBeside makes an empty state under a name of its own.
func createBeside(path string) (name string, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*") // mode 0600
	if err != nil {
		return "", err
	}
	b, err := openBolt(f.Name(), f)
	if err == nil {
		err = errors.Join(b.Update(initialise), b.Close())
	}
	if err != nil {
		_ = f.Close() // bbolt may have closed it already
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}

// moveIn gives a state that is whole its name. A link, unlike a rename, never
// takes the place of a state that another process has created meanwhile: that
// one stays.
func moveIn(from, path string) error {
	err := os.Link(from, path)
	if errors.Is(err, os.ErrExist) {
		err = nil
	}
	if err = errors.Join(err, os.Remove(from)); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// initialise writes an empty state.
func initialise(tx *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := tx.CreateBucket([]byte(name)); err != nil {
			return err
		}
	}
	i := newInstallation()
	meta := tx.Bucket([]byte(bucketMeta))
	for _, m := range []struct {
		key     string
		payload []byte
	}{
		{metaFormat, binary.BigEndian.AppendUint32(nil, ledger{}.format())},
		{metaCreated, appendTime(nil, time.Now())},
		{metaEpoch, []byte(i.Epoch)},
		{metaKey, i.Key[:]},
		{metaLedger, ledger{first: 1}.encode()},
	} {
		if err := meta.Put([]byte(m.key), seal(bucketMeta, []byte(m.key), m.payload)); err != nil {
			return err
		}
	}
	return nil
}

// syncDir makes a new name in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
