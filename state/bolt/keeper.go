package bolt

import (
	"context"
	"sync"
	"time"
)

// anchorEvery is how often the anchor is written at most. It takes a commit and
// a half of the disk; the commits themselves pay nothing for it.
const anchorEvery = 5 * time.Second

// Keeper keeps the anchor of an open state. All methods are safe for concurrent
// use.
type Keeper struct {
	db     *DB
	path   string // of the state
	stream string

	// Notes are what an operator should know of the opening, one sentence each.
	Notes []string

	mu   sync.Mutex
	last Anchor
	loss *Loss
}

// Loss is what befell the state before it was opened and is not told yet; nil
// in most lives.
func (k *Keeper) Loss() *Loss {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.loss
}

// Told says that the loss was told, in an event that is committed.
func (k *Keeper) Told(ctx context.Context) error {
	k.mu.Lock()
	k.loss = nil
	k.mu.Unlock()
	return k.Write(ctx)
}

// Write writes the anchor, unless it says already where the state stands. It never
// follows a state that was taken away or exchanged under us: then it fails, and
// nothing is written to the state any more, see DB.Broken.
func (k *Keeper) Write(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if err := k.db.stays(k.path); err != nil {
		return err
	}
	a, err := k.db.Standing(ctx, k.stream)
	if err == nil {
		err = k.db.goesOn(ctx, k.last, a)
	}
	if err != nil {
		return err
	}
	if a.Loss = k.loss; k.last.Version != 0 && a.Txn == k.last.Txn && a.Loss == k.last.Loss && a.Epoch == k.last.Epoch {
		return nil
	}
	entered := a
	a.At = time.Now().UTC()
	if err := writeAnchor(k.path, a); err != nil {
		return err
	}
	k.last = entered
	return nil
}

// Run writes the anchor every few seconds until the context ends, and once more
// then. failed is told of an error, once for each row of them.
func (k *Keeper) Run(ctx context.Context, failed func(error)) {
	t := time.NewTicker(anchorEvery)
	defer t.Stop()
	bad := false
	try := func() {
		err := k.Write(context.WithoutCancel(ctx))
		if err != nil && !bad {
			failed(err)
		}
		bad = err != nil
	}
	for {
		select {
		case <-ctx.Done():
			try()
			return
		case <-t.C:
			try()
		}
	}
}
