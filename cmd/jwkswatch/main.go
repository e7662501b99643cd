// Command jwkswatch watches the key sets that tokens are trusted by and tells a
// SOC what happens to them. Each command is a thin shell around a package; see
// the README for the way in and docs/design.md for the house.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Exit codes, the same for every command.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2
	exitFindings = 3  // findings or changes found
	exitBlind    = 4  // could not look: never to be confused with "nothing found"
	exitConfig   = 78 // EX_CONFIG of sysexits.h
)

// sameSignal is how long signals to end are one.
const sameSignal = time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends what the first could not. What comes at once is the same
	// one again: timeout(1) and supervisors signal the process and its group.
	context.AfterFunc(ctx, func() { time.AfterFunc(sameSignal, stop) })
	defer stop()
	os.Exit(execute(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// execute runs one command line and returns its exit code.
func execute(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errs)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	ended, ok := errors.AsType[*ended](err)
	if !ok { // cobra's own errors are about the words of the call
		fmt.Fprintf(errs, "jwkswatch: %v\nhelp: %s --help\n", err, cmd.CommandPath())
		return exitUsage
	}
	if ended.err != nil {
		fmt.Fprintf(errs, "jwkswatch: %v\n", ended.err)
	}
	return ended.code
}

// ended ends a command with an exit code. A nil err says nothing more.
type ended struct {
	code int
	err  error
}

func (e *ended) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *ended) Unwrap() error { return e.err }

// failed ends a command that could not do its work; nil when it could.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return &ended{exitFailed, err}
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "jwkswatch",
		Short: "Watch the keys that tokens are trusted by",
		Long: `jwkswatch polls JSON Web Key Sets (RFC 7517), keeps their history, judges every
change and publishes security events to NATS JetStream, files, syslog, webhooks
and logs.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 findings or changes found,
4 could not look, 78 bad configuration.`,
		Example:       "  jwkswatch demo\n  jwkswatch run -c /etc/jwkswatch/jwkswatch.yaml",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := cmd.Help(); err != nil {
				return err
			}
			return &ended{code: exitUsage}
		},
	}
	root.CompletionOptions.DisableDefaultCmd = true
	root.AddCommand(
		newRun(), newDemo(), newLint(), newDiff(), newRules(), newConfig(),
		newStatus(), newEndpoints(), newEvents(), newHistory(), newShow(), newTimeline(), newToken(), newExplain(), newApprove(), newApprovals(), newRevoke(), newDrill(), newVerify(), newReload(), newBackup(), newRestore(), newMigrate(), newStateCheck(), newReplay(), newHealthcheck(), newDoctor(),
		newVersion(), newCompletion(),
	)
	return root
}

// outputFlag adds -o and returns where its value will be.
func outputFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("output", "o", "text", "text or json")
}

// checkOutput refuses other values of -o.
func checkOutput(o string) error {
	if o != "text" && o != "json" {
		return fmt.Errorf("-o %q: want text or json", o)
	}
	return nil
}
