package bolt

import (
	"context"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Forget drops the snapshots of one endpoint that are older than before, though
// never its newest, and the bodies that none refers to any more. It is Prune
// with a shorter memory, for streams whose snapshots say nothing of their own:
// that of the agent gets one with every heartbeat. The journal is not touched.
// It returns how many snapshots were dropped, those before an error too.
func (db *DB) Forget(ctx context.Context, endpoint string, before time.Time) (int, error) {
	db.pruning.Lock()
	defer db.pruning.Unlock()
	dropped := 0
	for {
		n, err := db.forget(ctx, endpoint, before)
		dropped += n
		if err != nil {
			return dropped, fmt.Errorf("forgetting snapshots of %s: %w", quote(endpoint), err)
		}
		if n < pruneBatch {
			return dropped, nil
		}
	}
}

// forget drops one batch.
func (db *DB) forget(ctx context.Context, endpoint string, before time.Time) (int, error) {
	if err := checkName(endpoint); err != nil {
		return 0, err
	}
	var plan cut
	err := db.read(ctx, func(tx *bbolt.Tx) error {
		h, err := readHead(tx, []byte(endpoint))
		if err != nil {
			return err
		}
		plan = cut{endpoint, h.oldest}
		for plan.oldest < h.revision && plan.oldest-h.oldest < pruneBatch {
			r, err := readRecord(tx, endpoint, plan.oldest)
			if err != nil {
				return err
			}
			if !r.at.Before(before) {
				break
			}
			plan.oldest++
		}
		if plan.oldest == h.oldest {
			plan = cut{}
		}
		return nil
	})
	if err != nil || plan.endpoint == "" {
		return 0, err
	}
	var dropped Pruned
	err = db.write(ctx, 0, func(w *writer) (err error) {
		dropped, err = w.cut([]cut{plan})
		return err
	})
	return dropped.Snapshots, err
}
