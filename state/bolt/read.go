package bolt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"

	"go.etcd.io/bbolt"

	"github.com/jwkswatch/jwkswatch/state"
)

// Bounds of what one read transaction takes: a long one pins every page that
// is replaced meanwhile.
const (
	batchEntries = 256
	batchPlaces  = 4096 // of the journal: marks are small
	batchRecords = 64
	batchBytes   = 4 << 20
)

func readHead(tx *bbolt.Tx, endpoint []byte) (head, error) {
	payload, err := get(tx, bucketHeads, endpoint)
	if err != nil || payload == nil {
		return head{}, err
	}
	h, err := decodeHead(payload)
	return decoded(bucketHeads, endpoint, h, err)
}

func readRecord(tx *bbolt.Tx, endpoint string, revision uint64) (record, error) {
	key := recordKey(endpoint, revision)
	payload, err := must(tx, bucketRecords, key)
	if err != nil {
		return record{}, err
	}
	r, err := decodeRecord(payload)
	return decoded(bucketRecords, key, r, err)
}

// stored is a record with its packed body, out of its transaction.
type stored struct {
	revision uint64
	record
	packed []byte
}

func readStored(tx *bbolt.Tx, endpoint string, revision uint64) (stored, error) {
	r, err := readRecord(tx, endpoint, revision)
	if err != nil || r.bodyID == 0 {
		return stored{revision, r, nil}, err
	}
	packed, err := must(tx, bucketBodies, number(r.bodyID))
	return stored{revision, r, bytes.Clone(packed)}, err
}

// unpack makes a Record without Memory.
func (db *DB) unpack(endpoint string, s stored) (state.Record, error) {
	out := state.Record{
		Endpoint: endpoint, Revision: s.revision, At: s.at, Head: s.head, Digest: s.digest, Evidence: s.evidence,
	}
	if s.bodyID == 0 {
		return out, nil
	}
	var err error
	if out.Body, err = db.packer.unpack(s.packed, s.body); err != nil {
		return state.Record{}, damaged(bucketBodies, number(s.bodyID), err)
	}
	return out, nil
}

// Latest returns the newest record of an endpoint, the zero Record when it was
// never seen. Errors: state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) Latest(ctx context.Context, endpoint string) (state.Record, error) {
	r, err := db.latest(ctx, endpoint)
	if err != nil {
		return state.Record{}, fmt.Errorf("reading the newest record of %s: %w", quote(endpoint), err)
	}
	return r, nil
}

func (db *DB) latest(ctx context.Context, endpoint string) (state.Record, error) {
	if err := checkName(endpoint); err != nil {
		return state.Record{}, err
	}
	var s stored
	var memory []byte
	err := db.read(ctx, func(tx *bbolt.Tx) error {
		h, err := readHead(tx, []byte(endpoint))
		if err != nil || h.revision == 0 {
			return err
		}
		if s, err = readStored(tx, endpoint, h.revision); err != nil {
			return err
		}
		payload, err := must(tx, bucketMemory, []byte(endpoint))
		if err != nil {
			return err
		}
		var of uint64
		if of, memory, err = decodeMemory(payload); err == nil && of != h.revision {
			err = errors.New("of another revision")
		}
		if err != nil {
			return damaged(bucketMemory, []byte(endpoint), err)
		}
		return nil
	})
	if err != nil || s.revision == 0 {
		return state.Record{}, err
	}
	out, err := db.unpack(endpoint, s)
	out.Memory = memory
	return out, err
}

// Snapshots yields the stored records of an endpoint, newest first, without
// Memory, beginning with the newest when the iteration begins. Records that
// Prune drops meanwhile are left out. After an error the iteration ends.
func (db *DB) Snapshots(ctx context.Context, endpoint string) iter.Seq2[state.Record, error] {
	return func(yield func(state.Record, error) bool) {
		next := uint64(0)
		for {
			batch, err := db.readRecords(ctx, endpoint, next)
			if err != nil {
				yield(state.Record{}, fmt.Errorf("reading snapshots of %s: %w", quote(endpoint), err))
				return
			}
			for _, s := range batch {
				r, err := db.unpack(endpoint, s)
				if err != nil {
					yield(state.Record{}, fmt.Errorf("reading snapshots of %s: %w", quote(endpoint), err))
					return
				}
				if !yield(r, nil) {
					return
				}
				if next = s.revision - 1; next == 0 {
					return
				}
			}
			if len(batch) == 0 {
				return
			}
		}
	}
}

// readRecords reads a batch downwards from a revision, 0 is the newest.
func (db *DB) readRecords(ctx context.Context, endpoint string, from uint64) (batch []stored, err error) {
	if err := checkName(endpoint); err != nil {
		return nil, err
	}
	err = db.read(ctx, func(tx *bbolt.Tx) error {
		h, err := readHead(tx, []byte(endpoint))
		if err != nil || h.revision == 0 {
			return err
		}
		if from == 0 {
			from = h.revision
		}
		size := 0
		for r := from; r >= h.oldest && len(batch) < batchRecords && size < batchBytes; r-- {
			s, err := readStored(tx, endpoint, r)
			if err != nil {
				return err
			}
			size += len(s.packed) + len(s.evidence)
			batch = append(batch, s)
		}
		return nil
	})
	return batch, err
}
