package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// daemon is a running agent: one state, one watcher, the couriers to the sinks.
type daemon struct {
	db      *bolt.DB
	log     zerolog.Logger
	watcher *watcher.Watcher
	post    *couriers
}

func newDaemon(c *configs.Config, db *bolt.DB, out io.Writer, log zerolog.Logger) *daemon {
	in := db.Installation()
	return &daemon{
		db: db, log: log,
		post: &couriers{db: db, out: out, instance: c.Observer.Name, log: log},
		watcher: &watcher.Watcher{
			Endpoints: endpoints(c.Endpoints), Observer: observer(c),
			Fetch: &fetch.Client{UserAgent: "jwkswatch/" + version()}, Store: db, Book: rules.Book(),
			IDs: event.Identifier{Key: in.Key, Epoch: in.Epoch}, Log: log,
		},
	}
}

// run watches until the context ends. Then polls under way are finished, and
// what is in the journal is delivered within the sinks' grace.
func (d *daemon) run(ctx context.Context, c *configs.Config) error {
	made, err := d.post.open(ctx, c.Sinks)
	if err != nil {
		return err
	}
	d.post.run(made)
	err = d.watcher.Run(ctx)
	d.log.Info().Msg("polls ended; delivering what is left")
	if err != nil {
		err = fmt.Errorf("watching: %w", err)
	}
	return errors.Join(err, d.post.end())
}

func observer(c *configs.Config) watcher.Observer {
	return watcher.Observer{
		Name: c.Observer.Name, Vantage: c.Observer.Vantage, Version: version(), ConfigDigest: digest(c.Digest),
	}
}
