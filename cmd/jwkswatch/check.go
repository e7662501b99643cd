package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const (
	checkCommand = "state-check"
	// checkTimeout bounds how long a start waits for the check: who watches nothing
	// meanwhile is blind.
	checkTimeout = 45 * time.Second
	// checkEnv is set for the child, so that a program that is not ours and runs
	// this one again cannot do so for ever.
	checkEnv = "JWKSWATCH_STATE_CHECK"
)

// verdict is what the child says of a state.
type verdict struct {
	Damage string       `json:"damage"` // "" when it can be used
	Report *bolt.Report `json:"report"`
}

// newStateCheck is what run calls in a process of its own.
func newStateCheck() *cobra.Command {
	return &cobra.Command{
		Use:    checkCommand + " FILE",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report, err := bolt.Check(cmd.Context(), args[0])
			v := verdict{Report: &report}
			if errors.Is(err, state.ErrCorrupt) {
				v = verdict{Damage: err.Error()}
			} else if err != nil {
				return unasked(err)
			}
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(v))
		},
	}
}

// stateCheck verifies a state in a child process: a fault of the memory map, or a
// panic in a library, ends the child and nothing else. past is told of damage
// that is no reason to give the state up.
func stateCheck(past func(path string, r bolt.Report)) func(context.Context, string) error {
	return func(ctx context.Context, path string) error {
		self, err := os.Executable()
		if err != nil || os.Getenv(checkEnv) != "" {
			_, err := bolt.Check(ctx, path)
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, checkTimeout)
		defer cancel()
		cmd := exec.CommandContext(ctx, self, checkCommand, path)
		cmd.Env = append(os.Environ(), checkEnv+"=1", "GOTRACEBACK=none")
		var out, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &errs
		err = cmd.Run()
		var v verdict
		switch {
		case ctx.Err() != nil:
			return fmt.Errorf("it was not verified within %s", checkTimeout)
		case err != nil && crashed(cmd.ProcessState, errs.String()):
			return fmt.Errorf("%w: the process that read it crashed: %s", state.ErrCorrupt, event.Text(firstLine(errs.String())))
		case err != nil:
			return fmt.Errorf("%w: %s", err, event.Text(firstLine(errs.String())))
		}
		if err := json.Unmarshal(out.Bytes(), &v); err != nil {
			return fmt.Errorf("reading the verdict: %w", err)
		}
		if v.Damage != "" {
			return &damage{v.Damage}
		}
		if v.Report != nil && v.Report.Damaged > 0 {
			past(path, *v.Report)
		}
		return nil
	}
}

// damage is state.ErrCorrupt in the words of the child, which name it already.
type damage struct{ text string }

func (d *damage) Error() string { return d.text }
func (d *damage) Unwrap() error { return state.ErrCorrupt }

// crashed tells a process that the file has ended from one that could not look.
// One that was killed says nothing of the file: memory may have been short.
func crashed(p *os.ProcessState, errs string) bool {
	if p == nil {
		return false
	}
	for _, sign := range []string{"fatal error:", "panic:", "unexpected fault address", "SIGBUS", "SIGSEGV"} {
		if strings.Contains(errs, sign) && !strings.Contains(errs, "out of memory") {
			return true
		}
	}
	return faulted(p)
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return line
}
