package query

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// MaxWorst is how many open conditions a status names.
const MaxWorst = 20

// maxBeats bounds how far a status looks for an event that is no heartbeat.
const maxBeats = 10_000

// StatusReport is how it stands with all.
type StatusReport struct {
	Running      bool        `json:"running"`
	Version      *string     `json:"version"` // null when no daemon runs
	StartedAt    *event.Time `json:"started_at"`
	ConfigDigest *string     `json:"config_digest"`
	// ConfigRefused is the first problem of the file on disk, when the one before goes
	// on; else null.
	ConfigRefused *string  `json:"config_refused"`
	Degraded      []string `json:"degraded"` // codes of the agent's own open conditions, as far as it runs

	StateBytes int64          `json:"state_bytes"`
	Endpoints  EndpointCounts `json:"endpoints"`
	Conditions OpenConditions `json:"conditions"`
	LastEvent  *EventRow      `json:"last_event"` // newest that is no heartbeat
	LastAlive  *event.Time    `json:"last_alive"` // time of the newest event of any type
	Sinks      []SinkRow      `json:"sinks"`      // at rest: every stored cursor
	Problems   []string       `json:"problems"`   // what of the state cannot be read
}

// EndpointCounts counts endpoints by their state. Those that the running daemon
// does not watch are not in Total.
type EndpointCounts struct {
	Total      int `json:"total"`
	Good       int `json:"good"`
	Failing    int `json:"failing"`
	Unseen     int `json:"unseen"`
	Unreadable int `json:"unreadable"`
	Unwatched  int `json:"unwatched"`
}

// OpenConditions are the open conditions of the endpoints that count.
type OpenConditions struct {
	Total         int            `json:"total"`
	Critical      int            `json:"critical"`
	High          int            `json:"high"`
	Medium        int            `json:"medium"`
	Low           int            `json:"low"`
	Informational int            `json:"informational"`
	Worst         []ConditionRow `json:"worst"` // worst first, at most MaxWorst
}

// EventRow is an event in short.
type EventRow struct {
	ID       string         `json:"id"`
	Time     event.Time     `json:"time"`
	Type     event.Type     `json:"type"`
	Severity event.Severity `json:"severity"`
	Message  string         `json:"message"`
}

// SinkRow is how it stands with a sink.
type SinkRow struct {
	Name      string      `json:"name"`
	Type      *string     `json:"type"`      // null when no daemon runs
	Connected *bool       `json:"connected"` // null when no daemon runs
	Pending   uint64      `json:"pending"`   // journal entries that it does not have, filters aside
	Oldest    *event.Time `json:"oldest"`    // time of the first of them
	LastError *string     `json:"last_error"`
	Parked    *uint64     `json:"parked"` // events that it refused for good, since the start; null when no daemon runs
	Lost      *uint64     `json:"lost"`   // events that it had and lost, since the start; null when no daemon runs
}

// Status tells how it stands with all.
func (s *State) Status(ctx context.Context) (StatusReport, error) {
	live := s.live()
	r := StatusReport{Degraded: []string{}, Sinks: []SinkRow{}, Problems: []string{}}
	if live != nil {
		r.Running, r.Version, r.StartedAt = true, text(live.Version), event.AtOrNil(live.Started)
		r.ConfigDigest, r.ConfigRefused = text(live.ConfigDigest), text(live.Refused)
		r.Degraded = append(r.Degraded, live.Degraded...)
	}
	if err := s.summarise(ctx, live, &r); err != nil {
		return StatusReport{}, fmt.Errorf("looking at the state: %w", err)
	}
	return r, nil
}

func (s *State) summarise(ctx context.Context, live *Live, r *StatusReport) (err error) {
	if r.StateBytes, err = s.Source.Size(); err != nil {
		return err
	}
	rows, err := s.endpoints(ctx, live)
	if err != nil {
		return err
	}
	r.count(rows)
	if r.Sinks, err = s.sinks(ctx, live); err == nil {
		err = s.ends(ctx, r)
	}
	if errors.Is(err, state.ErrCorrupt) { // a damaged place must not hide the rest
		r.Problems, err = append(r.Problems, event.Text(err.Error())), nil
	}
	return err
}

// ends looks for the newest events.
func (s *State) ends(ctx context.Context, r *StatusReport) error {
	looked := 0
	for e, err := range s.Source.EventsBackwards(ctx, "") {
		if err != nil {
			return err
		}
		if r.LastAlive == nil {
			r.LastAlive = event.AtOrNil(e.At)
		}
		if e.Type != string(event.AgentHeartbeat) {
			r.LastEvent = new(newEventRow(&e))
			break
		}
		if looked++; looked == maxBeats {
			break
		}
	}
	return nil
}

func (r *StatusReport) count(rows []EndpointRow) {
	c := &r.Conditions
	for i := range rows {
		switch rows[i].State {
		case Unwatched:
			r.Endpoints.Unwatched++
			continue
		case Good:
			r.Endpoints.Good++
		case Failing:
			r.Endpoints.Failing++
		case Unseen:
			r.Endpoints.Unseen++
		case Unreadable:
			r.Endpoints.Unreadable++
		}
		r.Endpoints.Total++
		c.Worst = append(c.Worst, rows[i].Conditions...)
	}
	for _, row := range c.Worst {
		switch row.Severity {
		case event.SeverityCritical:
			c.Critical++
		case event.SeverityHigh:
			c.High++
		case event.SeverityMedium:
			c.Medium++
		case event.SeverityLow:
			c.Low++
		default:
			c.Informational++
		}
	}
	slices.SortStableFunc(c.Worst, worse)
	c.Total = len(c.Worst)
	c.Worst = append([]ConditionRow{}, c.Worst[:min(len(c.Worst), MaxWorst)]...)
}

// sinks lists those of the daemon, and at rest those that have a cursor.
func (s *State) sinks(ctx context.Context, live *Live) ([]SinkRow, error) {
	rows := []SinkRow{}
	if live == nil {
		names, err := s.Source.Cursors(ctx)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			rows = append(rows, SinkRow{Name: name})
		}
	} else {
		for _, l := range live.Sinks {
			rows = append(rows, SinkRow{Name: l.Name, Type: text(l.Type), Connected: new(l.Connected), LastError: text(l.LastError), Parked: new(l.Parked), Lost: new(l.Lost)})
		}
	}
	for i := range rows {
		n, oldest, err := s.Source.Pending(ctx, rows[i].Name)
		if err != nil {
			return nil, err
		}
		rows[i].Pending, rows[i].Oldest = n, event.AtOrNil(oldest)
	}
	return rows, nil
}

// short is what of a stored event is needed to name it. Events of later
// versions have it too.
type short struct {
	Data struct {
		Event struct {
			Severity event.Severity `json:"severity"`
			Message  string         `json:"message"`
			Drill    bool           `json:"drill"`
		} `json:"event"`
		Integrity struct {
			Epoch    string `json:"epoch"`
			Sequence uint64 `json:"sequence"`
		} `json:"integrity"`
	} `json:"data"`
}

func newEventRow(e *state.Entry) EventRow {
	row := EventRow{ID: e.ID, Time: event.At(e.At), Type: event.Type(e.Type), Severity: severity(e.Severity)}
	var in short
	if err := json.Unmarshal(e.JSON, &in); err == nil && in.Data.Event.Severity != 0 {
		row.Severity, row.Message = in.Data.Event.Severity, event.Text(in.Data.Event.Message)
	}
	return row
}

// severity makes one of a stored number, which may be none.
func severity(n uint8) event.Severity {
	return min(max(event.Severity(n), event.SeverityInformational), event.SeverityCritical)
}
