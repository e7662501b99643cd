package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/query"
)

// outcome is what became of one check.
type outcome string

const (
	well    outcome = "ok"
	warning outcome = "warning"
	broken  outcome = "failed"
	unknown outcome = "unknown" // it could not be looked at from here
)

// diagnosis is the answer of one check.
type diagnosis struct {
	Part    string  `json:"part"` // configuration, state, backup, daemon, endpoint, clock, sink
	Name    *string `json:"name"` // of the endpoint or the sink; else null
	Outcome outcome `json:"outcome"`
	Text    string  `json:"text"`
	Hint    *string `json:"hint"` // what to do; null when nothing is to be done
}

// say makes a diagnosis. A hint of "" is none.
func say(part string, o outcome, text, hint string) diagnosis {
	d := diagnosis{Part: part, Outcome: o, Text: terminal(text)}
	if hint != "" {
		d.Hint = &hint
	}
	return d
}

func (d diagnosis) of(name string) diagnosis {
	d.Name = &name
	return d
}

// checkup is the JSON of doctor.
type checkup struct {
	Running  bool        `json:"running"` // a daemon answers
	OK       int         `json:"ok"`
	Warnings int         `json:"warnings"`
	Failed   int         `json:"failed"`
	Unknown  int         `json:"unknown"`
	Checks   []diagnosis `json:"checks"`
}

func (c *checkup) add(list ...diagnosis) {
	for _, d := range list {
		switch d.Outcome {
		case well:
			c.OK++
		case warning:
			c.Warnings++
		case broken:
			c.Failed++
		default:
			c.Unknown++
		}
	}
	c.Checks = append(c.Checks, list...)
}

func newDoctor() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "What keeps the agent from its work, and the cure",
		Long: `Looks at what the agent needs: its configuration, its state and the room on the
disk, its backups, its endpoints, the clock, its sinks. A running daemon is asked how
it fares. Without one, or with --look, each endpoint is fetched once and each sink is
connected to, as the user who calls. Nothing is sent to a sink, and no file stays:
jwkswatch drill shows that an event arrives.

Exits 3 when anything is to be mended, 78 when the configuration is bad, 4 when it
cannot be read.`,
		Example: "  sudo -u jwkswatch jwkswatch doctor -c /etc/jwkswatch/jwkswatch.yaml\n  jwkswatch doctor --look -o json",
		Args:    cobra.NoArgs,
	}
	file := configFlag(cmd)
	output := outputFlag(cmd)
	look := cmd.Flags().Bool("look", false, "fetch and connect although a daemon runs")
	timeout := cmd.Flags().Duration("timeout", 10*time.Second, "of each fetch and each connection")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		c, err := loadConfig(configPath(*file), cmd.ErrOrStderr())
		if err != nil {
			return err
		}
		report := examineAgent(cmd.Context(), c, *look, *timeout)
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(report)
		} else {
			err = printCheckup(cmd.OutOrStdout(), report)
		}
		switch {
		case err != nil:
			return failed(err)
		case report.Failed+report.Warnings > 0:
			return &ended{code: exitFindings}
		}
		return nil
	}
	return cmd
}

// examineAgent makes all checks, in the order in which their cures make sense.
func examineAgent(ctx context.Context, c *configs.Config, look bool, timeout time.Duration) checkup {
	report := checkup{Checks: []diagnosis{}}
	report.add(configuration(c)...)
	status, rows, err := inquired(ctx, c)
	report.Running = status.Running
	report.add(stored(c, status, err)...)
	report.add(kept(c)...)
	if status.Running {
		report.add(running(c, status)...)
		report.add(polled(c, rows)...)
		report.add(delivering(c, status.Sinks, time.Now())...)
	}
	if !status.Running || look {
		report.add(reached(ctx, c, timeout)...)
		report.add(connected(ctx, c, timeout)...)
	}
	return report
}

// inquired asks the daemon, or the state at rest.
func inquired(ctx context.Context, c *configs.Config) (s query.StatusReport, rows []query.EndpointRow, err error) {
	a, err := control.Open(ctx, c.State.Socket(), c.State.Path)
	if err != nil {
		return s, nil, err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if s, err = a.Status(ctx); err != nil {
		return s, nil, err
	}
	rows, err = a.Endpoints(ctx)
	return s, rows, err
}

func configuration(c *configs.Config) []diagnosis {
	var out []diagnosis
	for _, p := range c.Warnings {
		out = append(out, say("configuration", warning, fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Message), p.Hint))
	}
	if len(c.Endpoints) == 0 {
		out = append(out, say("configuration", warning, "there is no endpoint: nothing is watched", "add one under endpoints:"))
	}
	if len(c.Sinks) == 0 {
		out = append(out, say("configuration", warning, "there is no sink: nobody is told", "add one under sinks:"))
	}
	if out == nil {
		out = append(out, say("configuration", well, fmt.Sprintf("%d endpoints, %d sinks", len(c.Endpoints), len(c.Sinks)), ""))
	}
	return out
}

func printCheckup(w io.Writer, c checkup) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, d := range c.Checks {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", d.Outcome, d.Part, or(d.Name, ""), d.Text)
		if d.Hint != nil {
			fmt.Fprintf(t, "\t\t\t  %s\n", *d.Hint)
		}
	}
	fmt.Fprintf(t, "%d ok, %d warnings, %d failed, %d unknown\n", c.OK, c.Warnings, c.Failed, c.Unknown)
	return t.Flush()
}
