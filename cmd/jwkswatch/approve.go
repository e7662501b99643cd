package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
)

func newApprove() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approve THUMBPRINT|FILE|EVENT-ID",
		Short: "Announce a change, or accept one that came",
		Long: `Announce that a key will come, or go, at an endpoint: by its thumbprint (RFC 7638),
or by a file with the public key (a JWK or a key set), which pins its kid, alg and
use as well. Then key.added, key.removed and the like of that key are expected, for
14 days or as long as --until says, 90 days at most.

With the id of an event the change that it tells of is accepted afterwards: its
keys are known from then on. What only an attacker does is never lowered: an
exchanged, private, compromised or weak key stays as severe as it is, and that
somebody accepted it stands in the journal.

Every approval is an event that all sinks get: an attacker who approves a key must
be loud. Exits 4 when no daemon answers.`,
		Example: "  jwkswatch approve NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs --endpoint corp-idp --reason CHG-4711\n" +
			"  jwkswatch approve new.pub.jwk --endpoint corp-idp --until 3d --reason CHG-4711\n" +
			"  jwkswatch approve jw1-7q3mxk2f5wzr4t6ybhdn2c6gpa --reason \"INC-12: ours, was not announced\"",
		Args: cobra.ExactArgs(1),
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	f := cmd.Flags()
	endpoint := f.String("endpoint", "", "where the change is expected; of an event its own, and of one endpoint that one")
	reason := f.String("reason", "", "why: the change or the incident that it belongs to; stands in the event")
	by := f.String("by", "", "who answers for it (default: the user who runs this)")
	from := f.String("from", "", "from when on: a time as in RFC 3339, or a day (default: now)")
	until := f.String("until", "14d", "until when: a time, a day, or for how long (12h, 14d); --expires is the same")
	kid := f.String("kid", "", "the kid that the key must have")
	alg := f.String("alg", "", "the alg that it must have")
	use := f.String("use", "", "the use that it must have")
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if name == "expires" {
			name = "until"
		}
		return pflag.NormalizedName(name)
	})
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if strings.TrimSpace(*reason) == "" {
			return errors.New("--reason is missing: say why, it stands in the event that tells of this")
		}
		g := control.Grant{Endpoint: *endpoint, Kid: *kid, Alg: *alg, Use: *use, Reason: *reason, By: cmp.Or(*by, whoami())}
		var err error
		if g.From, err = moment(*from, time.Now()); err != nil {
			return fmt.Errorf("--from: %w", err)
		}
		if g.Until, err = ending(*until, cmp.Or(g.From, time.Now())); err != nil {
			return fmt.Errorf("--until: %w", err)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		list, err := grants(cmd, client, args[0], g)
		if err != nil {
			return err
		}
		rows := []control.ApprovalRow{}
		for _, g := range list {
			row, err := client.Approve(cmd.Context(), g)
			if err != nil {
				return errors.Join(printApproved(cmd.OutOrStdout(), *output, rows), unasked(err))
			}
			rows = append(rows, row)
		}
		return failed(printApproved(cmd.OutOrStdout(), *output, rows))
	}
	return cmd
}

// ending reads a time, or how long after now it is.
func ending(s string, now time.Time) (time.Time, error) {
	if t, err := time.Parse(time.DateOnly, s); err == nil {
		return t.AddDate(0, 0, 1), nil // a day lasts until its end
	}
	t, err := moment(s, now)
	if err != nil {
		return t, fmt.Errorf("%q is no time: want 2026-11-22T03:00:00Z, a day (UTC), or for how long, such as 12h or 14d", event.Text(s))
	}
	if t.Before(now) && !strings.Contains(s, "-") {
		t = now.Add(now.Sub(t)) // moment counts back
	}
	return t, nil
}

// whoami is the user who runs this, "" when nobody knows.
func whoami() string {
	u, err := user.Current()
	if err != nil {
		return fmt.Sprintf("uid %d", os.Getuid())
	}
	return u.Username
}

func printApproved(w io.Writer, output string, rows []control.ApprovalRow) error {
	if output == "json" {
		return json.NewEncoder(w).Encode(rows)
	}
	for i := range rows {
		r := &rows[i]
		verb := "announced"
		if r.Event != nil {
			verb = "accepted"
		}
		if _, err := fmt.Fprintf(w, "%s: %s at %s is %s until %s\n", r.ID, subjectOf(r), r.Endpoint, verb, day(r.Until)); err != nil {
			return err
		}
	}
	return nil
}

// day is a time as people read it, to the minute.
func day(t *event.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}

func subjectOf(r *control.ApprovalRow) string {
	switch {
	case r.Thumbprint != nil:
		return "key " + *r.Thumbprint
	case len(r.Keys) > 0:
		return fmt.Sprintf("%d keys", len(r.Keys))
	case r.Event != nil:
		return "event " + *r.Event
	}
	return "a change"
}

func newApprovals() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "approvals",
		Short: "What was announced or accepted, by whom and until when",
		Long: `What was announced or accepted, by files and by command: by whom, why, until when,
and whether it came. Those whose time is over are listed for 30 days.

Exits 4 when no daemon answers.`,
		Example: "  jwkswatch approvals\n  jwkswatch approvals -o json",
		Args:    cobra.NoArgs,
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		rows, err := client.Approvals(cmd.Context())
		if err != nil {
			return unasked(err)
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(rows))
		}
		return failed(printApprovals(cmd.OutOrStdout(), rows))
	}
	return cmd
}

func printApprovals(w io.Writer, rows []control.ApprovalRow) error {
	if len(rows) == 0 {
		_, err := fmt.Fprintln(w, "nothing is announced")
		return err
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(t, "ID\tENDPOINT\tSUBJECT\tSTATE\tUSED\tUNTIL\tBY\tSOURCE\tREASON")
	for i := range rows {
		r := &rows[i]
		used := "no"
		if r.Used {
			used = "yes"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", r.ID, r.Endpoint, subjectOf(r), r.State, used, day(r.Until), r.By, r.Source, r.Reason)
	}
	return t.Flush()
}

func newRevoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Take an approval back",
		Long: `Take back what was announced or accepted by command: from now on the change is
judged as any other. What an approval let pass already stays as it was told. One
that stands in a file is taken out there.

Exits 4 when no daemon answers.`,
		Example: "  jwkswatch revoke ap-7q3mxk2f5wzr4 --reason \"CHG-4711 is called off\"",
		Args:    cobra.ExactArgs(1),
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	reason := cmd.Flags().String("reason", "", "why; stands in the event")
	by := cmd.Flags().String("by", "", "who answers for it (default: the user who runs this)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if strings.TrimSpace(*reason) == "" {
			return errors.New("--reason is missing: say why, it stands in the event that tells of this")
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		row, err := client.Revoke(cmd.Context(), args[0], cmp.Or(*by, whoami()), *reason)
		if err != nil {
			return unasked(err)
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(row))
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s: %s at %s is not expected by it any more; jwkswatch approvals lists what else is announced\n", row.ID, subjectOf(&row), row.Endpoint)
		return failed(err)
	}
	return cmd
}
