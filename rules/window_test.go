package rules_test

import (
	"testing"
	"time"
	_ "time/tzdata" // the tests read clocks of zones, whatever the machine has

	"github.com/jwkswatch/jwkswatch/rules"
)

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// TestWindowOpens holds when a window is open, on the nights too on which clocks
// change: in Berlin 2026-03-29 02:00 is 03:00, and 2026-10-25 03:00 is 02:00 again.
func TestWindowOpens(t *testing.T) {
	t.Parallel()
	berlin := zone(t, "Europe/Berlin")
	days := func(list ...time.Weekday) (out [7]bool) {
		for _, d := range list {
			out[d] = true
		}
		return out
	}
	for name, tt := range map[string]struct {
		window   rules.Window
		from, to string // UTC; from "" is never open on that day
	}{
		"winter":                   {rules.Window{Days: days(time.Tuesday), From: 9 * 60, To: 11 * 60, Zone: berlin}, "2026-01-13T08:00:00Z", "2026-01-13T10:00:00Z"},
		"summer":                   {rules.Window{Days: days(time.Tuesday), From: 9 * 60, To: 11 * 60, Zone: berlin}, "2026-07-14T07:00:00Z", "2026-07-14T09:00:00Z"},
		"over midnight":            {rules.Window{Days: days(time.Tuesday), From: 22 * 60, To: 2 * 60, Zone: berlin}, "2026-07-14T20:00:00Z", "2026-07-15T00:00:00Z"},
		"the whole day":            {rules.Window{Days: days(time.Tuesday), From: 0, To: 24 * 60}, "2026-07-14T00:00:00Z", "2026-07-15T00:00:00Z"},
		"a day and no end":         {rules.Window{Days: days(time.Tuesday), From: 540, To: 540}, "2026-07-14T09:00:00Z", "2026-07-15T09:00:00Z"},
		"begins in the gap":        {rules.Window{Days: days(time.Sunday), From: 2*60 + 30, To: 4 * 60, Zone: berlin}, "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"},
		"ends in the gap":          {rules.Window{Days: days(time.Sunday), From: 60, To: 2*60 + 30, Zone: berlin}, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z"},
		"over the gap":             {rules.Window{Days: days(time.Sunday), From: 60, To: 4 * 60, Zone: berlin}, "2026-03-29T00:00:00Z", "2026-03-29T02:00:00Z"},
		"begins in the hour twice": {rules.Window{Days: days(time.Sunday), From: 2*60 + 30, To: 4 * 60, Zone: berlin}, "2026-10-25T00:30:00Z", "2026-10-25T03:00:00Z"},
		"ends in the hour twice":   {rules.Window{Days: days(time.Sunday), From: 60, To: 2*60 + 30, Zone: berlin}, "2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z"},
		"another day east":         {rules.Window{Days: days(time.Wednesday), From: 60, To: 120, Zone: zone(t, "Pacific/Kiritimati")}, "2026-07-14T11:00:00Z", "2026-07-14T12:00:00Z"},
		"another day west":         {rules.Window{Days: days(time.Tuesday), From: 23 * 60, To: 24 * 60, Zone: zone(t, "Pacific/Pago_Pago")}, "2026-07-15T10:00:00Z", "2026-07-15T11:00:00Z"},
		"half hours":               {rules.Window{Days: days(time.Tuesday), From: 9 * 60, To: 10 * 60, Zone: zone(t, "Australia/Lord_Howe")}, "2026-07-13T22:30:00Z", "2026-07-13T23:30:00Z"},
		"on a date":                {rules.Window{Date: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), From: 22 * 60, To: 60, Zone: berlin}, "2026-12-01T21:00:00Z", "2026-12-02T00:00:00Z"},
	} {
		from, _ := time.Parse(time.RFC3339, tt.from)
		to, _ := time.Parse(time.RFC3339, tt.to)
		for at, want := range map[time.Time]bool{from: true, from.Add(-time.Second): false, to.Add(-time.Second): true, to: false} {
			o, open := tt.window.Opening(at)
			if open != want {
				t.Errorf("%s: at %s open is %v", name, at, open)
			}
			if open && (!o.From.Equal(from) || !o.To.Equal(to)) {
				t.Errorf("%s: at %s it is open from %s to %s", name, at, o.From.UTC(), o.To.UTC())
			}
		}
		if o, ok := tt.window.Next(from.Add(-time.Second)); !ok || !o.From.Equal(from) {
			t.Errorf("%s: the next is %s, %v", name, o.From.UTC(), ok)
		}
		if o, ok := tt.window.Next(from); tt.window.Dated() == ok || ok && o.From.Sub(from) < 6*24*time.Hour {
			t.Errorf("%s: after it comes %s, %v", name, o.From.UTC(), ok)
		}
	}
	gone := rules.Window{Days: days(time.Sunday), From: 2*60 + 10, To: 2*60 + 50, Zone: berlin}
	if _, open := gone.Opening(time.Date(2026, 3, 29, 1, 0, 0, 0, time.UTC)); open {
		t.Error("a window is open at a time that the clocks skipped")
	}
	if o, _ := gone.Next(time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)); !o.From.Equal(time.Date(2026, 4, 5, 0, 10, 0, 0, time.UTC)) {
		t.Errorf("after it the window opens at %s", o.From.UTC())
	}
}

// TestWindowNeverOverlapsItself holds for every zone of some offsets and every
// quarter of an hour of two years: what Opening says is open is what on says.
func TestWindowNeverOverlapsItself(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"UTC", "Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca"} {
		w := rules.Window{Days: [7]bool{true, true, true, true, true, true, true}, From: 90, To: 195, Zone: zone(t, name)}
		var last rules.Opening
		open := 0
		for at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC); at.Year() < 2027; at = at.Add(15 * time.Minute) {
			o, ok := w.Opening(at)
			if !ok {
				continue
			}
			open++
			if !o.From.Equal(last.From) && o.From.Before(last.To) {
				t.Fatalf("%s: the opening of %s begins before that of %s ends", name, o.From, last.From)
			}
			if o.To.Sub(o.From) > 3*time.Hour {
				t.Fatalf("%s: open from %s to %s", name, o.From, o.To)
			}
			last = o
		}
		if days := open / 7; days < 720 || days > 740 {
			t.Errorf("%s: open %d quarters of an hour in two years", name, open)
		}
	}
}
