package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// ruleRow is one rule as `rules list -o json` prints it.
type ruleRow struct {
	ID       string          `json:"id"`
	On       []string        `json:"on"`
	Severity *event.Severity `json:"severity"` // null for a rule that raises
	Action   string          `json:"action"`
	Source   string          `json:"source"` // builtin, or file:line
	Title    string          `json:"title"`
	Override *string         `json:"override"` // what the operator made of it; null for nothing
}

// ruleFiles adds the flags that name files of rules, themselves or by a
// configuration, and returns what reads them. Problems are printed as config check
// does.
func ruleFiles(cmd *cobra.Command) func() (*custom.Set, error) {
	files := cmd.Flags().StringArray("rules", nil, "file of rules of your own; may stand several times")
	config := cmd.Flags().StringP("config", "c", "", "configuration whose rules: are meant")
	cmd.MarkFlagsMutuallyExclusive("rules", "config")
	return func() (*custom.Set, error) {
		if *config != "" {
			c, err := loadConfig(*config, cmd.ErrOrStderr())
			if err != nil {
				return nil, err
			}
			return c.Rules.Set, nil
		}
		return readRules(cmd.ErrOrStderr(), *files)
	}
}

// readRules reads files of rules.
func readRules(errs io.Writer, files []string) (*custom.Set, error) {
	set, _, err := configs.LoadRules(configs.Options{Dir: "."}, files...)
	if problems, bad := errors.AsType[configs.Errors](err); bad {
		if err := problems.Print(errs); err != nil {
			return nil, failed(err)
		}
		return nil, &ended{code: exitConfig}
	}
	if err != nil {
		return nil, &ended{exitBlind, err}
	}
	return set, nil
}

func newRulesList() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Every rule: the built-in book and those of your own",
		Long: `Lists the built-in book of rules and, with --rules, those of your own: what each is
asked about, how severe it is, and what an override made of it.
`,
		Example: "  jwkswatch rules list\n  jwkswatch rules list --rules rules.d/corp.yaml -o json",
		Args:    cobra.NoArgs,
	}
	output := outputFlag(cmd)
	read := ruleFiles(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		set, err := read()
		if err != nil {
			return err
		}
		rows := ruleRows(set)
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(rows))
		}
		t := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
		fmt.Fprintln(t, "RULE\tSEVERITY\tON\tTITLE")
		for _, r := range rows {
			severity := "+1"
			if r.Severity != nil {
				severity = r.Severity.String()
			}
			if r.Override != nil {
				severity += " (" + *r.Override + ")"
			}
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", r.ID, severity, strings.Join(r.On, ", "), r.Title)
		}
		return failed(t.Flush())
	}
	return cmd
}

func ruleRows(set *custom.Set) []ruleRow {
	var out []ruleRow
	for _, r := range rules.Book() {
		row := ruleRow{ID: r.ID, On: []string{string(r.Type)}, Severity: new(r.Severity), Action: "detect", Source: "builtin", Title: r.Title}
		for _, o := range set.Overrides {
			switch {
			case o.ID != r.ID:
			case o.Off:
				row.Override = new("off")
			default:
				row.Override = new(o.Severity.String())
			}
		}
		out = append(out, row)
	}
	for _, r := range set.Rules {
		row := ruleRow{ID: r.ID, On: r.On, Action: string(r.Action), Source: r.Place, Title: event.Text(r.Title)}
		if r.Severity != 0 {
			row.Severity = new(r.Severity)
		}
		if r.Off {
			row.Override = new("off")
		}
		out = append(out, row)
	}
	return out
}

func newRulesExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain ID|FIELD",
		Short: "One rule, or one field that rules may ask for",
		Long: `Explains one rule of the built-in book, or with --rules or -c one of your own: what it
finds, why it matters, and what moves it. Also explains a field of the vocabulary,
such as key.age. The runbook of a type: jwkswatch explain TYPE.
`,
		Example: "  jwkswatch rules explain key-mutated\n  jwkswatch rules explain partner-noise --rules rules.d/corp.yaml\n  jwkswatch rules explain endpoint.tier",
		Args:    cobra.ExactArgs(1),

		ValidArgsFunction: explainable,
	}
	read := ruleFiles(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		set, err := read()
		if err != nil {
			return err
		}
		w := cmd.OutOrStdout()
		for _, r := range rules.Book() {
			if r.ID == args[0] {
				return failed(explainRule(w, &r))
			}
		}
		for i := range set.Rules {
			if r := &set.Rules[i]; r.ID == args[0] {
				return failed(explainOwn(w, r))
			}
		}
		if f, ok := custom.FieldOf(args[0], event.Types()); ok {
			return failed(explainField(w, &f))
		}
		return fmt.Errorf("no rule and no field is named %s: jwkswatch rules list has the rules (your own with -c FILE), docs/rules.md the fields", event.Text(args[0]))
	}
	return cmd
}

