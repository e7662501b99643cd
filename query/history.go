package query

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/state"
)

const (
	historyRows    = 20     // when no limit is given
	maxHistoryRows = 10_000 // each has been read and parsed
)

// HistoryRow is one step of an endpoint that said something or brought another
// set. Steps that only noted a claim for a second look are left out.
type HistoryRow struct {
	Revision uint64      `json:"revision"`
	At       event.Time  `json:"at"`      // of the observation
	Digest   *string     `json:"digest"`  // of the set that stands after it; null before the first
	Keys     int         `json:"keys"`    // entries of that set
	Changed  bool        `json:"changed"` // the set is not the one of the step before
	Told     uint64      `json:"told"`    // events of the step
	Events   []StepEvent `json:"events"`  // those of them that the journal still has, in their order
}

// StepEvent is an event of a step.
type StepEvent struct {
	ID       string         `json:"id"`
	Type     event.Type     `json:"type"`
	Severity event.Severity `json:"severity"`
	Message  string         `json:"message"`
}

// History lists the newest steps of an endpoint, newest first; at most limit,
// 0 means 20. Errors: a Problem UnknownEndpoint.
func (s *State) History(ctx context.Context, endpoint string, limit int) ([]HistoryRow, error) {
	rows, err := s.history(ctx, endpoint, limit)
	if err != nil {
		return nil, fmt.Errorf("reading the history of %s: %w", quote(endpoint), err)
	}
	return rows, nil
}

func (s *State) history(ctx context.Context, endpoint string, limit int) ([]HistoryRow, error) {
	if limit < 0 {
		return nil, bad("the limit is negative")
	}
	if limit == 0 {
		limit = historyRows
	}
	limit = min(limit, maxHistoryRows)
	if err := s.checkEndpoint(ctx, endpoint, s.live()); err != nil {
		return nil, err
	}
	steps, err := s.steps(ctx, endpoint, limit)
	if err != nil {
		return nil, err
	}
	if err := s.fillEvents(ctx, endpoint, steps); err != nil {
		return nil, err
	}
	rows := []HistoryRow{}
	for _, st := range steps {
		rows = append(rows, st.row)
	}
	return rows, nil
}

// step is a row with the part of the stream that its events are.
type step struct {
	row    HistoryRow
	epoch  string
	from   uint64 // sequence of the last event before
	to     uint64 // sequence of the last event of the step
	digest [32]byte
}

// steps reads the rows without their events. Each record is compared with the
// one before it, which comes after it here.
func (s *State) steps(ctx context.Context, endpoint string, limit int) (steps []*step, err error) {
	var newer *step
	keep := func(older *state.Record) {
		if newer == nil {
			return
		}
		if older != nil {
			newer.row.Changed = newer.digest != older.Digest
			if older.Head.Epoch == newer.epoch {
				newer.from = older.Head.Sequence
			}
		} else {
			newer.row.Changed = newer.row.Revision == 1 && newer.digest != [32]byte{}
			if newer.row.Revision > 1 {
				newer.from = newer.to // what it told stood in the step that was dropped too
			}
		}
		newer.row.Told = newer.to - newer.from
		if newer.row.Changed || newer.row.Told > 0 || older == nil {
			steps = append(steps, newer)
		}
	}
	for rec, err := range s.Source.Snapshots(ctx, endpoint) {
		if err != nil {
			return nil, err
		}
		if keep(&rec); len(steps) == limit {
			return steps, nil
		}
		newer = &step{epoch: rec.Head.Epoch, to: rec.Head.Sequence, digest: rec.Digest}
		newer.row = HistoryRow{Revision: rec.Revision, At: event.At(rec.At), Events: []StepEvent{}}
		if rec.Digest != [32]byte{} {
			newer.row.Digest = new(sum(rec.Digest))
			newer.row.Keys = len(jwks.Parse(rec.Body).Keys)
		}
	}
	keep(nil)
	return steps, nil
}

// fillEvents finds the events of the steps: of each stream, those between two
// sequence numbers.
func (s *State) fillEvents(ctx context.Context, endpoint string, steps []*step) error {
	missing := uint64(0)
	for _, st := range steps {
		missing += st.row.Told
	}
	if missing == 0 {
		return nil
	}
	oldest := steps[len(steps)-1].row.At.Add(-clockSlack)
	of := Filter{Endpoint: endpoint}
	for e, err := range s.Source.EventsBackwards(ctx, "") {
		if err != nil {
			return err
		}
		if e.At.Before(oldest) {
			return nil
		}
		if !of.match(&e) {
			continue
		}
		var in short
		if json.Unmarshal(e.JSON, &in) != nil {
			continue // of a later version, perhaps: Told counts it
		}
		if st := find(steps, in.Data.Integrity.Epoch, in.Data.Integrity.Sequence); st != nil {
			row := newEventRow(&e)
			st.row.Events = append([]StepEvent{{row.ID, row.Type, row.Severity, row.Message}}, st.row.Events...)
			if missing--; missing == 0 {
				return nil
			}
		}
	}
	return nil
}

func find(steps []*step, epoch string, sequence uint64) *step {
	for _, st := range steps {
		if st.epoch == epoch && st.from < sequence && sequence <= st.to {
			return st
		}
	}
	return nil
}
