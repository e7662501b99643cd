package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// maxDocument caps what the one-shot commands read, in octets.
const maxDocument = 64 << 20

type diffResult struct {
	Old     setRow      `json:"old"`
	New     setRow      `json:"new"`
	Changes []changeRow `json:"changes"`
}

type setRow struct {
	Keys   int    `json:"keys"`
	Digest string `json:"digest"`
}

type changeRow struct {
	Type     event.Type     `json:"type"`
	Severity event.Severity `json:"severity"`
	Key      *keyRow        `json:"key"`
	Previous *keyRow        `json:"previous_key"`
	Fields   []string       `json:"fields"`
	Message  string         `json:"message"`
}

func newDiff() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Classify the changes between two JWKS files, as the daemon would",
		Long: `Classify the changes between two JWKS files, as the daemon would: keys are paired
by their material, never by text or order. A dash reads standard input.

Exits 3 when there is any change, 4 when a file cannot be read or is no JWK Set.`,
		Example: "  jwkswatch diff yesterday.json today.json\n  jwkswatch diff -o json old.json new.json | jq .changes",
		Args:    cobra.ExactArgs(2),
	}
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if args[0] == "-" && args[1] == "-" {
			return errors.New("only one of OLD and NEW can be standard input")
		}
		before, err := readSet(cmd.InOrStdin(), args[0])
		if err != nil {
			return &ended{exitBlind, err}
		}
		after, err := readSet(cmd.InOrStdin(), args[1])
		if err != nil {
			return &ended{exitBlind, err}
		}
		r := compare(before, after)
		if err := r.print(cmd.OutOrStdout(), *output); err != nil {
			return &ended{exitFailed, err}
		}
		if len(r.Changes) > 0 {
			return &ended{code: exitFindings}
		}
		return nil
	}
	return cmd
}

func compare(before, after *jwks.Set) diffResult {
	r := diffResult{
		Old: setRow{len(before.Keys), digest(before.Digest)}, New: setRow{len(after.Keys), digest(after.Digest)}, Changes: []changeRow{},
	}
	for _, f := range rules.Compare(rules.Book(), before, after) {
		row := changeRow{Type: f.Type, Severity: f.Severity, Fields: f.Change.Fields, Message: f.Message}
		if row.Fields == nil {
			row.Fields = []string{}
		}
		if f.Key != nil {
			row.Key = new(newKeyRow(&f.Key.Key))
		}
		if f.Previous != nil {
			row.Previous = new(newKeyRow(&f.Previous.Key))
		}
		r.Changes = append(r.Changes, row)
	}
	return r
}

func (r *diffResult) print(w io.Writer, output string) error {
	if output == "json" {
		return json.NewEncoder(w).Encode(r)
	}
	if len(r.Changes) == 0 {
		_, err := fmt.Fprintf(w, "no change: %d keys, %s\n", r.New.Keys, r.New.Digest)
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	for _, c := range r.Changes {
		kid, print := "", ""
		if c.Key != nil {
			kid, print = or(c.Key.Kid, "(no kid)"), or(c.Key.Thumbprint, "")
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", c.Severity, c.Type, kid, print, c.Message)
	}
	return t.Flush()
}

// readSet reads a usable set from a file, or from standard input for "-".
func readSet(in io.Reader, name string) (*jwks.Set, error) {
	b, err := readFile(in, name)
	if err != nil {
		return nil, err
	}
	set := jwks.Parse(b)
	if !set.Usable() {
		return nil, fmt.Errorf("%s: no JWK Set (%s, at octet %d): %s", name, set.Shape, set.Offset, terminal(set.Reason))
	}
	return set, nil
}

func readFile(in io.Reader, name string) ([]byte, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(b) > maxDocument {
		return nil, fmt.Errorf("reading %s: larger than %d MiB", name, maxDocument>>20)
	}
	return b, nil
}
