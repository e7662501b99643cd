package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/control"
)

func newBackup() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backup FILE",
		Short: "Write a whole copy of the state, while the daemon runs or not",
		Long: `Write a whole and consistent copy of the state, while the daemon runs or not. An
existing file is not touched until the copy is complete, and refused without
--force. The copy holds the key of the event ids: keep it like the state.

Exits 4 when there is no state to copy.`,
		Example: "  jwkswatch backup /var/backups/jwkswatch-$(date +%F).db",
		Args:    cobra.ExactArgs(1),
	}
	p := placeFlags(cmd)
	force := cmd.Flags().Bool("force", false, "replace an existing file")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		path, err := p.path()
		if err != nil {
			return err
		}
		if err := notTheState(path, args[0]); err != nil {
			return err
		}
		if _, err := os.Lstat(args[0]); err == nil && !*force {
			return &ended{exitFailed, fmt.Errorf("%s exists: give another name, or --force", args[0])}
		}
		if err := backup(cmd.Context(), path, args[0]); err != nil {
			return unasked(err)
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: written\n", args[0])
		return failed(err)
	}
	return cmd
}

// notTheState refuses to write over the state or its socket: a daemon would go
// on in a file that has no name any more.
func notTheState(statePath, target string) error {
	for _, own := range []string{statePath, control.DefaultPath(statePath)} {
		a, errA := os.Stat(own)
		b, errB := os.Stat(target)
		same := filepath.Clean(own) == filepath.Clean(target) || errA == nil && errB == nil && os.SameFile(a, b)
		if same {
			return fmt.Errorf("%s is the state itself: give another name", target)
		}
	}
	return nil
}

// backup writes beside the target and renames: what has the name is whole.
func backup(ctx context.Context, statePath, target string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(target), ".jwkswatch-backup-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	err = control.Backup(ctx, control.DefaultPath(statePath), statePath, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = notTheState(statePath, target); err != nil {
		return err // it may have become that meanwhile
	}
	if err = os.Rename(f.Name(), target); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(target))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // or a power failure forgets the name
}
