package query_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
)

// past is an endpoint with a past: a failure before the first set, a change, a
// step that only notes a claim, an event without a change, and a return.
func past(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.step("corp", 0, "", told{event.EndpointUnreachable, event.SeverityMedium, "unreachable", 0})
	w.step("corp", 10, set(key("a", "one"), key("b", "two")), told{event.BaselineEstablished, event.SeverityInformational, "baseline", 0})
	w.step("corp", 20, set(key("a", "one"), key("c", "three")), told{event.KeyAdded, event.SeverityLow, "added", 0}, told{event.KeyRemoved, event.SeverityLow, "removed", 0})
	w.step("corp", 30, "")
	w.step("corp", 40, "", told{event.EndpointUnreachable, event.SeverityMedium, "again", 0})
	w.step("partner", 45, set(key("p", "four")), told{event.BaselineEstablished, event.SeverityInformational, "of another", 0})
	w.step("corp", 50, set(key("a", "one"), key("b", "two")), told{event.KeyReappeared, event.SeverityLow, "back", 0})
	w.seen("corp", 59)
	return w
}

// row is a history row in short.
func row(r query.HistoryRow) string {
	var types []string
	for _, e := range r.Events {
		types = append(types, e.Message)
	}
	return fmt.Sprintf("%d keys=%d changed=%v told=%d %s", r.Revision, r.Keys, r.Changed, r.Told, strings.Join(types, ","))
}

func rowsOf(rows []query.HistoryRow) (out []string) {
	for _, r := range rows {
		out = append(out, row(r))
	}
	return out
}

