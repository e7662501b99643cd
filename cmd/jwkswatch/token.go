package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/token"
)

func newToken() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token [FILE|-]",
		Short: "Which key signed a token, and was it published then",
		Long: help(`Looks at one signed token (JWT, compact JWS) from a file or stdin: which key signed
it, when that key was published, whether the signature verifies, and whether the
key was published when the token says that it was made: yes, before or after its
time, never, or unknown when nobody watched yet or the key has come back since.
The token stays in this process and is never printed.

Exits 3 if any finding is medium or worse.`),
		Example: "  pbpaste | jwkswatch token\n  jwkswatch token --endpoint corp-idp -o json suspicious.jwt",
		Args:    cobra.MaximumNArgs(1),
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	endpoint := cmd.Flags().String("endpoint", "", "look at keys of this endpoint only")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		t, err := readToken(cmd.InOrStdin(), args)
		if err != nil {
			return err
		}
		a, err := p.open(cmd.Context())
		if err != nil {
			return err
		}
		r, err := examine(cmd.Context(), a, t, *endpoint)
		if err = errors.Join(err, a.Close()); err != nil {
			return unasked(err)
		}
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		} else {
			err = printToken(cmd.OutOrStdout(), r)
		}
		if err != nil {
			return failed(err)
		}
		if r.Worst() >= event.SeverityMedium {
			return &ended{code: exitFindings}
		}
		return nil
	}
	return cmd
}

// readToken reads the token. No error quotes what was read: a file that is named
// by mistake may hold anything.
func readToken(in io.Reader, args []string) (*token.Token, error) {
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, &ended{exitBlind, err}
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, token.MaxOctets+1024))
	if err != nil {
		return nil, &ended{exitBlind, fmt.Errorf("reading the token: %w", err)}
	}
	return token.Parse(string(b))
}

// examine asks for the keys that bore the kid, and for all others only when none
// of those made the signature.
func examine(ctx context.Context, a query.Answers, t *token.Token, endpoint string) (token.Report, error) {
	var named []query.PublishedKey
	if t.Kid != nil {
		var err error
		if named, err = a.Keys(ctx, query.KeyFilter{Kid: t.Kid, Endpoint: endpoint}); err != nil {
			return token.Report{}, err
		}
		if r := token.Examine(t, named, nil); r.Signature == token.Valid {
			return r, nil
		}
	}
	others, err := a.Keys(ctx, query.KeyFilter{Endpoint: endpoint})
	if err != nil {
		return token.Report{}, err
	}
	return token.Examine(t, named, others), nil
}

func printToken(w io.Writer, r token.Report) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(t, "%s\t%s\n", name, value) }
	or := func(s *string, none string) string {
		if s == nil {
			return none
		}
		return *s
	}
	at := func(s *event.Time, none string) string {
		if s == nil {
			return none
		}
		return s.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	row("kid", or(r.Kid, "(none)"))
	row("alg", r.Alg)
	row("signature", strings.ReplaceAll(string(r.Signature), "_", " "))
	row("endpoint", or(r.Endpoint, "none published it"))
	row("thumbprint", or(r.Thumbprint, "-"))
	row("issued at", at(r.IssuedAt, "not said"))
	row("published then", string(r.Published))
	if r.Endpoint != nil {
		row("first seen", at(r.FirstSeen, "in the baseline"))
		row("last seen", at(r.LastSeen, "-"))
		row("gone by", at(r.GoneBy, "still published"))
	}
	for _, f := range r.Findings {
		row(f.Severity.String(), f.Code+": "+f.Message)
	}
	return t.Flush()
}
