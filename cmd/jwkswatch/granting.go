package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/rules"
)

// How long an approval by command lasts.
const (
	approvalLasts = 14 * 24 * time.Hour
	approvalMost  = 90 * 24 * time.Hour
)

// announced are the changes that the configuration announces.
func announced(c *configs.Config) []agent.Approval {
	var out []agent.Approval
	for _, a := range c.Approvals.List {
		out = append(out, agent.Approval{Critical: critical(c, a.Endpoint), Details: event.ApprovalDetails{
			ID: a.ID, Endpoint: a.Endpoint, Thumbprint: new(a.Thumbprint), Kid: event.TextOrNil(a.Kid), Alg: event.TextOrNil(a.Alg), Use: event.TextOrNil(a.Use),
			Reason: event.Text(a.Reason), By: event.Text(a.By), From: event.AtOrNil(a.From), Until: event.AtOrNil(a.Until), Source: agent.FromFile,
		}})
	}
	return out
}

func critical(c *configs.Config, endpoint string) bool {
	return slices.ContainsFunc(c.Endpoints, func(e configs.Endpoint) bool { return e.Name == endpoint && e.Tier == "critical" })
}

// approvalsOf are what was announced or accepted for an endpoint: by files, and by
// command.
func approvalsOf(endpoint string, c *configs.Config, granted []agent.Approval) []rules.Approval {
	var out []rules.Approval
	for _, a := range c.Approvals.List {
		if a.Endpoint == endpoint {
			out = append(out, rules.Approval{
				ID: a.ID, Thumbprint: a.Thumbprint, Kid: a.Kid, Alg: a.Alg, Use: a.Use, From: a.From, Until: a.Until, Reason: a.Reason, By: a.By,
			})
		}
	}
	for _, g := range granted {
		d := &g.Details
		if d.Endpoint != endpoint || d.Source == agent.FromFile || g.Over || d.From == nil || d.Until == nil {
			continue
		}
		keys := d.Keys
		if d.Thumbprint != nil {
			keys = []string{*d.Thumbprint}
		}
		for _, k := range keys {
			out = append(out, rules.Approval{
				ID: d.ID, Thumbprint: k, Kid: orEmpty(d.Kid), Alg: orEmpty(d.Alg), Use: orEmpty(d.Use), From: d.From.Time, Until: d.Until.Time,
				Reason: d.Reason, By: d.By, Accepted: d.Source == agent.FromAcknowledgement,
			})
		}
	}
	return out
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// approvals tells of announced changes that came, went or ended, and of what came
// in by change windows.
func (x *exchange) approvals(ctx context.Context) {
	c, now := x.current(), time.Now()
	var list []agent.Opening
	for _, s := range x.d.watcher.Status() {
		for _, o := range s.Openings {
			list = append(list, agent.Opening{
				Endpoint: s.Name, Window: o.Name, From: o.From, Until: o.Until, Changes: o.Changes, Keys: o.Keys, Critical: s.Tier == "critical",
			})
		}
	}
	err := errors.Join(x.d.voice.Approvals(ctx, now, announced(c)), x.d.voice.Openings(ctx, now, list))
	if err != nil {
		x.d.log.Error().Err(err).Msg("what became of approvals is not stored; it is tried again")
	}
}

// approve announces or accepts a change because somebody asked for it.
func (x *exchange) approve(ctx context.Context, g control.Grant) (control.ApprovalRow, error) {
	return inTurn(ctx, x, func(ctx context.Context) (control.ApprovalRow, error) {
		c, now := x.current(), time.Now().UTC().Truncate(time.Millisecond)
		d, err := granting(g, c, now)
		if err != nil {
			return control.ApprovalRow{}, err
		}
		d, err = x.d.voice.Grant(ctx, now, agent.Approval{Critical: critical(c, d.Endpoint), Details: d})
		if err != nil {
			return control.ApprovalRow{}, err
		}
		x.d.log.Info().Str("approval", d.ID).Str("endpoint", d.Endpoint).Str("by", d.By).Msg("a change is approved")
		return row(agent.Approval{Details: d}, now, d.Source == agent.FromAcknowledgement), x.regrant(ctx)
	})
}

// revoke takes an approval back.
func (x *exchange) revoke(ctx context.Context, id, by, reason string) (control.ApprovalRow, error) {
	return inTurn(ctx, x, func(ctx context.Context) (control.ApprovalRow, error) {
		if err := texts(map[string]string{"reason": reason, "by": by}); err != nil {
			return control.ApprovalRow{}, err
		}
		d, err := x.d.voice.Revoke(ctx, time.Now(), id, by, reason)
		switch {
		case errors.Is(err, agent.ErrNoApproval), errors.Is(err, agent.ErrApprovalOfFile):
			return control.ApprovalRow{}, wrong(err.Error(), "jwkswatch approvals lists them")
		case err != nil:
			return control.ApprovalRow{}, err
		}
		x.d.log.Info().Str("approval", d.ID).Str("endpoint", d.Endpoint).Str("by", event.Text(by)).Msg("an approval is revoked")
		return control.ApprovalRow{ApprovalDetails: d, State: control.ApprovalRevoked}, x.regrant(ctx)
	})
}

// regrant lets the polls to come know what is approved.
func (x *exchange) regrant(ctx context.Context) error {
	c := x.current()
	granted, err := x.d.voice.Ledger(ctx, time.Now())
	if err != nil {
		return err
	}
	list, err := endpoints(c, granted)
	if err != nil {
		return err
	}
	return x.d.watcher.Update(list, observer(c))
}

// approvals lists what was announced or accepted, and whether it came.
func (d *daemon) approvals(ctx context.Context) ([]control.ApprovalRow, error) {
	now := time.Now()
	list, err := d.voice.Ledger(ctx, now)
	if err != nil {
		return nil, err
	}
	used := map[string]map[string]bool{} // by endpoint
	out := []control.ApprovalRow{}
	for _, a := range list {
		name := a.Details.Endpoint
		if used[name] == nil {
			if used[name], err = d.came(ctx, name); err != nil {
				return nil, err
			}
		}
		out = append(out, row(a, now, used[name][a.Details.ID] || a.Details.Source == agent.FromAcknowledgement))
	}
	return out, nil
}

// came are the approvals of an endpoint that were used.
func (d *daemon) came(ctx context.Context, endpoint string) (map[string]bool, error) {
	rec, err := d.db.Latest(ctx, endpoint)
	if err != nil {
		return nil, fmt.Errorf("reading what is known of %s: %w", endpoint, err)
	}
	m, err := history.Decode(rec.Memory)
	if err != nil {
		return nil, fmt.Errorf("reading the memory of %s: %w", endpoint, err)
	}
	out := map[string]bool{}
	for _, a := range m.Approved {
		out[a.ID] = a.Used
	}
	return out, nil
}

func row(a agent.Approval, now time.Time, used bool) control.ApprovalRow {
	r := control.ApprovalRow{ApprovalDetails: a.Details, State: control.ApprovalActive, Used: used}
	if r.Keys == nil {
		r.Keys = []string{}
	}
	switch {
	case a.Over:
		r.State = control.ApprovalOver
	case a.Details.From != nil && now.Before(a.Details.From.Time):
		r.State = control.ApprovalPending
	}
	return r
}

// granting checks a grant and fills in what it leaves open.
func granting(g control.Grant, c *configs.Config, now time.Time) (d event.ApprovalDetails, err error) {
	if g.From.IsZero() {
		g.From = now
	}
	if g.Until.IsZero() {
		g.Until = now.Add(approvalLasts)
	}
	d = event.ApprovalDetails{
		Endpoint: g.Endpoint, Event: event.TextOrNil(g.Event), Kid: event.TextOrNil(g.Kid), Alg: event.TextOrNil(g.Alg), Use: event.TextOrNil(g.Use),
		Reason: g.Reason, By: g.By, From: event.AtOrNil(g.From), Until: event.AtOrNil(g.Until), Source: agent.FromCommand,
	}
	if g.Event != "" {
		d.Source = agent.FromAcknowledgement
	}
	switch {
	case !slices.ContainsFunc(c.Endpoints, func(e configs.Endpoint) bool { return e.Name == g.Endpoint }):
		return d, wrong("no endpoint is named "+event.Text(g.Endpoint), "jwkswatch endpoints lists them")
	case len(g.Thumbprints) == 0 && g.Event == "":
		return d, wrong("nothing is approved: name a key by its thumbprint, or an event by its id", "jwkswatch lint FILE prints the thumbprints of a key set")
	case len(g.Thumbprints) > 32:
		return d, wrong("more than 32 keys are approved at once", "approve each key by itself, or in a file: see docs/approvals.md")
	case !g.Until.After(now):
		return d, wrong("the approval would be over before it begins", "--until takes a time to come, or how long, such as 14d")
	case !g.Until.After(g.From):
		return d, wrong("the approval ends before it begins", "--from must be before --until")
	case g.Until.Sub(g.From) > approvalMost || g.Until.Sub(now) > approvalMost:
		return d, wrong("the approval would last longer than 90 days", "announce the change again when it is nearer")
	}
	for _, t := range g.Thumbprints {
		if !configs.IsThumbprint(t) {
			return d, wrong("a thumbprint has 43 characters of base64url (RFC 7638, SHA-256)", "jwkswatch lint FILE prints them")
		}
	}
	if len(g.Thumbprints) == 1 {
		d.Thumbprint = new(g.Thumbprints[0])
	} else {
		d.Keys = g.Thumbprints
	}
	return d, texts(map[string]string{"reason": g.Reason, "by": g.By})
}

// texts refuses what no event could carry.
func texts(list map[string]string) error {
	for name, text := range list {
		switch {
		case strings.TrimSpace(text) == "":
			return wrong(name+" is empty", "say it: it stands in the event that tells of this")
		case event.Text(text) != text:
			return wrong(name+" is longer than 512 octets, or holds what cannot be seen", "write one line of visible characters")
		}
	}
	return nil
}

func wrong(message, hint string) error {
	return &query.Problem{Code: query.BadQuestion, Message: message + "; " + hint}
}
