package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newHealthcheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "healthcheck",
		Short: "Whether the running daemon does its work, for a container",
		Long: `Whether the running daemon does its work: its loop turns and its state can be
written. That an issuer is away is no reason to start the daemon anew.

Exits 1 when it is not healthy, 4 when no daemon answers.`,
		Example: "  jwkswatch healthcheck",
		Args:    cobra.NoArgs,
	}
	p := placeFlags(cmd)
	timeout := cmd.Flags().Duration("timeout", 5*time.Second, "of the whole")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		client, err := p.client()
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), *timeout)
		defer cancel()
		if err := client.Healthy(ctx); err != nil {
			return unasked(err)
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "healthy")
		return failed(err)
	}
	return cmd
}
