package main

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// agent is a running daemon: one watcher, one state, some sinks. The demo runs
// the same.
type agent struct {
	db         *bolt.DB
	watcher    *watcher.Watcher
	deliveries []*sinks.Delivery
	log        zerolog.Logger
}

// run watches until the context ends. Then polls under way are finished, what
// is in the journal is delivered within the sinks' grace, and the state is
// closed.
func (a *agent) run(ctx context.Context) error {
	// Cursors of new sinks are fixed before anything is polled: what is found
	// from now on is theirs, even when they cannot be reached for a day.
	for _, d := range a.deliveries {
		if err := d.Prepare(ctx); err != nil {
			return errors.Join(fmt.Errorf("preparing sink %s: %w", d.Sink.Name(), err), a.db.Close())
		}
	}
	delivering, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var group sync.WaitGroup
	errs := make([]error, len(a.deliveries))
	for i, d := range a.deliveries {
		group.Go(func() {
			if err := d.Run(delivering); err != nil {
				errs[i] = fmt.Errorf("sink %s: %w", d.Sink.Name(), err)
			}
		})
	}
	err := a.watcher.Run(ctx)
	a.log.Info().Msg("polls ended; delivering what is left")
	stop()
	group.Wait()
	return errors.Join(append(errs, err, a.db.Close())...)
}
