package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

// maxTold caps the texts of a Report.
const maxTold = 8

// Report is what Check found in a state that can be used.
type Report struct {
	Format  uint32 `json:"format"`
	Epoch   string `json:"epoch"`
	Values  uint64 `json:"values"`  // that were verified
	Damaged uint64 `json:"damaged"` // of them, of the past: reading one gives an error
	// First are the first of the damaged, in words.
	First []string `json:"first"`
}

// Check reads all of a state at rest and verifies it, without changing it. It
// wants no other to write meanwhile and holds the shared lock. Damage in what the
// agent goes on with is an error that wraps state.ErrCorrupt: the structure, the
// newest record, memory and body of each stream, the cursors, and what some sink
// does not have yet. Damage in the past is counted: it is refused when it is
// read, and no reason to give up the rest. Errors: those of OpenCopy, except that
// nothing is copied.
func Check(ctx context.Context, path string) (Report, error) {
	r, err := check(ctx, path)
	if err != nil {
		return Report{}, fmt.Errorf("checking state %s: %w", path, err)
	}
	return r, nil
}

func check(ctx context.Context, path string) (_ Report, err error) {
	f, err := os.Open(path)
	if err != nil {
		return Report{}, err
	}
	defer f.Close() // bbolt may have closed it already
	if info, err := f.Stat(); err != nil {
		return Report{}, err
	} else if !info.Mode().IsRegular() {
		return Report{}, errors.New("not a regular file")
	}
	if err := lock(ctx, f, copyTimeout, tryShare); err != nil {
		return Report{}, err
	}
	db, err := openFile(f, func() (*bbolt.DB, error) { return openReader(f) })
	if err != nil {
		return Report{}, err
	}
	c := checker{db: db, ctx: ctx}
	err = db.view(func(tx *bbolt.Tx) error {
		format, err := checkFormat(tx)
		if err != nil {
			return err
		}
		c.Format, c.Epoch = format, db.installation.Epoch
		if err := c.vital(tx); err != nil {
			return err
		}
		return c.past(tx)
	})
	return c.Report, errors.Join(err, db.Close())
}

type checker struct {
	Report
	db  *DB
	ctx context.Context // lives for one call
}

// vital verifies what the agent goes on with, as far as opening has not.
func (c *checker) vital(tx *bbolt.Tx) error {
	heads := tx.Bucket([]byte(bucketHeads)).Cursor()
	for k, _ := heads.First(); k != nil; k, _ = heads.Next() {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if err := c.stream(tx, string(k)); err != nil {
			return err
		}
	}
	l, err := readLedger(tx)
	if err != nil {
		return err
	}
	from := l.last + 1
	cursors := tx.Bucket([]byte(bucketCursors)).Cursor()
	for k, _ := cursors.First(); k != nil; k, _ = cursors.Next() {
		position, _, err := readCursor(tx, string(k))
		if err != nil {
			return err
		}
		from = min(from, position+1)
	}
	for position := max(from, l.first); position <= l.last; position++ {
		if _, err := readPlace(tx, position); err != nil {
			return err
		}
	}
	return nil
}

// stream verifies what the next step of a stream is decided on.
func (c *checker) stream(tx *bbolt.Tx, name string) error {
	h, err := readHead(tx, []byte(name))
	if err != nil {
		return err
	}
	s, err := readStored(tx, name, h.revision)
	if err != nil {
		return err
	}
	if _, err := c.db.unpack(name, s); err != nil {
		return err
	}
	if s.bodyID != 0 {
		payload, err := must(tx, bucketBodyIndex, s.body[:])
		if err != nil {
			return err
		}
		if _, err := decodeBodyRef(payload); err != nil {
			return damaged(bucketBodyIndex, s.body[:], err)
		}
	}
	payload, err := must(tx, bucketMemory, []byte(name))
	if err != nil {
		return err
	}
	if of, _, err := decodeMemory(payload); err != nil || of != h.revision {
		return damaged(bucketMemory, []byte(name), errors.New("of another revision"))
	}
	return nil
}

// past verifies every value there is.
func (c *checker) past(tx *bbolt.Tx) error {
	for _, bucket := range buckets() {
		cursor := tx.Bucket([]byte(bucket)).Cursor()
		for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
			if c.Values++; c.Values%1024 == 0 && c.ctx.Err() != nil {
				return c.ctx.Err()
			}
			_, _, err := unsealAny(bucket, k, v)
			if err == nil && bucket == bucketJournal {
				_, err = decodePlace(binary.BigEndian.Uint64(k), v)
			}
			if err == nil {
				continue
			}
			if !errors.Is(err, state.ErrCorrupt) {
				return err
			}
			if c.Damaged++; len(c.First) < maxTold {
				c.First = append(c.First, err.Error())
			}
		}
	}
	return nil
}
