package query_test

import (
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
)

// TestTimeline holds that lives are drawn where they were, in the order in which the
// keys came, and that an issuer's text does not draw with them.
func TestTimeline(t *testing.T) {
	t.Parallel()
	day := func(n float64) *event.Time {
		at := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(n * 24 * float64(time.Hour)))
		return new(event.At(at))
	}
	now := day(48).Time // a column is a day
	keys := []query.PublishedKey{
		{Kid: new("new"), FirstAfter: day(30), WatchedFrom: day(30), LastSeen: day(47.9)},
		{Kid: new("old"), WatchedFrom: day(0), LastSeen: day(31), GoneBy: day(35)},
		{Kid: new("brief\x1b[2J\n"), FirstAfter: day(10), WatchedFrom: day(10.1), LastSeen: day(10.2), GoneBy: day(10.3), Returned: true},
		{FirstAfter: day(20), WatchedFrom: day(23), LastSeen: day(40), Kid: new("old")}, // live, and the endpoint is away
	}
	timeline := query.NewTimeline("idp", keys, now)
	var out strings.Builder
	if err := query.PrintTimeline(&out, timeline); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 || !strings.HasPrefix(lines[0], "idp: 4 keys, 2 of them live; a column is 1.0 days") {
		t.Fatalf("%q", lines)
	}
	start := strings.Index(lines[1], "2026-11-01")
	if start < 0 || strings.ContainsAny(out.String(), "\x1b") {
		t.Fatalf("%q", lines)
	}
	for i, want := range []string{
		"<" + strings.Repeat("=", 32) + "----",
		strings.Repeat(" ", 10) + " =" + " ",
		strings.Repeat(" ", 20) + " ---" + strings.Repeat("=", 18) + strings.Repeat("-", 7) + ">",
		strings.Repeat(" ", 30) + " " + strings.Repeat("=", 18) + ">",
	} {
		if got := string([]rune(lines[i+2])[start:]); !strings.HasPrefix(got, want) || strings.ContainsAny(got[len(want):], "=-<>") {
			t.Errorf("line %d is\n%q, want\n%q", i, got, want)
		}
	}
	if !strings.Contains(lines[3], "was there before") || strings.Contains(lines[2], "was there before") || !strings.Contains(lines[4], "named another key") {
		t.Errorf("%q", lines)
	}
	out.Reset()
	if err := query.PrintTimeline(&out, query.NewTimeline("idp", nil, now)); err != nil || !strings.Contains(out.String(), "0 keys") {
		t.Errorf("%q, %v", out.String(), err)
	}
}
