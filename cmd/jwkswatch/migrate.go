package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the state of a stopped daemon to the newest format",
		Long: `Bring the state of a stopped daemon to a format that this version uses, and say
which one it has. All of it is verified.

This version reads and writes formats 1 and 2, and there is no older one: nothing
is ever to be done. A state of format 1 becomes format 2 by itself, on the day on
which the first heartbeats are thinned; who may go back to an older build keeps a
backup from before. A state of a newer version is refused.

Exits 1 when the state cannot be migrated, and 4 when it is missing, damaged, or
held by a running daemon.`,
		Example: "  jwkswatch migrate --dry-run",
		Args:    cobra.NoArgs,
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	cmd.Flags().Bool("dry-run", false, "say what would be done, and change nothing")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		path, err := p.path()
		if err != nil {
			return err
		}
		r, err := bolt.Check(cmd.Context(), path)
		if errors.Is(err, state.ErrLocked) {
			err = fmt.Errorf("%w: stop the daemon first", err)
		}
		if err != nil {
			return unasked(err)
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(migration{path, r.Format, r.Format, r.Values, r.Damaged}))
		}
		text := fmt.Sprintf("%s: format %d, which this version reads and writes: nothing to do\n%d values verified, %d damaged\n", path, r.Format, r.Values, r.Damaged)
		if len(r.First) > 0 {
			text += "  " + strings.Join(r.First, "\n  ") + "\n"
		}
		_, err = fmt.Fprint(cmd.OutOrStdout(), text)
		return failed(err)
	}
	return cmd
}

// migration is what migrate found and did.
type migration struct {
	State   string `json:"state"`
	From    uint32 `json:"from"` // format
	To      uint32 `json:"to"`
	Values  uint64 `json:"values"`
	Damaged uint64 `json:"damaged"` // values of the past that cannot be read
}
