package query

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Timeline is when the keys of an endpoint were published.
type Timeline struct {
	Endpoint string     `json:"endpoint"`
	From     event.Time `json:"from"` // the first that is known of any of the keys
	To       event.Time `json:"to"`   // when it was asked for
	Keys     []Lifetime `json:"keys"` // by the time that they came; at most 512, shared secrets are none of them
}

// Lifetime is when one key was published. Polls bound it: it came after FirstAfter
// and by WatchedFrom, and went after LastSeen and by GoneBy.
type Lifetime struct {
	Kid         *string     `json:"kid"`
	Thumbprint  *string     `json:"thumbprint"`
	Alg         *string     `json:"alg"`
	FirstAfter  *event.Time `json:"first_after"` // null of a key of a baseline, whose age is unknown
	WatchedFrom *event.Time `json:"watched_from"`
	LastSeen    *event.Time `json:"last_seen"`
	GoneBy      *event.Time `json:"gone_by"`  // null while it is live
	Returned    bool        `json:"returned"` // it had a life before this one
}

// NewTimeline orders the keys of one endpoint by the time that they came.
func NewTimeline(endpoint string, keys []PublishedKey, now time.Time) Timeline {
	t := Timeline{Endpoint: endpoint, From: event.At(now), To: event.At(now), Keys: []Lifetime{}}
	for _, k := range keys {
		l := Lifetime{k.Kid, k.Thumbprint, k.Alg, k.FirstAfter, k.WatchedFrom, k.LastSeen, k.GoneBy, k.Returned}
		if first := l.earliest(now); first.Before(t.From.Time) {
			t.From = event.At(first)
		}
		t.Keys = append(t.Keys, l)
	}
	slices.SortStableFunc(t.Keys, func(a, b Lifetime) int {
		return cmp.Or(a.earliest(now).Compare(b.earliest(now)), cmp.Compare(or(a.Kid, ""), or(b.Kid, "")))
	})
	return t
}

// earliest is when it can have come, as far as anybody looked; now if that is not known.
func (l *Lifetime) earliest(now time.Time) time.Time {
	switch {
	case l.FirstAfter != nil:
		return l.FirstAfter.Time
	case l.WatchedFrom != nil:
		return l.WatchedFrom.Time
	}
	return now
}

// bars is how many columns the lives are drawn in.
const bars = 48

// PrintTimeline writes a timeline: "=" while a key was surely there, "-" between two
// polls of which one had it, "<" before anybody looked, ">" while it is live.
func PrintTimeline(w io.Writer, t Timeline) error {
	live := 0
	for i := range t.Keys {
		if t.Keys[i].GoneBy == nil {
			live++
		}
	}
	step := max(t.To.Sub(t.From.Time)/bars, time.Millisecond)
	if _, err := fmt.Fprintf(w, "%s: %d keys, %d of them live; a column is %s\n", cell(t.Endpoint), len(t.Keys), live, width(step)); err != nil || len(t.Keys) == 0 {
		return err
	}
	out := newTable(w)
	out.row("KID", "ALG", "CAME BY", "GONE BY", fmt.Sprintf("%-*s", bars+2, when(&t.From)), "")
	named := map[string]bool{}
	for i := range t.Keys {
		l := &t.Keys[i]
		note := ""
		switch {
		case l.Kid != nil && named[*l.Kid]:
			note = "the kid named another key"
		case l.Returned:
			note = "was there before"
		}
		if l.Kid != nil {
			named[*l.Kid] = true
		}
		gone := "live"
		if l.GoneBy != nil {
			gone = when(l.GoneBy)
		}
		out.row(or(l.Kid, "(no kid)"), or(l.Alg, "-"), when(l.WatchedFrom), gone, l.bar(t.From.Time, step), note)
	}
	return out.flush()
}

// width is the time of a column in words.
func width(d time.Duration) string {
	const day = 24 * time.Hour
	if d >= day {
		return fmt.Sprintf("%.1f days", d.Hours()/24)
	}
	return d.Round(time.Millisecond).String()
}

// bar draws a life.
func (l *Lifetime) bar(from time.Time, step time.Duration) string {
	column := func(t *event.Time, none int) int {
		if t == nil {
			return none
		}
		return min(max(int(t.Sub(from)/step), 0), bars-1)
	}
	came := column(l.WatchedFrom, 0)
	seen := max(column(l.LastSeen, came), came)
	first, last := min(column(l.FirstAfter, came), came), max(column(l.GoneBy, seen), seen)
	before, after := " ", " "
	if l.FirstAfter == nil {
		before = "<"
	}
	if l.GoneBy == nil {
		last, after = bars-1, ">"
	}
	return strings.Repeat(" ", first) + before + strings.Repeat("-", came-first) + strings.Repeat("=", seen-came+1) + strings.Repeat("-", last-seen) + after
}
