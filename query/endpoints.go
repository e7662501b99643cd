package query

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// The states of an endpoint.
const (
	Good       = "good"       // the last poll was good; at rest: nothing says otherwise
	Failing    = "failing"    // the last poll failed; at rest: a condition of its way is open
	Unseen     = "unseen"     // no key set was ever seen
	Unwatched  = "unwatched"  // in the state, but the running daemon does not watch it
	Unreadable = "unreadable" // its part of the state is damaged
)

// EndpointRow is one endpoint and how it stands.
type EndpointRow struct {
	Name   string  `json:"name"`
	State  string  `json:"state"` // good, failing, unseen, unwatched, unreadable
	Issuer *string `json:"issuer"`
	URL    *string `json:"url"`  // of the key set, masked
	Tier   *string `json:"tier"` // null when no daemon runs

	Keys       int         `json:"keys"`   // of the baseline, which stays while the set is empty
	Empty      bool        `json:"empty"`  // the set that is served has no keys, and set.emptied is open or it never had any
	Digest     *string     `json:"digest"` // sha256:<hex> of the newest accepted set
	Revision   uint64      `json:"revision"`
	LastGood   *event.Time `json:"last_good"`   // last good poll; at rest to the minute
	LastChange *event.Time `json:"last_change"` // last accepted change

	// Of a running daemon: null or 0 when none runs.
	LastPoll     *event.Time `json:"last_poll"`
	NextPoll     *event.Time `json:"next_poll"`
	Failures     int         `json:"failures"` // polls that failed in a row
	FailingSince *event.Time `json:"failing_since"`
	Phase        *string     `json:"phase"` // in which the last one failed
	Code         *string     `json:"code"`

	Conditions []ConditionRow `json:"conditions"` // open ones, worst first
	Error      *string        `json:"error"`      // why it is unreadable
}

// ConditionRow is an open condition.
type ConditionRow struct {
	ID         string         `json:"id"`
	Type       event.Type     `json:"type"`
	Severity   event.Severity `json:"severity"`
	Endpoint   string         `json:"endpoint"`
	Kid        *string        `json:"kid"`
	Thumbprint *string        `json:"thumbprint"`
	OpenedAt   event.Time     `json:"opened_at"`
	OpenedBy   string         `json:"opened_by"` // id of the opening event
}

// Endpoints lists all endpoints by name: those of the state, and those that the
// running daemon watches. What cannot be read is told in its row, so that one
// damaged place does not hide the others.
func (s *State) Endpoints(ctx context.Context) ([]EndpointRow, error) {
	rows, err := s.endpoints(ctx, s.live())
	if err != nil {
		return nil, fmt.Errorf("listing endpoints: %w", err)
	}
	return rows, nil
}

func (s *State) endpoints(ctx context.Context, live *Live) ([]EndpointRow, error) {
	names, err := s.Source.Endpoints(ctx)
	if err != nil {
		return nil, err
	}
	watched := map[string]*LiveEndpoint{}
	if live != nil {
		for i := range live.Endpoints {
			e := &live.Endpoints[i]
			watched[e.Name] = e
			names = append(names, e.Name)
		}
	}
	slices.Sort(names)
	rows := []EndpointRow{}
	for _, name := range slices.Compact(names) {
		if name == event.AgentStream {
			continue
		}
		row := s.endpoint(ctx, name)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if live != nil {
			row.watch(watched[name])
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// endpoint is the row as the state alone gives it.
func (s *State) endpoint(ctx context.Context, name string) EndpointRow {
	row := EndpointRow{Name: name, State: Unseen, Conditions: []ConditionRow{}}
	if err := s.fill(ctx, &row); err != nil {
		row.State, row.Error = Unreadable, text(err.Error())
	}
	return row
}

func (s *State) fill(ctx context.Context, row *EndpointRow) error {
	rec, err := s.Source.Latest(ctx, row.Name)
	if err != nil || rec.Revision == 0 {
		return err
	}
	m, err := history.Decode(rec.Memory)
	if err != nil {
		return fmt.Errorf("reading the memory of %s: %w", row.Name, err)
	}
	seen, err := s.Source.LastSeen(ctx, row.Name)
	if err != nil {
		return err
	}
	row.Revision, row.URL, row.Keys = rec.Revision, text(fetch.MaskURL(m.URL)), len(m.Live)
	if rec.Digest != [32]byte{} {
		row.Digest = new(sum(rec.Digest))
	}
	row.LastChange = event.AtOrNil(m.Changed)
	row.LastGood = event.AtOrNil(later(seen, m.Changed))
	row.Conditions = conditions(row.Name, m)
	row.Empty = !m.Baseline.IsZero() && (len(m.Live) == 0 || slices.ContainsFunc(row.Conditions, func(c ConditionRow) bool { return c.Type == event.SetEmptied }))
	switch {
	case m.Baseline.IsZero():
	case slices.ContainsFunc(row.Conditions, ofTheWay):
		row.State = Failing
	default:
		row.State = Good
	}
	return nil
}

// ofTheWay reports whether the condition says that no set is seen any more.
func ofTheWay(c ConditionRow) bool {
	switch c.Type {
	case event.EndpointUnreachable, event.EndpointDangling, event.EndpointTLSInvalid, event.DocumentInvalid:
		return true
	}
	return false
}

// watch adds what the running daemon knows; nil says that it does not watch.
func (row *EndpointRow) watch(e *LiveEndpoint) {
	if e == nil {
		if row.State != Unreadable {
			row.State = Unwatched
		}
		return
	}
	if e.Issuer != "" {
		row.Issuer = text(e.Issuer)
	}
	if e.URL != "" {
		row.URL = text(e.URL)
	}
	if row.LastGood == nil || e.LastGood.After(row.LastGood.Time) {
		row.LastGood = event.AtOrNil(e.LastGood)
	}
	row.Tier, row.LastPoll, row.NextPoll = text(e.Tier), event.AtOrNil(e.LastPoll), event.AtOrNil(e.NextPoll)
	row.Failures, row.FailingSince, row.Phase, row.Code = e.Failures, event.AtOrNil(e.Since), text(e.Phase), text(e.Code)
	switch {
	case row.State == Unreadable:
	case row.LastGood == nil:
		row.State = Unseen
	case e.Failures > 0:
		row.State = Failing
	default:
		row.State = Good
	}
}

func conditions(endpoint string, m *history.Memory) []ConditionRow {
	rows := []ConditionRow{}
	for _, c := range m.Conditions {
		row := ConditionRow{
			ID: c.ID, Type: event.Type(c.Type), Severity: severity(c.Severity), Endpoint: endpoint,
			OpenedAt: event.At(c.OpenedAt), OpenedBy: c.OpenedBy,
		}
		if c.Key != nil {
			row.Kid, row.Thumbprint = text(c.Key.Kid), thumbprint(c.Key)
		}
		rows = append(rows, row)
	}
	slices.SortStableFunc(rows, worse)
	return rows
}

// worse orders by severity, and of the same the older first.
func worse(a, b ConditionRow) int {
	return cmp.Or(cmp.Compare(b.Severity, a.Severity), a.OpenedAt.Compare(b.OpenedAt.Time), strings.Compare(a.Endpoint, b.Endpoint))
}

// thumbprint is nil for symmetric keys and for keys that cannot be decoded.
func thumbprint(k *jwks.Key) *string {
	if k.ID.Kind != jwks.Thumbprint {
		return nil
	}
	return new(k.ID.String())
}

func sum(b [32]byte) string { return "sha256:" + hex.EncodeToString(b[:]) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
