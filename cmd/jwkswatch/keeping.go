package main

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const (
	keepLook = time.Minute // between looks whether a backup is due
	// keepRetry is how long a backup that failed is not tried again: it may have
	// read all of the state.
	keepRetry = time.Hour
)

// recovered opens the state of the daemon, whatever befell it.
func recovered(ctx context.Context, c *configs.Config, log zerolog.Logger) (*bolt.DB, *bolt.Keeper, error) {
	db, k, err := bolt.Recover(ctx, bolt.RecoverOptions{
		Path: c.State.Path, Stream: event.AgentStream, Backups: c.State.Backup.Dir, Check: verified(log),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("opening the state: %w", err)
	}
	for _, note := range k.Notes {
		log.Warn().Str("state", c.State.Path).Msg(event.Text(note))
	}
	if l := k.Loss(); l != nil {
		log.Error().Str("reason", l.Reason).Str("aside", l.Aside).Str("backup", l.Backup).Str("cause", event.Text(l.Cause)).
			Msg("the state is not what it was; it is told to all sinks")
	}
	return db, k, nil
}

// verified is the check of a state in a process of its own.
func verified(log zerolog.Logger) func(context.Context, string) error {
	return stateCheck(func(path string, r bolt.Report) {
		log.Error().Str("state", path).Uint64("damaged", r.Damaged).Strs("first", r.First).
			Msg("values of the past are damaged; they are refused when they are read, and the rest is used")
	})
}

// loss tells what befell the state, before anything else is told.
func (d *daemon) loss(ctx context.Context) error {
	if d.keeper == nil {
		return nil
	}
	l := d.keeper.Loss()
	if l == nil {
		return nil
	}
	if err := d.voice.StateLost(ctx, time.Now(), *l); err != nil {
		return fmt.Errorf("telling what befell the state: %w", err)
	}
	if err := d.keeper.Told(ctx); err != nil {
		d.log.Warn().Err(err).Msg("that the loss was told is not noted beside the state")
	}
	return nil
}

// anchor keeps the anchor of the state until the context ends.
func (d *daemon) anchor(ctx context.Context) {
	if d.keeper != nil {
		d.keeper.Run(ctx, func(err error) {
			d.log.Warn().Err(err).Msg("the anchor of the state is not written; it is tried again")
		})
	}
}

// backups keeps copies of the state, as the configuration says at that moment.
// The first one of a state that was made by this start waits until it holds
// something.
func (d *daemon) backups(ctx context.Context) {
	if d.keeper == nil {
		return
	}
	t := time.NewTicker(keepLook)
	defer t.Stop()
	var failed time.Time
	if d.young {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
	for {
		if now := time.Now(); failed.IsZero() || now.Sub(failed) >= keepRetry {
			failed = time.Time{}
			if err := d.backup(ctx, now); err != nil && ctx.Err() == nil {
				failed = now
				d.log.Error().Err(err).Msg("no backup of the state; it is tried again in an hour")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// upgraded keeps a backup before this version writes to a state that another one wrote
// last: there is no way back from what a newer version has stored. That it cannot be kept
// is no reason not to watch; a stop breaks it off.
func (d *daemon) upgraded(ctx context.Context) error {
	last, ran, err := d.voice.Ran(context.WithoutCancel(ctx), time.Now())
	if err != nil {
		return fmt.Errorf("reading which version ran last: %w", err)
	}
	if d.keeper == nil || !ran || last == version() || d.exchange.current().State.Backup.Every == 0 {
		return nil
	}
	d.log.Info().Str("before", last).Str("version", version()).Msg("another version ran last: keeping a backup of its state")
	if err := d.keep(ctx, time.Now()); err != nil {
		d.log.Error().Err(err).Msg("no backup before the first write of this version")
	}
	return nil
}

// backup keeps one when it is due.
func (d *daemon) backup(ctx context.Context, now time.Time) error {
	s := d.exchange.current().State
	if s.Backup.Every == 0 {
		return nil
	}
	kept, err := bolt.KeptBackups(s.Path, s.Backup.Dir)
	if err == nil && !bolt.KeepDue(kept, now, s.Backup.Every) {
		return nil
	}
	return d.keep(ctx, now)
}

func (d *daemon) keep(ctx context.Context, now time.Time) error {
	s := d.exchange.current().State
	path, err := d.db.Keep(ctx, bolt.KeepOptions{
		StatePath: s.Path, Dir: s.Backup.Dir, Keep: int(s.Backup.Keep), Now: now, Check: verified(d.log),
	})
	if err != nil {
		return err
	}
	d.log.Info().Str("file", path).Msg("backup of the state kept")
	return nil
}

// rescue keeps a last backup of a state whose file was taken away: it can be read as
// long as this process has it open, and the next start goes on with it.
func (d *daemon) rescue() {
	if err := d.keep(context.Background(), time.Now()); err != nil {
		d.log.Error().Err(err).Msg("no backup of the state that was taken away: what it had ends with this process")
	}
}
