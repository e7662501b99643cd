package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/query"
)

func newHistory() *cobra.Command {
	var limit *int
	q := question[[]query.HistoryRow]{
		cmd: &cobra.Command{
			Use:     "history ENDPOINT",
			Short:   "The steps of one endpoint, newest first",
			Long:    help("The stored steps of one endpoint, newest first: when, how many keys, and what\nwas told of each."),
			Example: "  jwkswatch history corp-idp --limit 50",
			Args:    cobra.ExactArgs(1),
		},
		ask: func(ctx context.Context, a query.Answers, args []string) ([]query.HistoryRow, error) {
			return a.History(ctx, args[0], *limit)
		},
		print: query.PrintHistory,
	}
	cmd := q.command()
	limit = cmd.Flags().IntP("limit", "n", 20, "steps at most")
	return cmd
}

func newTimeline() *cobra.Command {
	return question[query.Timeline]{
		cmd: &cobra.Command{
			Use:   "timeline ENDPOINT",
			Short: "When each key of one endpoint came and went",
			Long: help(`When each key of one endpoint came and went, as bars of one scale: how they overlap
shows how it rotates. "=" while a key was surely published, "-" between two polls of
which one had it, "<" where it was there before anybody looked, ">" while it is live.
Of a key that came back it is the last life.`),
			Example: "  jwkswatch timeline corp-idp\n  jwkswatch timeline corp-idp -o json",
			Args:    cobra.ExactArgs(1),
		},
		ask: func(ctx context.Context, a query.Answers, args []string) (query.Timeline, error) {
			keys, err := a.Keys(ctx, query.KeyFilter{Endpoint: args[0]})
			return query.NewTimeline(args[0], keys, time.Now()), err
		},
		print: query.PrintTimeline,
	}.command()
}

func newShow() *cobra.Command {
	var at *string
	q := question[query.Shown]{
		cmd: &cobra.Command{
			Use:   "show ENDPOINT",
			Short: "The key set of one endpoint, now or as it was",
			Long: help(`The key set of one endpoint as it is known, or as it was at a time: the keys,
since when each is seen, and the document, without private material.`),
			Example: "  jwkswatch show corp-idp\n  jwkswatch show corp-idp --at 2026-11-22T03:00:00Z\n  jwkswatch show corp-idp --at 6h",
			Args:    cobra.ExactArgs(1),
		},
		ask: func(ctx context.Context, a query.Answers, args []string) (query.Shown, error) {
			t, err := moment(*at, time.Now())
			if err != nil {
				return query.Shown{}, &query.Problem{Code: query.BadQuestion, Message: "--at: " + err.Error()}
			}
			return a.Show(ctx, args[0], t)
		},
		print: query.PrintShown,
	}
	cmd := q.command()
	at = cmd.Flags().String("at", "", "a time as in RFC 3339, a day, or how long ago (30m, 6h, 14d); now without it")
	return cmd
}

// moment reads a time, or how long before now it was. The empty text is the
// zero time.
func moment(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	var days int
	if n, err := fmt.Sscanf(s, "%dd", &days); err == nil && n == 1 && s == fmt.Sprintf("%dd", days) && days >= 0 {
		return now.AddDate(0, 0, -days), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return time.Time{}, fmt.Errorf("%q is no time: want 2026-11-22T03:00:00Z, 2026-11-22 (UTC), or how long ago, such as 30m, 6h or 14d", s)
	}
	return now.Add(-d), nil
}
