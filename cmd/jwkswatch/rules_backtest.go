package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/replay"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

func newRulesBacktest() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backtest",
		Short: "Replay stored or archived key sets: what would have been told",
		Long: `Replays key sets through the rules and counts what would have been told: those
that the agent stored, with what its configuration declares of each endpoint (a
private copy of the state is read, also while the daemon runs), or with --archive
those of an archive. It has JSON lines {t, service, status, error, doc}, one for
each change, plain or compressed (xz, gzip, zstd). Rules are those of the
configuration, or of --rules.

Failed polls are not stored, so nothing of the way is replayed from a state.

Alerts are openings and events of high or critical severity later than a day
after the first row of their endpoint; a month has 30.4 days.
`,
		Example: "  jwkswatch rules backtest --rules candidate.yaml --list high\n  jwkswatch rules backtest --archive archive.jsonl.xz\n  jwkswatch rules backtest --archive archive.jsonl.xz --list high",
		Args:    cobra.NoArgs,
	}
	archive := cmd.Flags().String("archive", "", "archive to replay in place of the state; - for standard input")
	p := placeFlags(cmd)
	own := cmd.Flags().StringArray("rules", nil, "file of rules of your own, in place of those of the configuration; may stand several times")
	compare := cmd.Flags().StringArray("compare", nil, "another file of rules: lists the alerts that it adds and loses")
	list := cmd.Flags().String("list", "", "also list what is of this severity or above, after the first day")
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		var least event.Severity
		if *list != "" {
			if err := least.UnmarshalText([]byte(*list)); err != nil {
				return fmt.Errorf("--list %q: want informational, low, medium, high or critical", *list)
			}
		}
		rows, o, set, err := replayed(cmd, *archive, p, *own)
		if err != nil {
			return err
		}
		o.Amend = repeating(set)
		r := replay.Archive(rows, o)
		if len(*compare) > 0 {
			other, err := readRules(cmd.ErrOrStderr(), *compare)
			if err != nil {
				return err
			}
			o.Amend = repeating(other)
			with := replay.Archive(rows, o)
			return failed(printCompared(cmd.OutOrStdout(), &r, &with))
		}
		if *output == "json" {
			return failed(json.NewEncoder(cmd.OutOrStdout()).Encode(counted(&r)))
		}
		if err := printBacktest(cmd.OutOrStdout(), &r); err != nil {
			return failed(err)
		}
		if least == 0 {
			return nil
		}
		return failed(printReplayed(cmd.OutOrStdout(), &r, least))
	}
	return cmd
}

// repeating lets the rules judge as the daemon does: with a memory of each endpoint.
// Endpoints are replayed at once, each in its order.
func repeating(set *custom.Set) func(*event.Event) {
	var mu sync.Mutex
	told := map[string]*custom.Told{}
	return func(e *event.Event) {
		mu.Lock()
		of := told[e.Data.Endpoint.Name]
		if of == nil {
			of = new(custom.Told)
			told[e.Data.Endpoint.Name] = of
		}
		mu.Unlock()
		set.ApplyAfter(e, of)
	}
}

func readArchive(in io.Reader, name string) ([]replay.Row, error) {
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	return replay.Read(in)
}

// backtest is the answer as JSON. Events and severities count closings too, as
// they are published.
type backtest struct {
	Endpoints  int            `json:"endpoints"`
	Days       int            `json:"days"`
	Events     map[string]int `json:"events"`
	BySeverity map[string]int `json:"by_severity"`
	Alerts     int            `json:"alerts"`
	ChangeSets int            `json:"change_sets"` // with at least one alert
	Rate       float64        `json:"alerts_per_100_endpoints_per_month"`
}

func counted(r *replay.Result) backtest {
	out := backtest{Endpoints: r.Endpoints, Days: int(r.To.Sub(r.From).Hours() / 24), Events: map[string]int{}, BySeverity: map[string]int{}}
	sets := map[string]bool{}
	for i := range r.Told {
		t := &r.Told[i]
		out.Events[string(t.Finding.Type)]++
		out.BySeverity[t.Data.Event.Severity.String()]++
		if t.Alert() {
			sets[fmt.Sprint(t.Endpoint, " ", t.ChangeSet)] = true
		}
	}
	out.Alerts, out.Rate = r.Alerts()
	out.ChangeSets = len(sets)
	return out
}

func printBacktest(w io.Writer, r *replay.Result) error {
	c := counted(r)
	if c.Endpoints == 0 {
		_, err := fmt.Fprintln(w, "there is nothing to replay: no key set is stored yet")
		return err
	}
	fmt.Fprintf(w, "%d endpoints, %d days, from %s to %s\n", c.Endpoints, c.Days, r.From.Format("2006-01-02"), r.To.Format("2006-01-02"))
	fmt.Fprintf(w, "%.2f alerts per 100 endpoints and month: %d events in %d change sets, after the first day of each endpoint\n\n", c.Rate, c.Alerts, c.ChangeSets)
	counts := map[string]map[event.Severity]int{}
	for i := range r.Told {
		t := &r.Told[i]
		if t.First || t.Finding.Closing {
			continue
		}
		typ := string(t.Finding.Type)
		if counts[typ] == nil {
			counts[typ] = map[event.Severity]int{}
		}
		counts[typ][t.Data.Event.Severity]++
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "critical\thigh\tmedium\tlow\tinformational\t")
	for _, typ := range slices.Sorted(maps.Keys(counts)) {
		n := counts[typ]
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t  %s\n", some(n[event.SeverityCritical]), some(n[event.SeverityHigh]), some(n[event.SeverityMedium]),
			some(n[event.SeverityLow]), some(n[event.SeverityInformational]), typ)
	}
	return t.Flush()
}

// printCompared lists the alerts that one set of rules has and the other has not.
// Both replays find the same in the same order: only severities differ.
func printCompared(w io.Writer, before, after *replay.Result) error {
	_, was := before.Alerts()
	_, is := after.Alerts()
	added, lost := 0, 0
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range after.Told {
		a, b := &before.Told[i], &after.Told[i]
		sign := ""
		switch {
		case b.Alert() && !a.Alert():
			sign, added = "+", added+1
		case a.Alert() && !b.Alert():
			sign, lost = "-", lost+1
		default:
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s to %s\t%s\n", sign, b.At.Format("2006-01-02 15:04"), event.Text(b.Endpoint), b.Finding.Type,
			a.Data.Event.Severity, b.Data.Event.Severity, b.Data.Event.Message)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "%d alerts more, %d fewer; %.2f to %.2f per 100 endpoints and month\n", added, lost, was, is)
	return err
}

func some(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}

// printReplayed lists findings. Their texts have passed event.Text.
func printReplayed(w io.Writer, r *replay.Result, least event.Severity) error {
	fmt.Fprintln(w)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i := range r.Told {
		told := &r.Told[i]
		if told.First || told.Finding.Closing || told.Data.Event.Severity < least {
			continue
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%v\t%s\n", told.At.Format("2006-01-02 15:04"), event.Text(told.Endpoint), told.Data.Event.Severity,
			told.Finding.Type, told.Data.Event.Reasons, told.Data.Event.Message)
	}
	return t.Flush()
}