func TestHistory(t *testing.T) {
	t.Parallel()
	w := past(t)
	s := w.resting()
	want := []string{
		"6 keys=2 changed=true told=1 back",
		"5 keys=2 changed=false told=1 again",
		"3 keys=2 changed=true told=2 added,removed",
		"2 keys=2 changed=true told=1 baseline",
		"1 keys=0 changed=false told=1 unreachable",
	}
	rows, err := s.History(t.Context(), "corp", 0)
	if got := rowsOf(rows); err != nil || !slices.Equal(got, want) {
		t.Errorf("history is %q (%v)", got, err)
	}
	if rows[4].Digest != nil || rows[3].Digest == nil || *rows[0].Digest != *rows[3].Digest || !rows[0].At.Equal(at(50)) {
		t.Errorf("rows are %+v", rows)
	}
	for limit := 1; limit < 5; limit++ {
		rows, err := s.History(t.Context(), "corp", limit)
		if got := rowsOf(rows); err != nil || !slices.Equal(got, want[:limit]) {
			t.Errorf("the newest %d are %q (%v)", limit, got, err)
		}
	}
	if rows, err := s.History(t.Context(), "partner", 0); err != nil || len(rows) != 1 || row(rows[0]) != "1 keys=1 changed=true told=1 of another" {
		t.Errorf("history is %v (%v)", rows, err)
	}
	// What retention took is not made up.
	if _, err := w.db.Prune(t.Context(), at(25), nil); err != nil {
		t.Fatal(err)
	}
	rows, err = s.History(t.Context(), "corp", 0)
	if got := rowsOf(rows); err != nil || !slices.Equal(got, append(slices.Clone(want[:2]), "4 keys=2 changed=false told=0 ")) {
		t.Errorf("after pruning the history is %q (%v)", got, err)
	}
	if _, err := s.History(t.Context(), "corb", 0); problem(err).Code != query.UnknownEndpoint || problem(err).Suggestion != "corp" {
		t.Errorf("error is %v", err)
	}
	if _, err := s.History(t.Context(), "corp", -1); problem(err).Code != query.BadQuestion {
		t.Errorf("error is %v", err)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	w := past(t)
	s := w.resting()
	for _, c := range []struct {
		at, revision, observed, replaced int // minutes
		kids                             string
	}{
		{-1, 6, 50, -1, "a:live b:live"},
		{10, 2, 10, 20, "a:live b:live"},
		{19, 2, 10, 20, "a:live b:live"},
		{20, 3, 20, 50, "a:live c:gone"},
		{45, 5, 40, 50, "a:live c:gone"},
		{51, 6, 50, -1, "a:live b:live"},
	} {
		var when time.Time
		if c.at >= 0 {
			when = at(c.at)
		}
		got, err := s.Show(t.Context(), "corp", when)
		if err != nil {
			t.Errorf("at %d: %v", c.at, err)
			continue
		}
		replaced := -1
		if got.ReplacedAt != nil {
			replaced = int(got.ReplacedAt.Sub(at(0)).Minutes())
		}
		var kids []string
		for _, k := range got.Keys {
			kids = append(kids, *k.Kid+":"+k.State)
		}
		if int(got.Revision) != c.revision || !got.ObservedAt.Equal(at(c.observed)) || replaced != c.replaced || strings.Join(kids, " ") != c.kids {
			t.Errorf("at %d: revision %d of %v, replaced at %d, %v", c.at, got.Revision, got.ObservedAt, replaced, kids)
		}
		if !strings.HasPrefix(got.Digest, "sha256:") || !got.LastSeen.Equal(at(59)) || got.Evidence == nil || got.Evidence.URL != "https://corp.example/jwks.json" {
			t.Errorf("at %d: %+v", c.at, got)
		}
	}
	got, err := s.Show(t.Context(), "corp", at(20))
	if err != nil {
		t.Fatal(err)
	}
	a, gone := got.Keys[0], got.Keys[1]
	if *a.Kty != "OKP" || *a.Crv != "Ed25519" || *a.Bits != 256 && *a.Bits != 255 || len(*a.Thumbprint) != 43 || a.FirstSeen != nil {
		t.Errorf("a key of the baseline is %+v", a)
	}
	if !gone.FirstSeen.Equal(at(20)) || !gone.GoneBy.Equal(at(50)) {
		t.Errorf("a key that is gone is %+v", gone)
	}
	// b came back at 50: of its first life nothing is said.
	if got, err := s.Show(t.Context(), "corp", at(10)); err != nil || got.Keys[1].FirstSeen != nil {
		t.Errorf("in its first life b was first seen at %v (%v)", got.Keys[1].FirstSeen, err)
	}
	if strings.ContainsAny(ptr(got.Evidence.ETag), "\x1b\u202e") {
		t.Errorf("evidence is %q", *got.Evidence.ETag)
	}
}

func TestShowWhatIsNotThere(t *testing.T) {
	t.Parallel()
	w := past(t)
	w.step("dark", 0, "", told{event.EndpointUnreachable, event.SeverityMedium, "never seen", 0})
	s := w.running(query.Live{Endpoints: []query.LiveEndpoint{{Name: "fresh"}}})
	check := func(endpoint string, when time.Time, code query.Code, says string) {
		t.Helper()
		_, err := s.Show(t.Context(), endpoint, when)
		if p := problem(err); p.Code != code || !strings.Contains(p.Error(), says) {
			t.Errorf("%s at %v: error is %v", endpoint, when, err)
		}
	}
	check("corp", at(9), query.NothingSeen, "the first was seen at 2026-11-22T12:10:00Z")
	check("corp", at(-60), query.NothingSeen, "the first was seen")
	check("dark", time.Time{}, query.NothingSeen, "has been seen yet")
	check("fresh", at(9), query.NothingSeen, "has been seen yet")
	check("coorp", at(9), query.UnknownEndpoint, "did you mean corp?")
	if _, err := w.db.Prune(t.Context(), at(35), nil); err != nil {
		t.Fatal(err)
	}
	check("corp", at(20), query.Dropped, "the oldest snapshot is of 2026-11-22T12:40:00Z")
	if got, err := s.Show(t.Context(), "corp", at(45)); err != nil || len(got.Keys) != 2 {
		t.Errorf("%+v (%v)", got, err)
	}
}

// TestShowHostile holds that nothing private and nothing that steers a terminal
// leaves by the way of a question.
func TestShowHostile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hostile := "\u202e evil \u2066\U0001F511 é\u007f" + strings.Repeat("x", 600)
	w.step("corp", 0, set(
		key(hostile, "one", `"alg":"Ed\u001b[31m\nSA"`),
		key("leak", "two", `"d":"c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"`),
		`{"kty":"oct","kid":"s","k":"c2VjcmV0LXNlY3JldA"}`,
		`{"kty":"WAT","kid":"w"}`,
	), told{event.KeyPrivate, event.SeverityCritical, "private " + hostile, 0})
	got, err := w.resting().Show(t.Context(), "corp", time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Keys) != 4 || !slices.Equal(got.Keys[1].Private, []string{"d"}) || got.Keys[2].Thumbprint != nil || got.Keys[3].Thumbprint != nil || len(got.Keys[3].Defects) == 0 {
		t.Errorf("keys are %+v", got.Keys)
	}
	if n := len(*got.Keys[0].Kid); n > 512 {
		t.Errorf("a kid of %d octets", n)
	}
	rows, err := w.resting().History(t.Context(), "corp", 0)
	if err != nil {
		t.Fatal(err)
	}
	endpoints, err := w.resting().Endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	report, err := w.resting().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for what, v := range map[string]any{"show": got, "history": rows, "endpoints": endpoints, "status": report} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(what, err)
		}
		if s := string(b); strings.Contains(s, "c2VjcmV0") || strings.ContainsAny(s, "\u202e\u2066\u007f\x1b") {
			t.Errorf("%s: %s", what, s)
		}
	}
	// The document says the same as what was served, but for its secrets.
	var document struct{ Keys []struct{ Kid string } }
	if err := json.Unmarshal(got.Document, &document); err != nil || document.Keys[0].Kid != hostile {
		t.Errorf("document is %s (%v)", got.Document, err)
	}
	var out strings.Builder
	err = query.PrintShown(&out, got)
	if err == nil {
		err = query.PrintHistory(&out, rows)
	}
	if err == nil {
		err = query.PrintEndpoints(&out, endpoints)
	}
	if err == nil {
		err = query.PrintStatus(&out, report)
	}
	for raw := range w.resting().Events(t.Context(), query.Filter{}) {
		if err == nil {
			err = query.PrintEventLine(&out, raw)
		}
		if err == nil {
			err = query.PrintEvent(&out, raw)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range out.String() {
		if r != '\n' && (r < ' ' || r == 0x7f || r == '\u202e' || r == '\u2066') {
			t.Fatalf("rune %U in:\n%s", r, out.String())
		}
	}
	if !strings.Contains(out.String(), "PRIVATE MATERIAL SERVED: d") {
		t.Errorf("the leak is not shown:\n%s", out.String())
	}
}
