package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/replay"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// replayed reads what is to be replayed, and the rules that are to judge it.
func replayed(cmd *cobra.Command, archive string, p place, own []string) (rows []replay.Row, o replay.Options, set *custom.Set, err error) {
	o.Book = rules.Book()
	var c *configs.Config
	if path := configPath(*p.config); archive == "" || cmd.Flags().Changed("config") {
		if c, err = loadConfig(path, cmd.ErrOrStderr()); err != nil {
			if *p.state == "" || cmd.Flags().Changed("config") || !errors.Is(err, fs.ErrNotExist) {
				return nil, o, nil, err
			}
			c = nil // a state alone: nothing is declared
		} else {
			o.Blocklists = c.Compromised.Lists
		}
	}
	if archive != "" {
		if rows, err = readArchive(cmd.InOrStdin(), archive); err != nil {
			err = &ended{exitBlind, fmt.Errorf("%s: %w", archive, err)}
		}
	} else {
		rows, err = storedRows(cmd.Context(), p)
		o.Until, o.Policy = time.Now(), policies(c)
	}
	if err != nil {
		return nil, o, nil, err
	}
	if len(own) > 0 || c == nil {
		set, err = readRules(cmd.ErrOrStderr(), own)
	} else {
		set = c.Rules.Set
	}
	return rows, o, set, err
}

// storedRows are the snapshots of every endpoint in a private copy of the state,
// which a running daemon gives too.
func storedRows(ctx context.Context, p place) (rows []replay.Row, err error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "jwkswatch-backtest-*") // 0700: the copy has the key of the event ids
	if err != nil {
		return nil, failed(err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	copied := filepath.Join(dir, "state.db")
	f, err := os.OpenFile(copied, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, failed(err)
	}
	if err := errors.Join(control.Backup(ctx, control.DefaultPath(path), path, f), f.Close()); err != nil {
		return nil, unasked(err)
	}
	db, err := bolt.Open(ctx, bolt.Options{Path: copied})
	if err != nil {
		return nil, unasked(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	names, err := db.Endpoints(ctx)
	if err != nil {
		return nil, unasked(err)
	}
	for _, name := range names {
		if name == event.AgentStream {
			continue
		}
		var own []replay.Row
		for r, err := range db.Snapshots(ctx, name) {
			if err != nil {
				return nil, unasked(err)
			}
			if len(r.Body) == 0 || len(own) > 0 && string(own[len(own)-1].Doc) == string(r.Body) {
				if len(own) > 0 && len(r.Body) > 0 {
					own[len(own)-1].T = r.At // newest first: the set stood since then
				}
				continue
			}
			own = append(own, replay.Row{T: r.At, Service: name, Status: 200, Doc: r.Body})
		}
		slices.Reverse(own)
		rows = append(rows, own...)
	}
	return rows, nil
}

// policies are what the configuration says of each endpoint. One that it does not
// have any more is judged by the defaults.
func policies(c *configs.Config) func(string) rules.Policy {
	of := map[string]rules.Policy{}
	if c != nil {
		for i := range c.Endpoints {
			e := &c.Endpoints[i]
			of[e.Name] = rules.Policy{
				Endpoint: e.Name, URL: cmp.Or(e.Issuer, e.JWKSURI), Issuer: e.Issuer, Interval: e.Interval, Tier: e.Tier, Group: e.Group, MaxEvents: int(e.MaxEvents),
				Expect: expected(e), Windows: c.WindowsOf(e), Approvals: approvalsOf(e.Name, c, nil), Compromised: compromised(c),
			}
		}
	}
	return func(name string) rules.Policy {
		if p, ok := of[name]; ok {
			return p
		}
		return rules.Policy{Endpoint: name, URL: "https://stored.invalid/" + name, Interval: time.Minute, Tier: "standard"}
	}
}
