package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"
	"path/filepath"
	"syscall"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

const (
	compactStride = 4 << 20 // octets that are read, and written, at a time
	compactLate   = 256     // values that may be copied while commits wait
	compactRounds = 8       // over what was written meanwhile, before commits wait
	compactMost   = 100_000 // values written meanwhile: more, and it is given up
	compactMark   = ".compact"
)

// Compacted are the sizes of the file in octets.
type Compacted struct{ Before, After int64 }

// spot is the place of a value.
type spot struct{ bucket, key string }

// Spare returns how many octets of the file are free: what is written next goes
// there, but the file does not shrink.
func (db *DB) Spare() int64 {
	h := db.on.Load()
	return int64(h.bolt.Stats().FreePageN) * int64(h.bolt.Info().PageSize)
}

// Compact puts a copy of the state without its free pages in its place, while it is
// read and written. The copy is made in short steps, and what is written meanwhile is
// noted and copied again; commits wait for the last of it, for a sync and for the
// check that opening makes. Every value is verified on its way: damage ends it, and the
// file stays what it was. So does any error, but of the sync of the folder: after that
// one nothing more is written, see Broken. The copy counts its transactions on, so that
// the anchor holds. Errors: state.ErrCorrupt, state.ErrUnavailable, and ENOSPC when there
// is no room for two such copies.
func (db *DB) Compact(ctx context.Context, path string) (Compacted, error) {
	// Who drops records at the same time would only make more to copy.
	db.pruning.Lock()
	defer db.pruning.Unlock()
	c := compaction{db: db, path: path}
	err := c.run(ctx)
	if err != nil {
		return Compacted{}, fmt.Errorf("compacting the state: %w", err)
	}
	return c.sizes, nil
}

type compaction struct {
	db    *DB
	path  string // of the state
	to    *bbolt.DB
	name  string // of the copy
	sizes Compacted
}

func (c *compaction) run(ctx context.Context) (err error) {
	if c.sizes.Before, err = c.db.Size(); err != nil {
		return err
	}
	dir := filepath.Dir(c.path)
	if free, err := FreeRoom(dir); err == nil && int64(free) < 2*(c.sizes.Before-c.db.Spare()) {
		return fmt.Errorf("%s has %d octets free: %w", dir, free, syscall.ENOSPC)
	}
	prefix := filepath.Base(c.path) + compactMark
	if err := dropParts(dir, prefix); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, prefix+partMark+"*") // mode 0600
	if err != nil {
		return err
	}
	c.name = f.Name()
	defer func() {
		if c.to != nil {
			err = errors.Join(err, c.to.Close())
		}
		if c.name != "" {
			err = errors.Join(err, os.Remove(c.name))
		}
	}()
	if c.to, err = openBolt(c.name, f); err != nil {
		return errors.Join(err, f.Close())
	}
	c.to.NoSync = true // the last step syncs it, before it has the name
	if err := c.db.note(true); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.db.note(false)) }()
	if err := c.copyAll(ctx); err != nil {
		return err
	}
	for range compactRounds {
		late, err := c.db.noted(ctx)
		if err == nil {
			err = c.copy(late)
		}
		if err != nil {
			return err
		}
		if len(late) <= compactLate {
			break
		}
	}
	return c.exchange(ctx)
}

// note begins or ends to note what is written.
func (db *DB) note(on bool) error {
	db.turn <- struct{}{}
	defer func() { <-db.turn }()
	db.late = nil
	if on {
		db.late = map[spot]bool{}
		return errors.Join(db.open(), db.broken)
	}
	return nil
}

// noted returns what was written since it was asked last.
func (db *DB) noted(ctx context.Context) (map[spot]bool, error) {
	db.turn <- struct{}{}
	defer func() { <-db.turn }()
	late := db.late
	db.late = map[spot]bool{}
	return late, errors.Join(ctx.Err(), db.open(), bounded(late))
}

// bounded refuses a list that may have been cut.
func bounded(late map[spot]bool) error {
	if len(late) > compactMost {
		return fmt.Errorf("%w: too much is written meanwhile", state.ErrUnavailable)
	}
	return nil
}

// pair is a key and its sealed value.
type pair struct{ key, value []byte }

// copyAll copies every bucket in strides, each in a transaction of its own: a long
// one would keep the file from being mapped anew, and with it all commits.
func (c *compaction) copyAll(ctx context.Context) error {
	for _, bucket := range buckets() {
		if err := c.to.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket([]byte(bucket)); return err }); err != nil {
			return err
		}
		for from := []byte{}; from != nil; {
			var pairs []pair
			err := c.db.read(ctx, func(tx *bbolt.Tx) (err error) {
				pairs, from, err = stride(tx, bucket, from)
				return err
			})
			if err != nil {
				return err
			}
			err = c.to.Update(func(tx *bbolt.Tx) error {
				b := tx.Bucket([]byte(bucket))
				b.FillPercent = appendFill // they come in order
				for _, p := range pairs {
					if err := b.Put(p.key, p.value); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return fmt.Errorf("%w: %w", state.ErrUnavailable, err)
			}
		}
	}
	return nil
}

