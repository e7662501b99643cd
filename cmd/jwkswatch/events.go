package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
)

func newEvents() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events [ID]",
		Short: "What was told: the newest events, one by its id, or all that come",
		Long: help(`What was told, oldest first: the newest events that match, one event by its id,
or, with --follow, what comes. -o json prints events as they were delivered, one
a line.`),
		Example: "  jwkswatch events --min-severity high --since 24h\n" +
			"  jwkswatch events --endpoint corp-idp --type 'key.*' -o json\n" +
			"  jwkswatch events --follow",
		Args: cobra.MaximumNArgs(1),
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	e := eventsFlags{
		endpoint: cmd.Flags().StringP("endpoint", "e", "", "of this endpoint; "+event.AgentStream+" for the agent itself"),
		typ:      cmd.Flags().StringP("type", "t", "", "a type, an object (key) or a pattern (*.removed)"),
		severity: cmd.Flags().String("min-severity", "", "informational, low, medium, high or critical"),
		since:    cmd.Flags().String("since", "", "from this time on: RFC 3339, a day, or how long ago (6h, 14d)"),
		until:    cmd.Flags().String("until", "", "before this time"),
		limit:    cmd.Flags().IntP("limit", "n", 20, "the newest so many; 0 for all"),
	}
	follow := cmd.Flags().BoolP("follow", "f", false, "go on with what comes, until interrupted")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		f, err := e.filter(time.Now())
		if err != nil {
			return err
		}
		a, err := p.open(cmd.Context())
		if err != nil {
			return err
		}
		defer a.Close()
		switch {
		case len(args) == 1:
			return oneEvent(cmd.Context(), cmd.OutOrStdout(), a, args[0], *output)
		case *follow:
			err = followed(cmd.OutOrStdout(), a.Follow(cmd.Context(), f), *output)
			if cmd.Context().Err() != nil {
				return nil // interrupted, as it was meant
			}
			return err
		}
		list, err := gathered(a.Events(cmd.Context(), f))
		// The copy is given back before anything is printed.
		if err = errors.Join(err, a.Close()); err != nil {
			return unasked(err)
		}
		for _, stored := range list {
			if err := printStored(cmd.OutOrStdout(), stored, *output); err != nil {
				return failed(err)
			}
		}
		return nil
	}
	return cmd
}

type eventsFlags struct {
	endpoint, typ, severity, since, until *string
	limit                                 *int
}

func (e eventsFlags) filter(now time.Time) (f query.Filter, err error) {
	f = query.Filter{Endpoint: *e.endpoint, Type: *e.typ, Limit: *e.limit}
	if *e.severity != "" {
		if err := f.MinSeverity.UnmarshalText([]byte(*e.severity)); err != nil {
			return f, fmt.Errorf("--min-severity %q: want informational, low, medium, high or critical", *e.severity)
		}
	}
	if f.Limit < 0 {
		return f, errors.New("--limit: want 0 or more")
	}
	if f.Since, err = moment(*e.since, now); err != nil {
		return f, fmt.Errorf("--since: %w", err)
	}
	if f.Until, err = moment(*e.until, now); err != nil {
		return f, fmt.Errorf("--until: %w", err)
	}
	return f, nil
}

func oneEvent(ctx context.Context, w io.Writer, a query.Answers, id, output string) error {
	stored, err := a.Event(ctx, id)
	if err = errors.Join(err, a.Close()); err != nil {
		return unasked(err)
	}
	if output == "json" {
		_, err = fmt.Fprintf(w, "%s\n", stored)
		return failed(err)
	}
	return failed(query.PrintEvent(w, stored))
}

// gathered reads all before anything is printed.
func gathered(events iter.Seq2[json.RawMessage, error]) ([]json.RawMessage, error) {
	var list []json.RawMessage
	for stored, err := range events {
		if err != nil {
			return nil, err
		}
		list = append(list, stored)
	}
	return list, nil
}

// followed prints what comes until the daemon stops.
func followed(w io.Writer, events iter.Seq2[json.RawMessage, error], output string) error {
	for stored, err := range events {
		switch {
		case errors.Is(err, control.ErrStopped):
			return &ended{exitBlind, err}
		case err != nil:
			return unasked(err)
		}
		if err := printStored(w, stored, output); err != nil {
			return failed(err)
		}
	}
	return nil
}

func printStored(w io.Writer, stored json.RawMessage, output string) error {
	if output == "json" {
		_, err := fmt.Fprintf(w, "%s\n", stored)
		return err
	}
	return query.PrintEventLine(w, stored)
}
