package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	runbooks "github.com/jwkswatch/jwkswatch/docs/events"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/rules"
)

func newExplain() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain EVENT-ID|TYPE",
		Short: "What an event means, why it is as severe as it is, and what to do",
		Long: help(`The runbook of a type of event; or one event: who, what, when, the rules that
fired, why its severity moved, and then the runbook of its type. A type needs
neither a daemon nor a state.`),
		Example:           "  jwkswatch explain key.mutated\n  jwkswatch explain jw1-7q3mxk2f5wzr4t6ybhdn2c6gpa",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: completeTypes,
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if slices.Contains(event.Types(), event.Type(args[0])) {
			return failed(explainType(cmd.OutOrStdout(), args[0], *output))
		}
		if !strings.HasPrefix(args[0], "jw1-") {
			return fmt.Errorf("%s is neither a type nor the id of an event%s", event.Text(args[0]), similar(args[0]))
		}
		a, err := p.open(cmd.Context())
		if err != nil {
			return err
		}
		return explainEvent(cmd.Context(), cmd.OutOrStdout(), a, args[0], *output)
	}
	return cmd
}

// explanation is what -o json prints. Event is null for a type.
type explanation struct {
	Type    string          `json:"type"`
	Event   json.RawMessage `json:"event"`
	Rules   []explainedRule `json:"rules"`
	Runbook string          `json:"runbook"` // Markdown
}

type explainedRule struct {
	ID       string         `json:"id"`
	Title    string         `json:"title"`
	Why      string         `json:"why"`
	Severity event.Severity `json:"severity"`
	Verdict  event.Verdict  `json:"verdict"`
}

func explained(typ string) explanation {
	page, _ := runbooks.Of(typ) // a test holds that there is one of every type
	x := explanation{Type: typ, Rules: []explainedRule{}, Runbook: page}
	for _, r := range rules.Book() {
		if string(r.Type) == typ {
			x.Rules = append(x.Rules, explainedRule{r.ID, r.Title, r.Why, r.Severity, r.Verdict})
		}
	}
	return x
}

func explainType(w io.Writer, typ, output string) error {
	x := explained(typ)
	if output == "json" {
		return json.NewEncoder(w).Encode(x)
	}
	_, err := io.WriteString(w, x.Runbook)
	return err
}

func explainEvent(ctx context.Context, w io.Writer, a query.Answers, id, output string) error {
	stored, err := a.Event(ctx, id)
	if err = errors.Join(err, a.Close()); err != nil {
		return unasked(err)
	}
	var e event.Event
	if err := json.Unmarshal(stored, &e); err != nil {
		return failed(fmt.Errorf("reading the stored event: %w", err))
	}
	x := explained(string(e.Data.Event.Type))
	x.Event = stored
	if output == "json" {
		return failed(json.NewEncoder(w).Encode(x))
	}
	if err := query.PrintEventLine(w, stored); err != nil {
		return failed(err)
	}
	if err := query.PrintVerdict(w, stored); err != nil {
		return failed(err)
	}
	_, err = fmt.Fprintf(w, "\n%s", x.Runbook)
	return failed(err)
}

// similar names types that were perhaps meant: those that hold the words.
func similar(text string) string {
	var near []string
	for _, t := range event.Types() {
		object, action, _ := strings.Cut(string(t), ".")
		if strings.Contains(string(t), text) || strings.Contains(text, action) || text == object {
			near = append(near, string(t))
		}
	}
	if len(near) == 0 || text == "" {
		return "; types are listed in docs/events"
	}
	return "; did you mean " + strings.Join(near[:min(len(near), 4)], ", ") + "?"
}

func completeTypes(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	var out []string
	if len(args) == 0 {
		for _, t := range event.Types() {
			out = append(out, string(t))
		}
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}