// stride reads verified values from a key on, and returns the key to go on from, nil
// at the end.
func stride(tx *bbolt.Tx, bucket string, from []byte) (pairs []pair, next []byte, err error) {
	cursor := tx.Bucket([]byte(bucket)).Cursor()
	size := 0
	for k, v := cursor.Seek(from); k != nil; k, v = cursor.Next() {
		if size += len(k) + len(v); size > compactStride && len(pairs) > 0 {
			return pairs, bytes.Clone(k), nil
		}
		if _, _, err := unsealAny(bucket, k, v); err != nil {
			return nil, nil, err
		}
		pairs = append(pairs, pair{bytes.Clone(k), bytes.Clone(v)})
	}
	return pairs, nil, nil
}

// copy copies what stands in places now.
func (c *compaction) copy(places map[spot]bool) error {
	return c.db.view(func(from *bbolt.Tx) error {
		err := c.to.Update(func(to *bbolt.Tx) error {
			for at := range places {
				bucket, key := []byte(at.bucket), []byte(at.key)
				value := from.Bucket(bucket).Get(key)
				var err error
				if value == nil {
					err = to.Bucket(bucket).Delete(key)
				} else if _, _, err = unsealAny(at.bucket, key, value); err == nil {
					err = to.Bucket(bucket).Put(key, value)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, state.ErrCorrupt) {
			err = fmt.Errorf("%w: %w", state.ErrUnavailable, err)
		}
		return err
	})
}

// exchange copies the rest while commits wait, and gives the copy the name.
func (c *compaction) exchange(ctx context.Context) error {
	was, err := c.exchanged(ctx)
	if err != nil {
		return err
	}
	// Readers that began on the file of before are waited for, by nobody else.
	if err := was.bolt.Close(); err != nil {
		return fmt.Errorf("closing the file of before: %w", err)
	}
	return nil
}

func (c *compaction) exchanged(ctx context.Context) (*handle, error) {
	db := c.db
	db.turn <- struct{}{}
	defer func() { <-db.turn }()
	if err := errors.Join(ctx.Err(), db.open(), db.broken, bounded(db.late)); err != nil {
		return nil, err
	}
	if err := c.copy(db.late); err != nil {
		return nil, err
	}
	to := c.to
	c.to = nil
	if err := errors.Join(to.Sync(), to.Close()); err != nil {
		return nil, fmt.Errorf("%w: %w", state.ErrUnavailable, err)
	}
	f, err := os.OpenFile(c.name, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", state.ErrUnavailable, err)
	}
	is, err := c.verified(ctx, f)
	if err != nil {
		_ = f.Close() // bbolt may have closed it already
		return nil, err
	}
	if err := os.Rename(c.name, c.path); err != nil {
		return nil, errors.Join(err, is.bolt.Close())
	}
	c.name = ""
	was := db.on.Swap(is)
	if err := syncDir(filepath.Dir(c.path)); err != nil {
		// A crash could bring the file of before back, and with it lose every commit
		// from here on.
		err = fmt.Errorf("%w: %w; nothing more is written", state.ErrUnavailable, err)
		db.giveUp(err)
		return nil, errors.Join(err, was.bolt.Close())
	}
	if info, err := f.Stat(); err == nil {
		c.sizes.After = info.Size()
	}
	return was, nil
}

// verified opens the copy as a state is opened, locked before it has the name, and
// holds it against the state.
func (c *compaction) verified(ctx context.Context, f *os.File) (*handle, error) {
	if ok, err := tryLock(f); err != nil || !ok {
		return nil, errors.Join(fmt.Errorf("%w: somebody else has opened the copy", state.ErrUnavailable), err)
	}
	var txid uint64
	if err := c.db.view(func(tx *bbolt.Tx) error { txid = uint64(tx.ID()); return nil }); err != nil {
		return nil, err
	}
	if err := countOn(f, txid); err != nil {
		return nil, fmt.Errorf("%w: %w", state.ErrUnavailable, err)
	}
	copied, err := openFile(f, func() (*bbolt.DB, error) { return openBolt(c.name, f) })
	if err != nil {
		return nil, err
	}
	is := copied.on.Load()
	if copied.ledger != c.db.ledger || *copied.installation != *c.db.installation {
		return nil, errors.Join(fmt.Errorf("%w: the copy is another state", state.ErrCorrupt), is.bolt.Close())
	}
	return is, nil
}

// countOn raises the numbers of the transactions in both roots of a file beyond txid,
// and syncs it. The number says which root is the newer one and, by being odd or even,
// where it stands; it means nothing else to bbolt.
func countOn(f *os.File, txid uint64) error {
	const at = 48 // of the number in a root, whose last 8 octets are the checksum
	txid += txid % 2
	offset := int64(pageHeaderSize)
	for range 2 {
		var b [boltMetaSize]byte
		if _, err := f.ReadAt(b[:], offset); err != nil {
			return err
		}
		m, err := parseMeta(b)
		if err != nil {
			return err
		}
		binary.NativeEndian.PutUint64(b[at:], m.txid+txid)
		sum := fnv.New64a()
		_, _ = sum.Write(b[:boltMetaSize-8]) // never returns an error
		binary.NativeEndian.PutUint64(b[boltMetaSize-8:], sum.Sum64())
		if _, err := f.WriteAt(b[:], offset); err != nil {
			return err
		}
		offset = int64(m.pageSize) + pageHeaderSize
	}
	return f.Sync()
}
