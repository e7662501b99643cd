package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

type lintResult struct {
	Target   string       `json:"target"`
	Keys     []keyRow     `json:"keys"`
	Findings []findingRow `json:"findings"`
	// Notes are what go-jose, run beside our own decoder, refuses to read.
	Notes []string `json:"notes"`
	Error *string  `json:"error"` // why the target could not be looked at
	// JWKSURI is where discovery led, masked; null without discovery.
	JWKSURI *string `json:"jwks_uri"`
}

type findingRow struct {
	Type       event.Type     `json:"type"`
	Severity   event.Severity `json:"severity"`
	Codes      []string       `json:"codes"`
	Kid        *string        `json:"kid"`
	Thumbprint *string        `json:"thumbprint"`
	Message    string         `json:"message"`
}

func newLint() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint TARGET...",
		Short: "Look once at the key sets of URLs, issuers or files and tell what is wrong",
		Long: `Look once at JWKS URLs, issuers or files (- for standard input): keys and
findings. A URL that serves no key set is asked for its discovery document
(OpenID Connect, then RFC 8414). A private or loopback address has to be named
as such or allowed with --allow-private.

Exits 3 when a finding is medium or worse, 4 when a target could not be looked at.`,
		Example: "  jwkswatch lint https://login.corp.example\n  jwkswatch lint https://login.corp.example/.well-known/jwks.json\n  jwkswatch lint -o json keys.json",
		Args:    cobra.MinimumNArgs(1),
	}
	output := outputFlag(cmd)
	private := cmd.Flags().Bool("allow-private", false, "let names resolve to private and loopback addresses")
	timeout := cmd.Flags().Duration("timeout", 15*time.Second, "of each fetch")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if n := len(slices.DeleteFunc(slices.Clone(args), func(a string) bool { return a != "-" })); n > 1 {
			return errors.New("standard input can be read once only")
		}
		l := linter{in: cmd.InOrStdin(), client: &fetch.Client{}, private: *private, timeout: *timeout}
		defer l.client.CloseIdle()
		var results []lintResult
		code := exitOK
		for _, target := range args {
			r := l.lint(cmd.Context(), target)
			results = append(results, r)
			code = max(code, r.exit())
		}
		if err := printLint(cmd.OutOrStdout(), *output, results); err != nil {
			return &ended{exitFailed, err}
		}
		if code != exitOK {
			return &ended{code: code}
		}
		return nil
	}
	return cmd
}

func (l *linter) lint(ctx context.Context, target string) lintResult {
	r := lintResult{Target: target, Keys: []keyRow{}, Findings: []findingRow{}, Notes: []string{}}
	body, err := l.read(ctx, &r, target)
	if err != nil {
		r.Error = new(err.Error())
		return r
	}
	set := jwks.Parse(body)
	for i := range set.Keys {
		r.Keys = append(r.Keys, newKeyRow(&set.Keys[i]))
	}
	if set.Usable() && len(set.Keys) == 0 {
		r.Findings = append(r.Findings, findingRow{
			Type: event.SetEmptied, Severity: event.SeverityCritical, Codes: []string{"empty"}, Message: "the set holds no keys",
		})
	}
	for _, f := range rules.Examine(rules.Book(), set, rules.Policy{Site: r.site()}, nil, time.Now()) {
		row := findingRow{Type: f.Rule.Type, Severity: f.Severity, Codes: codes(f.Details), Message: f.What}
		if f.Key != nil {
			row.Kid, row.Thumbprint = event.TextOrNil(f.Key.Kid), thumbprint(f.Key)
		} else if f.Kid != "" {
			row.Kid = event.TextOrNil(f.Kid)
		}
		r.Findings = append(r.Findings, row)
	}
	if set.Usable() {
		for _, d := range set.Oracle() {
			r.Notes = append(r.Notes, fmt.Sprintf("%s %s: %s", d.Code, terminal(d.Pointer), terminal(d.Text)))
		}
	}
	return r
}

// codes are the defect codes of a flaw's details.
func codes(details any) []string {
	switch d := details.(type) {
	case *event.KeyUnparseableDetails:
		return d.Codes
	case *event.SetAmbiguousDetails:
		return []string{d.Code}
	case *event.DocumentInvalidDetails:
		return []string{d.Shape}
	case *event.KeyPrivateDetails:
		return d.Members
	case *event.KeyWeakDetails:
		return d.Codes
	case *event.KeyCertificateInvalidDetails:
		return d.Codes
	case *event.KeyCompromisedDetails:
		return []string{d.List}
	case *event.SetBreaksVerifiersDetails:
		out := []string{}
		for _, decoder := range d.Decoders {
			out = append(out, decoder.Effect)
		}
		return out
	}
	return []string{}
}

// site is the registrable domain of the target, "" for a file.
func (r *lintResult) site() string {
	u, err := url.Parse(r.Target)
	if err != nil || u.Host == "" {
		return ""
	}
	return fetch.Site(strings.ToLower(u.Hostname()))
}

func (r *lintResult) exit() int {
	if r.Error != nil {
		return exitBlind
	}
	for _, f := range r.Findings {
		if f.Severity >= event.SeverityMedium {
			return exitFindings
		}
	}
	return exitOK
}

func printLint(w io.Writer, output string, results []lintResult) error {
	if output == "json" {
		if len(results) == 1 {
			return json.NewEncoder(w).Encode(results[0])
		}
		return json.NewEncoder(w).Encode(results)
	}
	for _, r := range results {
		if err := r.print(w); err != nil {
			return err
		}
	}
	return nil
}

func (r *lintResult) print(w io.Writer) error {
	if r.Error != nil {
		_, err := fmt.Fprintf(w, "%s: could not look: %s\n", terminal(r.Target), terminal(*r.Error))
		return err
	}
	fmt.Fprintf(w, "%s: %d keys, %d findings\n", terminal(r.Target), len(r.Keys), len(r.Findings))
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if r.JWKSURI != nil {
		fmt.Fprintf(t, "  jwks_uri\t%s\n", terminal(*r.JWKSURI))
	}
	for _, k := range r.Keys {
		bits := ""
		if k.Bits != nil {
			bits = fmt.Sprint(*k.Bits)
		}
		fmt.Fprintf(t, "  key\t%s\t%s\t%s\t%s\t%s\t%s\n",
			or(k.Kid, "(no kid)"), or(k.Kty, "-"), bits, or(k.Alg, "-"), or(k.Use, "-"), or(k.Thumbprint, "(no thumbprint)"))
	}
	for _, f := range r.Findings {
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", f.Severity, f.Type, or(f.Kid, ""), f.Message)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(t, "  note\t%s\n", n)
	}
	return t.Flush()
}
