package query_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
)

// TestAnEmptySet holds that endpoints, history and show say the same of a set that
// became empty: none is served, whatever is known.
func TestAnEmptySet(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.step("corp", 0, set(`{"kty":"OKP","crv":"Ed25519","kid":"a","x":"yQuwa6rzyQW5IGHuzgQThtKvJ-u7PpQTr_mv3XQhJ5w"}`))
	s := w.resting()
	if rows, err := s.Endpoints(t.Context()); err != nil || rows[0].Empty {
		t.Fatalf("with a key: %+v (%v)", rows, err)
	}
	w.open("corp", 9, event.SetEmptied, event.SeverityCritical)
	w.step("corp", 10, set(), told{typ: event.SetEmptied, severity: event.SeverityCritical, message: "empty"})
	rows, err := s.Endpoints(t.Context())
	if err != nil || !rows[0].Empty {
		t.Fatalf("%+v (%v)", rows, err)
	}
	var all strings.Builder
	rows[0].Keys = 3 // the agent keeps them
	if err := query.PrintEndpoints(&all, rows); err != nil || !strings.Contains(all.String(), " 0 (3 known) ") {
		t.Errorf("endpoints (%v):\n%s", err, &all)
	}
	shown, err := s.Show(t.Context(), "corp", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	all.Reset()
	if err := query.PrintShown(&all, shown); err != nil || !strings.Contains(all.String(), "none: the set is empty") || strings.Contains(all.String(), "THUMBPRINT") {
		t.Errorf("show (%v):\n%s", err, &all)
	}
	history, err := s.History(t.Context(), "corp", 1)
	if err != nil || history[0].Keys != 0 {
		t.Errorf("history: %+v (%v)", history, err)
	}
}
