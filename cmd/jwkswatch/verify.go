package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [FILE...]",
		Short: "Check events against their hash chains and signed checkpoints",
		Long: `Checks exported events, one a line as the file sink, the log sink or a consumer
wrote them in the format cloudevents, against the hash chain of each endpoint and the
signed checkpoints among them: what is missing, altered, inserted or out of order, and
where. Works offline; - is standard input. Any part of what was written in one piece
is whole: what came before it is not asked for. Several files may be given, those of
one sink in their order.

A checkpoint only proves something when its key is pinned: --key takes the thumbprint
that --show-key prints on the host of the agent, and may be given again for a key that
was exchanged, or for several agents.

Without a file the state itself is checked, of the running daemon or at rest: every
value against its digest, and the journal against the chains, the checkpoints and the
heads that the state knows. Heartbeats that were thinned are missing there, and noted.

Exits 3 when something is wrong, 4 when a file cannot be read or holds no event.`,
		Example: "  jwkswatch verify --show-key\n  jwkswatch verify --key NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs events.jsonl",
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	keys := cmd.Flags().StringArray("key", nil, "thumbprint (RFC 7638) of a key that must have signed the checkpoints; may be given again")
	filtered := cmd.Flags().Bool("filtered", false, "not all events were exported: what is missing is noted, and no finding")
	show := cmd.Flags().Bool("show-key", false, "print the thumbprint of this agent's signing key, and nothing else")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if *show {
			return showKey(cmd.OutOrStdout(), p)
		}
		for _, k := range *keys {
			if !configs.IsThumbprint(k) {
				return fmt.Errorf("--key %s is no thumbprint (43 characters of base64url): jwkswatch verify --show-key prints it", event.Text(k))
			}
		}
		v := &evidence.Verifier{Keys: *keys, Filtered: *filtered, Thinned: len(args) == 0}
		var values *bolt.Report
		var err error
		if len(args) == 0 {
			values, err = verifyState(cmd.Context(), v, p)
		} else {
			err = verifyFiles(v, cmd.InOrStdin(), args)
		}
		if err != nil {
			return err
		}
		r := verification{v.Report(), values}
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		} else {
			err = r.print(cmd.OutOrStdout())
		}
		switch {
		case err != nil:
			return failed(err)
		case r.Events == 0:
			return &ended{exitBlind, errors.New("there is no event in it: nothing was verified; it wants lines in the format cloudevents")}
		case r.bad():
			return &ended{code: exitFindings}
		}
		return nil
	}
	return cmd
}

// verification is what verify prints as JSON.
type verification struct {
	evidence.Report
	State *bolt.Report `json:"state"` // the values of a state; null for files
}

func (r *verification) bad() bool {
	return len(r.Findings) > 0 || r.State != nil && r.State.Damaged > 0
}

func showKey(w io.Writer, p place) error {
	path := configs.State{Path: *p.state}.SigningKey()
	if *p.state == "" {
		c, err := configs.Load(configPath(*p.config))
		if errors, ok := errors.AsType[configs.Errors](err); ok {
			return &ended{exitConfig, errors}
		}
		if err != nil {
			return &ended{exitBlind, err}
		}
		path = c.SigningKey()
	}
	key, err := readSigningKey(path)
	if err != nil {
		return &ended{exitBlind, err}
	}
	_, err = fmt.Fprintln(w, evidence.Thumbprint(key.Public().(ed25519.PublicKey)))
	return failed(err)
}

func verifyFiles(v *evidence.Verifier, in io.Reader, names []string) error {
	for _, name := range names {
		if err := verifyFile(v, in, name); err != nil {
			return &ended{exitBlind, err}
		}
	}
	return nil
}

func verifyFile(v *evidence.Verifier, in io.Reader, name string) error {
	if name == "-" {
		return v.Read("standard input", in)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return v.Read(name, f)
}

// verifyState takes a copy of the state, in which all is of one moment, and reads all
// of it.
func verifyState(ctx context.Context, v *evidence.Verifier, p place) (_ *bolt.Report, err error) {
	path, err := p.path()
	if err != nil {
		return nil, err
	}
	// Beside the state, where it is as safe as the state; a user who may only read
	// has the folder for temporary files.
	dir, err := os.MkdirTemp(filepath.Dir(path), ".jwkswatch-verify-*")
	if err != nil {
		if dir, err = os.MkdirTemp("", "jwkswatch-verify-*"); err != nil {
			return nil, failed(err)
		}
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "state.db")
	if err := backup(ctx, path, file); err != nil {
		return nil, unasked(err)
	}
	values, err := bolt.Check(ctx, file)
	if err != nil {
		return nil, unasked(err)
	}
	db, err := bolt.OpenCopy(ctx, file)
	if err != nil {
		return nil, unasked(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	heads, err := headsOf(ctx, db)
	if err != nil {
		return nil, unasked(err)
	}
	v.Heads(heads)
	if err := verifyJournal(ctx, v, db); err != nil {
		return nil, unasked(err)
	}
	return &values, nil
}

// verifyJournal steps over what is damaged: it was counted, and the chains show the gap.
func verifyJournal(ctx context.Context, v *evidence.Verifier, db *bolt.DB) error {
	n := 0
	for at, more := "", true; more; {
		more = false
		for e, err := range db.Events(ctx, at) {
			if errors.Is(err, state.ErrCorrupt) && e.Position > at {
				at, more = e.Position, true
				break
			}
			if err != nil {
				return err
			}
			at = e.Position
			n++
			v.Line("journal", n, e.JSON)
		}
	}
	return nil
}

// print writes texts that have passed event.Text.
func (r *verification) print(w io.Writer) error {
	p := &printer{w: w}
	for _, f := range r.Findings {
		if f.Line > 0 {
			p.print("%s:%d: ", event.Text(f.File), f.Line)
		}
		p.print("%s: %s", f.Kind, f.Message)
		if f.ID != "" {
			p.print(" (%s)", f.ID)
		}
		p.print("\n")
	}
	if s := r.State; s != nil {
		for _, text := range s.First {
			p.print("damaged: %s\n", event.Text(text))
		}
		p.print("%d values of the state: %d damaged\n", s.Values, s.Damaged)
	}
	for _, n := range r.Notes {
		p.print("note: %s\n", n)
	}
	for _, s := range r.Signers {
		p.print("signed by %s\n", s)
	}
	p.print("%d events of %d streams (%d more times the same), %d signed, %d not; %d checkpoints: %d findings\n",
		r.Events, r.Streams, r.Repeated, r.Signed, r.Unsigned, r.Checkpoints, len(r.Findings))
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) print(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintf(p.w, format, args...)
	}
}
