package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func newReplay() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay --sink NAME --since TIME",
		Short: "Send a sink again what was observed since a time",
		Long: `Send a sink again what was observed since a time, with the same ids and in the
order of the journal: after a SIEM was restored, or when agent.events_lost says
that a sink never had some events. The cursor of the sink is set back, never
forth, in the running daemon or in a state at rest. What retention has dropped
cannot come back.

A NATS stream drops what it had within its duplicate window: to read events again
that the stream still has, set its consumer back instead.

Exits 4 when there is neither a daemon nor a state.`,
		Example: "  jwkswatch replay --sink siem --since 6h\n  jwkswatch replay --sink siem --since 2026-11-22T18:00:00Z",
		Args:    cobra.NoArgs,
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	sink := cmd.Flags().String("sink", "", "name of the sink")
	since := cmd.Flags().String("since", "", "from this time on: RFC 3339, a day, or how long ago (6h, 14d)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if *sink == "" || *since == "" {
			return errors.New("--sink and --since are both needed")
		}
		at, err := moment(*since, time.Now())
		if err != nil {
			return fmt.Errorf("--since: %w", err)
		}
		path, err := p.path()
		if err != nil {
			return err
		}
		result, err := sendAgain(cmd.Context(), path, *sink, at)
		if err != nil {
			return unasked(err)
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(result))
		}
		return failed(printReplay(cmd.OutOrStdout(), result))
	}
	return cmd
}

func printReplay(w io.Writer, r control.ReplayResult) error {
	if !r.Moved {
		_, err := fmt.Fprintf(w, "%s: nothing to send again, it has not got so far yet; %d wait for it\n", r.Sink, r.Events)
		return err
	}
	oldest := "none"
	if r.Oldest != nil {
		oldest = r.Oldest.Format(event.TimeLayout)
	}
	_, err := fmt.Fprintf(w, "%s: %d events wait for it now, the first of %s\n", r.Sink, r.Events, oldest)
	return err
}

// sendAgain asks the running daemon, or sets the cursor in a state at rest.
func sendAgain(ctx context.Context, path, sink string, since time.Time) (control.ReplayResult, error) {
	client := &control.Client{Path: control.DefaultPath(path)}
	r, err := client.Replay(ctx, sink, since)
	if !errors.Is(err, control.ErrNotRunning) {
		return r, err
	}
	if _, err := os.Stat(path); err != nil {
		return r, fmt.Errorf("no daemon answers, and there is no state: %w", err) // which opening would make
	}
	db, err := bolt.Open(ctx, bolt.Options{Path: path})
	if err != nil {
		return r, err
	}
	names, err := db.Cursors(ctx)
	if err == nil && !slices.Contains(names, sink) {
		err = noSink(sink, names)
	}
	if err == nil {
		var has string
		if has, _, err = db.Cursor(ctx, sink); err == nil {
			r, err = rewind(ctx, db, sink, has, since, db.SetCursor)
		}
	}
	return r, errors.Join(err, db.Close())
}

// replay is what the socket asks for.
func (d *daemon) replay(ctx context.Context, sink string, since time.Time) (control.ReplayResult, error) {
	var names []string
	for _, c := range d.post.list() {
		if c.config.Name == sink {
			// The stored cursor may be a second old.
			return rewind(ctx, d.db, sink, c.Stats().Position, since, func(ctx context.Context, _, position string) error { return c.Replay(ctx, position) })
		}
		names = append(names, c.config.Name)
	}
	return control.ReplayResult{}, noSink(sink, names)
}

func noSink(sink string, names []string) error {
	p := &query.Problem{Code: query.UnknownSink, Message: "there is no sink " + strconv.QuoteToASCII(event.Text(sink))}
	if len(names) > 0 {
		p.Message += ": the sinks are " + strings.Join(names, ", ")
	}
	return p
}

// rewind sets the cursor of a sink, which has all up to a position, back to before
// the first event since a time.
func rewind(ctx context.Context, db *bolt.DB, sink, has string, since time.Time, set func(ctx context.Context, sink, position string) error) (control.ReplayResult, error) {
	r := control.ReplayResult{Sink: sink}
	position, err := before(ctx, db, since)
	if err != nil {
		return r, err
	}
	if r.Moved = position < has; r.Moved {
		if err := set(ctx, sink, position); err != nil {
			return r, err
		}
	}
	var oldest time.Time
	r.Events, oldest, err = db.Pending(ctx, sink)
	r.Oldest = event.AtOrNil(oldest)
	return r, err
}

// before is the position before the first entry that is not older than a time,
// that of the head when all are. Clocks are set, and set back: the search ends at
// an entry that is older by more than anybody sets a clock.
func before(ctx context.Context, db *bolt.DB, since time.Time) (string, error) {
	const clockSlack = 48 * time.Hour
	found, wanted := "", true
	for e, err := range db.EventsBackwards(ctx, "") {
		if err != nil {
			return "", err
		}
		if wanted {
			found, wanted = e.Position, false
		}
		if e.At.Before(since.Add(-clockSlack)) {
			return found, nil
		}
		wanted = !e.At.Before(since)
	}
	if wanted {
		return "", nil // all of them
	}
	return found, nil
}
