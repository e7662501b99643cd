package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
)

// Bounds of the time that a drill may take.
const (
	drillTakes = 30 * time.Second
	drillMost  = time.Minute
)

func newDrill() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "drill",
		Short: "Send one marked test event through every sink",
		Long: `Sends one test event through the running daemon's real sinks and waits until each
has acknowledged it. The event is of a real type, is marked as a drill in every
format ("drill": true), passes every filter of severity, stands in the agent's own
stream, and touches nothing that is known of the endpoint.

Scenarios: ` + strings.Join(agent.Scenarios(), ", ") + `.

Exits 1 when a sink did not take it in time, 4 when no daemon answers.`,
		Example: "  jwkswatch drill --endpoint corp-idp --scenario key-mutated",
		Args:    cobra.NoArgs,
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	endpoint := cmd.Flags().String("endpoint", "", "whose name stands in the event; the only one, if there is one")
	scenario := cmd.Flags().String("scenario", "key-mutated", "what the event is about")
	timeout := cmd.Flags().Duration("timeout", drillTakes, "how long to wait for the sinks, one minute at most")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		if *timeout <= 0 || *timeout > drillMost {
			return fmt.Errorf("--timeout %s: want at most %s", *timeout, drillMost)
		}
		client, err := p.client()
		if err != nil {
			return err
		}
		name, err := where(cmd.Context(), client, *endpoint)
		if err != nil {
			return err
		}
		r, err := client.Drill(cmd.Context(), name, *scenario, *timeout)
		if err != nil {
			return unasked(err)
		}
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(r)
		} else {
			err = printDrill(cmd.OutOrStdout(), &r)
		}
		if err == nil && r.Failed() {
			return &ended{code: exitFailed}
		}
		return failed(err)
	}
	return cmd
}

func printDrill(w io.Writer, r *control.DrillResult) error {
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintf(t, "%s\t%s\tin the journal after %d ms\n", r.ID, r.Type, r.StoredMS)
	for _, s := range r.Sinks {
		what := s.Outcome
		switch {
		case s.LatencyMS != nil:
			what += fmt.Sprintf(" after %d ms more", *s.LatencyMS)
		case s.Error != nil:
			what += ": " + *s.Error
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\n", s.Name, s.Type, what)
	}
	return t.Flush()
}

// drill sends a test event and waits for the sinks.
func (d *daemon) drill(ctx context.Context, endpoint, scenario string, timeout time.Duration, scheduled bool) (control.DrillResult, error) {
	c := d.exchange.current()
	name, ok := agent.Scenario(scenario)
	switch {
	case !ok:
		return control.DrillResult{}, wrong("there is no drill "+event.Text(scenario), "there are "+strings.Join(agent.Scenarios(), ", "))
	case !slices.ContainsFunc(c.Endpoints, func(e configs.Endpoint) bool { return e.Name == endpoint }):
		return control.DrillResult{}, wrong("no endpoint is named "+event.Text(endpoint), "jwkswatch endpoints lists them")
	case timeout <= 0 || timeout > drillMost:
		timeout = drillTakes
	}
	list := d.post.list()
	parked := map[string]uint64{}
	for _, m := range list {
		parked[m.config.Name] = m.Stats().Parked
	}
	begun := time.Now()
	id, err := d.voice.Drill(ctx, begun, endpoint, name)
	if err != nil {
		return control.DrillResult{}, err
	}
	stored := time.Now()
	entry, err := d.db.EventByID(ctx, id)
	if err != nil {
		return control.DrillResult{}, fmt.Errorf("looking for the drill in the journal: %w", err)
	}
	r := control.DrillResult{ID: id, Type: entry.Type, Endpoint: endpoint, StoredMS: stored.Sub(begun).Milliseconds(), Sinks: []control.DrillSink{}}
	wait, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all := make([]*control.DrillSink, len(list))
	var waiting sync.WaitGroup
	for i, m := range list {
		waiting.Go(func() { all[i] = arrived(wait, m, entry.Position, begun, stored, parked[m.config.Name]) })
	}
	waiting.Wait()
	if err := ctx.Err(); err != nil {
		return r, err // who asked, or the daemon, does not wait any more: that says nothing of the sinks
	}
	for _, s := range all {
		if s != nil {
			r.Sinks = append(r.Sinks, *s)
		}
	}
	out := event.DrillDetails{Drill: id, Scenario: name, Endpoint: endpoint, Scheduled: scheduled, Sinks: []event.DrillOutcome{}}
	for _, s := range r.Sinks {
		out.Sinks = append(out.Sinks, event.DrillOutcome{Name: s.Name, Outcome: s.Outcome, LatencyMS: s.LatencyMS})
	}
	return r, d.voice.Drilled(context.WithoutCancel(ctx), time.Now(), out)
}

// drills sends a drill as often as the configuration says, the first one at once, each
// time in the name of another endpoint. When the last one was is in the state: an agent
// that is started every day has its daily drill too.
func (d *daemon) drills(ctx context.Context) {
	var tried time.Time
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
		c := d.exchange.current()
		every, now := c.Drill.Every, time.Now()
		if every == 0 || now.Sub(tried) < min(every, time.Minute) {
			continue
		}
		last, err := d.voice.LastDrill(ctx, now)
		if age := now.Sub(last); err != nil || age >= 0 && age < every { // one of the future is by a clock that was set back
			continue
		}
		tried = now
		name := c.Endpoints[int(now.Unix()/max(1, int64(every/time.Second)))%len(c.Endpoints)].Name
		if _, err := d.drill(ctx, name, c.Drill.Scenario, drillTakes, true); err != nil && ctx.Err() == nil {
			d.log.Error().Err(err).Msg("a drill could not be sent")
		}
	}
}

// arrived waits until a sink is beyond a position; it returns nil for one that the
// configuration does not have any more. A sink that lacks too much gets there by leaving
// events behind: one that has sent nothing since the drill began has not sent the drill.
func arrived(ctx context.Context, m *courier, position string, begun, since time.Time, parked uint64) *control.DrillSink {
	out := &control.DrillSink{Name: m.config.Name, Type: m.config.Type, Outcome: control.Pending}
	t := time.NewTicker(5 * time.Millisecond)
	defer t.Stop()
	for {
		s := m.Stats()
		switch {
		case s.Position >= position && s.Parked > parked:
			out.Outcome = control.Parked
			return out
		case s.Position >= position && s.LastSent.Before(begun):
			out.Error = new("left behind, with the oldest events of a sink that lacks more than its max_backlog")
			return out
		case s.Position >= position:
			out.Outcome = control.Delivered
			out.LatencyMS = new(max(0, s.LastSent.Sub(since).Milliseconds()))
			return out
		}
		select {
		case <-t.C:
		case <-m.done:
			return nil
		case <-ctx.Done():
			out.Error = event.TextOrNil(s.LastError)
			return out
		}
	}
}
