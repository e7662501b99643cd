package bolt

import (
	"context"
	"fmt"
	"io"

	"go.etcd.io/bbolt"
)

// Backup writes a whole and consistent state as of now, while commits go on. It
// needs no room and no place to go back in w. What is replaced meanwhile takes
// room in the file until it ends: w should not wait for ever.
// Copying the file instead gives a broken one as often as not. The copy has the
// same epoch and key: who restores it must make a new epoch.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	err := db.read(ctx, func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(contextWriter{ctx, w})
		return err
	})
	if err != nil {
		return fmt.Errorf("writing a backup: %w", err)
	}
	return nil
}

// contextWriter ends a long copy with its context.
type contextWriter struct {
	ctx context.Context // lives for one call
	w   io.Writer
}

func (c contextWriter) Write(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.w.Write(b)
}
