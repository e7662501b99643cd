package main

import (
	"errors"
	"fmt"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func newRestore() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a backup in the place of the state of a stopped daemon",
		Long: `Put a backup in the place of the state of a stopped daemon: one that backup wrote,
or one that the daemon keeps by itself (beside the state, named after it, with
.backup- and the time). The backup is verified first, and stays. What stood there
is moved aside, not deleted.

The copy gets a new epoch, so that no event reuses an id. The next run tells
agent.state_restored; keys that changed since the backup are told again, late.

Exits 1 while a daemon runs, and 4 when the backup is missing or damaged.`,
		Example: "  systemctl stop jwkswatch\n  jwkswatch restore /var/lib/jwkswatch/jwkswatch.db.backup-20261122T030003Z\n  systemctl start jwkswatch",
		Args:    cobra.ExactArgs(1),
	}
	p := placeFlags(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := p.path()
		if err != nil {
			return err
		}
		done, err := bolt.Restore(cmd.Context(), bolt.RecoverOptions{
			Path: path, Stream: event.AgentStream, Check: verified(zerolog.Nop()),
		}, args[0])
		if errors.Is(err, state.ErrLocked) {
			return failed(fmt.Errorf("%w: stop the daemon first", err))
		}
		if err != nil {
			return unasked(err)
		}
		out := cmd.OutOrStdout()
		if done.Aside != "" {
			if _, err := fmt.Fprintf(out, "%s: what stood there\n", done.Aside); err != nil {
				return failed(err)
			}
		}
		of := "no event in it"
		if !done.Found.At.IsZero() {
			of = "newest event " + done.Found.At.UTC().Format(event.TimeLayout)
		}
		_, err = fmt.Fprintf(out, "%s: restored from %s (%s); start the daemon\n", path, args[0], of)
		return failed(err)
	}
	return cmd
}
