package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/query"
)

func newStatus() *cobra.Command {
	return question[query.StatusReport]{
		cmd: &cobra.Command{
			Use:     "status",
			Short:   "How it stands: endpoints, open conditions, sinks",
			Long:    help("How it stands: whether the daemon runs, how many endpoints are seen, what is open,\nworst first, and how far the sinks are."),
			Example: "  jwkswatch status\n  jwkswatch status --state /var/lib/jwkswatch/jwkswatch.db -o json",
			Args:    cobra.NoArgs,
		},
		ask: func(ctx context.Context, a query.Answers, _ []string) (query.StatusReport, error) {
			return a.Status(ctx)
		},
		print: query.PrintStatus,
	}.command()
}

func newEndpoints() *cobra.Command {
	return question[[]query.EndpointRow]{
		cmd: &cobra.Command{
			Use:     "endpoints",
			Short:   "What is watched, and how each endpoint stands",
			Long:    help("What is watched: the keys of each endpoint, when it was last seen and last\nchanged, and what is open."),
			Example: "  jwkswatch endpoints\n  jwkswatch endpoints -o json | jq '.[] | select(.failures > 0).name'",
			Args:    cobra.NoArgs,
		},
		ask: func(ctx context.Context, a query.Answers, _ []string) ([]query.EndpointRow, error) {
			return a.Endpoints(ctx)
		},
		print: query.PrintEndpoints,
	}.command()
}
