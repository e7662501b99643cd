package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
)

// place are the flags that say whose state is asked for.
type place struct{ config, state *string }

func placeFlags(cmd *cobra.Command) place {
	return place{
		configFlag(cmd),
		cmd.Flags().String("state", "", "state file; instead of the one that the configuration names"),
	}
}

// path is the state file, also when the configuration has errors: the daemon
// that is asked runs with the one before.
func (p place) path() (string, error) {
	if *p.state != "" {
		return *p.state, nil
	}
	path, err := configs.StatePath(configPath(*p.config))
	if errors, ok := errors.AsType[configs.Errors](err); ok {
		return "", &ended{exitConfig, errors}
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w; name one with -c FILE, or the state with --state FILE", err)
	}
	if err != nil {
		return "", &ended{exitBlind, err}
	}
	return path, nil
}

// open finds who can answer: the running daemon, or the state at rest.
func (p place) open(ctx context.Context) (query.Answers, error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	a, err := control.Open(ctx, control.DefaultPath(path), path)
	if err != nil {
		return nil, unasked(err)
	}
	return a, nil
}

// client is the running daemon, for what only it can do.
func (p place) client() (*control.Client, error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	return &control.Client{Path: control.DefaultPath(path)}, nil
}

// unasked ends a command whose question could not be asked or answered: nobody
// could look, which is not the same as nothing found.
func unasked(err error) error {
	if p, ok := errors.AsType[*query.Problem](err); ok && p.Code == query.BadQuestion {
		return err // about the words of the call
	}
	for _, blind := range []error{control.ErrNotRunning, state.ErrLocked, state.ErrCorrupt, fs.ErrNotExist, fs.ErrPermission} {
		if errors.Is(err, blind) {
			return &ended{exitBlind, err}
		}
	}
	return &ended{exitFailed, err}
}

// question is a command that asks one thing and prints the answer.
type question[T any] struct {
	cmd   *cobra.Command
	ask   func(ctx context.Context, a query.Answers, args []string) (T, error)
	print func(w io.Writer, answer T) error
}

// command makes the command: -c, --state and -o are the same for all.
func (q question[T]) command() *cobra.Command {
	p := placeFlags(q.cmd)
	output := outputFlag(q.cmd)
	q.cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		a, err := p.open(cmd.Context())
		if err != nil {
			return err
		}
		answer, err := q.ask(cmd.Context(), a, args)
		// What was copied is given back before anything is printed: who reads may
		// take an hour.
		if err = errors.Join(err, a.Close()); err != nil {
			return unasked(err)
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(answer))
		}
		return failed(q.print(cmd.OutOrStdout(), answer))
	}
	return q.cmd
}

// asking is the paragraph that all questions share.
const asking = `
Asks the running daemon; without one, a private copy of the state, so that no
daemon is kept from starting.

Exits 4 when there is neither.`

func help(format string, args ...any) string { return fmt.Sprintf(format, args...) + "\n" + asking }