// explainable completes names of rules and of fields.
func explainable(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	var out []string
	for _, r := range rules.Book() {
		out = append(out, cobra.CompletionWithDesc(r.ID, r.Title))
	}
	for _, f := range custom.Fields() {
		out = append(out, cobra.CompletionWithDesc(f.Name, f.Doc))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func explainField(w io.Writer, f *custom.Field) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "field\t%s\n", event.Text(f.Name))
	fmt.Fprintf(t, "is\t%s\n", f.Doc)
	fmt.Fprintf(t, "kind\t%s\n", f.Kind)
	if f.Values != nil {
		fmt.Fprintf(t, "values\t%s\n", strings.Join(f.Values, ", "))
	}
	var ops []string
	for _, op := range custom.Ops(f.Kind) {
		ops = append(ops, string(op))
	}
	fmt.Fprintf(t, "operators\t%s\n", strings.Join(ops, ", "))
	if f.Example != "" {
		fmt.Fprintf(t, "example\twhere: { %s: %q }\n", f.Name, f.Example)
	}
	if !f.Always {
		fmt.Fprintln(t, "absent\tin some events: then every comparison is false, but for exists: false")
	}
	return t.Flush()
}

func explainRule(w io.Writer, r *rules.Rule) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "rule\t%s\n", r.ID)
	fmt.Fprintf(t, "title\t%s\n", r.Title)
	fmt.Fprintf(t, "type\t%s\n", r.Type)
	fmt.Fprintf(t, "severity\t%s (%s)\n", r.Severity, r.Verdict)
	fmt.Fprintf(t, "why\t%s\n", r.Why)
	if len(r.Standards.Attack) > 0 {
		fmt.Fprintf(t, "ATT&CK\t%s\n", strings.Join(r.Standards.Attack, ", "))
	}
	e := event.Event{Data: event.Data{Event: event.Facts{Type: r.Type, Severity: r.Severity}}}
	if custom.Untouchable(&e) {
		fmt.Fprintln(t, "lowered\tnever")
	}
	fmt.Fprintf(t, "test\tgo test ./rules -run TestEachRuleFiresAndStaysQuiet/%s\n", r.ID)
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\nWhat moves it, and what to do: jwkswatch explain %s\n", r.Type)
	return err
}

func explainOwn(w io.Writer, r *custom.Rule) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "rule\t%s (%s)\n", r.ID, r.Place)
	fmt.Fprintf(t, "title\t%s\n", event.Text(r.Title))
	fmt.Fprintf(t, "on\t%s\n", strings.Join(r.On, ", "))
	fmt.Fprintf(t, "action\t%s\n", r.Action)
	if r.Severity != 0 {
		fmt.Fprintf(t, "severity\t%s\n", r.Severity)
	}
	for _, e := range r.Escalate {
		fmt.Fprintf(t, "escalates\tto %s, by %s\n", e.Severity, strings.Join(e.Where.Asks(), ", "))
	}
	if r.Repeat > 0 {
		fmt.Fprintf(t, "repeat\ttold again after %s\n", r.Repeat)
	}
	if r.Off {
		fmt.Fprintln(t, "enabled\tfalse")
	}
	if r.Fixed {
		fmt.Fprintln(t, "lowered\tnever")
	}
	if r.Reason != "" {
		fmt.Fprintf(t, "reason\t%s\n", event.Text(r.Reason))
	}
	if !r.Expires.IsZero() {
		fmt.Fprintf(t, "until\t%s\n", r.Expires.Format("2006-01-02 15:04 UTC"))
	}
	if fields := r.Where.Asks(); len(fields) > 0 {
		fmt.Fprintf(t, "asks\t%s\n", strings.Join(fields, ", "))
	}
	return t.Flush()
}
