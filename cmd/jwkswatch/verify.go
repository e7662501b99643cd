package main

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
	"github.com/jwkswatch/jwkswatch/query"
)

func newVerify() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify [FILE...]",
		Short: "Check events against their hash chains and signed checkpoints",
		Long: `Checks exported events, one a line as the file sink, the log sink or a consumer
wrote them, against the hash chain of each endpoint and the signed checkpoints among
them: what is missing, altered, inserted or out of order, and where. Works offline; -
is standard input. Several files are read in their order.

Without a file the journal of the agent itself is checked, of the running daemon or
of the state at rest. Heartbeats that were thinned are missing there, and noted.

A checkpoint only proves something when its key is pinned: --key takes the thumbprint
that --show-key prints on the host of the agent.

Exits 3 when something is wrong, 4 when a file cannot be read.`,
		Example: "  jwkswatch verify --show-key\n  jwkswatch verify --key NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs events.jsonl",
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	key := cmd.Flags().String("key", "", "thumbprint (RFC 7638) of the key that must have signed the checkpoints")
	filtered := cmd.Flags().Bool("filtered", false, "not all events were exported: what is missing is noted, and no finding")
	show := cmd.Flags().Bool("show-key", false, "print the thumbprint of this agent's signing key, and nothing else")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if *show {
			return showKey(cmd, p)
		}
		v := &evidence.Verifier{Key: *key, Filtered: *filtered}
		var err error
		if len(args) == 0 {
			v.Filtered = true // heartbeats are thinned, and what is old is dropped
			err = verifyState(cmd.Context(), v, p)
		} else {
			err = verifyFiles(v, cmd.InOrStdin(), args)
		}
		if err != nil {
			return err
		}
		r := v.Report()
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		} else {
			err = printVerified(cmd.OutOrStdout(), &r)
		}
		if err == nil && len(r.Findings) > 0 {
			return &ended{code: exitFindings}
		}
		return failed(err)
	}
	return cmd
}

func showKey(cmd *cobra.Command, p place) error {
	path, err := p.path()
	if err != nil {
		return err
	}
	key, err := readSigningKey(signingKeyPath(path))
	if err != nil {
		return &ended{exitBlind, err}
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), evidence.Thumbprint(key.Public().(ed25519.PublicKey)))
	return failed(err)
}

func verifyFiles(v *evidence.Verifier, in io.Reader, names []string) error {
	n := 0
	for _, name := range names {
		r := in
		if name != "-" {
			f, err := os.Open(name)
			if err != nil {
				return &ended{exitBlind, err}
			}
			defer f.Close()
			r = f
		}
		const most = 2 << 20 // octets of a line: above what an event can have
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 64<<10), most)
		for lines.Scan() {
			n++
			v.Line(n, lines.Bytes())
		}
		if err := lines.Err(); err != nil {
			return &ended{exitBlind, fmt.Errorf("%s, after line %d: %w", name, n, err)}
		}
	}
	return nil
}

func verifyState(ctx context.Context, v *evidence.Verifier, p place) error {
	a, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer a.Close()
	n := 0
	for line, err := range a.Events(ctx, query.Filter{}) {
		if err != nil {
			return unasked(err)
		}
		n++
		v.Line(n, line)
	}
	return nil
}

// printVerified writes texts that have passed event.Text, and names of streams.
func printVerified(w io.Writer, r *evidence.Report) error {
	for _, f := range r.Findings {
		at := ""
		if f.Line > 0 {
			at = fmt.Sprintf("line %d: ", f.Line)
		}
		if _, err := fmt.Fprintf(w, "%s%s: %s\n", at, f.Kind, event.Text(f.Message)); err != nil {
			return err
		}
	}
	for _, n := range r.Notes {
		if _, err := fmt.Fprintf(w, "note: %s\n", event.Text(n)); err != nil {
			return err
		}
	}
	for _, s := range r.Signers {
		if _, err := fmt.Fprintf(w, "signed by %s\n", s); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(w, "%d events of %d streams (%d more times the same), %d checkpoints: %d findings\n", r.Events, r.Streams, r.Repeated, r.Checkpoints, len(r.Findings))
	return err
}
