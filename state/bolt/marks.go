package bolt

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"go.etcd.io/bbolt"
)

// Seen notes when endpoints were last polled well, in one transaction. A time
// before the one that is known changes nothing. Errors: state.ErrUnavailable.
func (db *DB) Seen(ctx context.Context, at map[string]time.Time) error {
	shards := map[uint32][]sighting{}
	for endpoint, t := range at {
		if err := checkName(endpoint); err != nil {
			return fmt.Errorf("noting %s as seen: %w", quote(endpoint), err)
		}
		key := binary.BigEndian.Uint32(seenKey(endpoint))
		shards[key] = append(shards[key], sighting{endpoint, t})
	}
	if len(shards) == 0 {
		return nil
	}
	err := db.write(ctx, 32*len(at), func(w *writer) error {
		has := make(map[uint32][]sighting, len(shards))
		for n := range shards { // every read comes before the first change
			shard, err := readShard(w.tx, binary.BigEndian.AppendUint32(nil, n))
			if err != nil {
				return err
			}
			has[n] = shard
		}
		for _, n := range slices.Sorted(maps.Keys(shards)) {
			merged, changed := merge(has[n], shards[n])
			if !changed {
				continue
			}
			if len(has[n]) == 0 {
				w.ledger.seen++
			}
			if err := w.put(bucketSeen, binary.BigEndian.AppendUint32(nil, n), encodeSeen(merged)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("noting endpoints as seen: %w", err)
	}
	return nil
}

// merge returns a sorted shard with the newer times, and whether there are any.
func merge(shard, with []sighting) ([]sighting, bool) {
	changed := false
	out := slices.Clone(shard)
	for _, s := range with {
		i, found := slices.BinarySearchFunc(out, s.endpoint, func(a sighting, name string) int {
			return strings.Compare(a.endpoint, name)
		})
		switch {
		case !found:
			out, changed = slices.Insert(out, i, s), true
		case s.at.After(out[i].at):
			out[i].at, changed = s.at, true
		}
	}
	return out, changed
}

func readShard(tx *bbolt.Tx, key []byte) ([]sighting, error) {
	payload, err := get(tx, bucketSeen, key)
	if err != nil || payload == nil {
		return nil, err
	}
	shard, err := decodeSeen(payload)
	return decoded(bucketSeen, key, shard, err)
}

// LastSeen returns the newest time given to Seen for the endpoint, in UTC, the
// zero time when there is none. Errors: state.ErrCorrupt, state.ErrUnavailable.
func (db *DB) LastSeen(ctx context.Context, endpoint string) (at time.Time, err error) {
	if err = checkName(endpoint); err == nil {
		err = db.read(ctx, func(tx *bbolt.Tx) error {
			shard, err := readShard(tx, seenKey(endpoint))
			for _, s := range shard {
				if s.endpoint == endpoint {
					at = s.at
				}
			}
			return err
		})
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading when %s was last seen: %w", quote(endpoint), err)
	}
	return at, nil
}
