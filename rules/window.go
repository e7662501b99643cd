package rules

import "time"

// Window is when changes of an endpoint are made: on some days of each week, or
// on one date, between two times of the day.
type Window struct {
	Name string
	Days [7]bool // by time.Weekday, on which it opens; not used with a date
	// Date is the day of a dated window, midnight in UTC; zero: it is weekly.
	Date time.Time
	// From and To are minutes of the day by the clocks of Zone, To up to 1440. One
	// that ends before it begins ends on the day after.
	From, To int
	Zone     *time.Location // nil means UTC
}

// Opening is one opening of a window: From is in it, To is not.
type Opening struct {
	Name     string
	From, To time.Time
}

// Dated reports whether it opens only once.
func (w *Window) Dated() bool { return !w.Date.IsZero() }

// Longest is how long it is open by the clock, seconds aside: on a night on which
// clocks change it may be an hour more or less.
func (w *Window) Longest() time.Duration { return time.Duration(w.minutes()) * time.Minute }

func (w *Window) minutes() int {
	if w.To > w.From {
		return w.To - w.From
	}
	return w.To - w.From + 24*60
}

// TooLong reports whether it is open longer than a window of a critical endpoint
// may be.
func (w *Window) TooLong() bool { return w.Longest() > longestCritical }

// Opening is the one that the time is in.
func (w *Window) Opening(at time.Time) (Opening, bool) {
	today := w.day(at)
	for _, date := range [...]time.Time{today, today.AddDate(0, 0, -1), today.AddDate(0, 0, 1)} {
		if o, ok := w.on(date); ok && !at.Before(o.From) && at.Before(o.To) {
			return o, true
		}
	}
	return Opening{}, false
}

// Next is the first that begins after the time; none of a date that is past.
func (w *Window) Next(after time.Time) (Opening, bool) {
	if w.Dated() {
		o, ok := w.on(w.Date)
		return o, ok && o.From.After(after)
	}
	// In a week each day comes; the day of a change of clocks may have none.
	for date := w.day(after).AddDate(0, 0, -1); !date.After(w.day(after).AddDate(0, 0, 15)); date = date.AddDate(0, 0, 1) {
		if o, ok := w.on(date); ok && o.From.After(after) {
			return o, true
		}
	}
	return Opening{}, false
}

// day is the date of the time where the window is, midnight in UTC.
func (w *Window) day(at time.Time) time.Time {
	y, m, d := at.In(w.zone()).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

// on is the opening that begins on the date. It opens when the clocks there first
// read or pass its beginning, and closes when they then first read or pass its end:
// of a time that is skipped nothing is left, and an hour that comes twice counts
// from its first time.
func (w *Window) on(date time.Time) (Opening, bool) {
	if w.Dated() && !date.Equal(w.Date) || !w.Dated() && !w.Days[date.Weekday()] {
		return Opening{}, false
	}
	o := Opening{Name: w.Name, From: w.instant(date, w.From), To: w.instant(date, w.From+w.minutes())}
	return o, o.From.Before(o.To)
}

// instant is when the clocks of the zone first read or pass a time.
func (w *Window) instant(date time.Time, minute int) time.Time {
	zone, wall := w.zone(), date.Add(time.Duration(minute)*time.Minute)
	const aside = 26 * time.Hour // more than any zone is from UTC
	offset := func(t time.Time) time.Duration {
		_, s := t.In(zone).Zone()
		return time.Duration(s) * time.Second
	}
	first := wall.Add(-offset(wall.Add(-aside)))
	if first.Add(offset(first)).Equal(wall) {
		return first
	}
	if second := wall.Add(-offset(wall.Add(aside))); second.Add(offset(second)).Equal(wall) {
		return second
	}
	start, _ := first.In(zone).ZoneBounds() // the clocks skipped it
	return start.UTC()
}

func (w *Window) zone() *time.Location {
	if w.Zone == nil {
		return time.UTC
	}
	return w.Zone
}
