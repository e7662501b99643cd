package rules

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
)

// Thresholds of what is judged over all endpoints together. Measured on random
// fleets: no false outage in 438 days with 2 to 5 endpoints and with 10 or more.
const (
	outageShare   = 5 // one in so many endpoints that are due
	outageLeast   = 2 // endpoints, on as many registrable domains
	outageWindow  = 2 * time.Minute
	gapIntervals  = 10
	gapLeast      = time.Hour
	gapIntervalsC = 3 // on tier critical
	gapLeastC     = 15 * time.Minute
	gapShare      = 5 // more than one in so many is one gap of the agent
)

// FleetEndpoint is one endpoint as the judgement over all of them sees it.
type FleetEndpoint struct {
	Name     string
	Host     string
	Site     string // registrable domain
	Tier     string
	Interval time.Duration
	LastGood time.Time // zero: never
	// FailingSince is the first failure of the row, zero when the last poll was
	// good; Failures counts the row; Phase and Code are those of the last.
	FailingSince time.Time
	Failures     int
	Phase        string
	Code         string
	Watched      time.Time // since when this process watches it
}

// OutageVerdict says whether the agent rather than the endpoints is in trouble.
type OutageVerdict struct {
	Open    bool
	Code    string   // outage or tls_intercepted; "" when not open
	Failing []string // names, sorted
	Due     int      // endpoints, within the time in which they failed
	Hosts   int      // among the failing
	Since   time.Time

	sites int // registrable domains among the failing
}

// Outage judges whether endpoints fail together. before is the number that
// failed when the condition opened, 0 while it is not open: it closes when half
// of them are left.
//
// An endpoint counts when it turned bad within the window, with two failures,
// in a way that our own network can bring about: no status code, and no
// certificate but that of a CA that nobody knows.
func Outage(list []FleetEndpoint, now time.Time, before int) OutageVerdict {
	// What did not answer since it is watched did not turn bad: it may have been
	// dead for months. Only when nobody answers it is the network at our start.
	anyone := slices.ContainsFunc(list, func(e FleetEndpoint) bool { return e.answered() })
	v := failTogether(list, now, before, func(e *FleetEndpoint) bool { return e.network() && (!anyone || e.answered()) })
	if v.Open {
		v.Code = "outage"
		return v
	}
	v = failTogether(list, now, before, func(e *FleetEndpoint) bool { return e.Code == "unknown_ca" })
	if v.Open {
		v.Code = "tls_intercepted"
	}
	return v
}

// answered reports whether the endpoint had a good poll since it is watched.
func (e *FleetEndpoint) answered() bool { return !e.LastGood.IsZero() && !e.LastGood.Before(e.Watched) }

// network reports whether our own network can bring the failure about. A name
// that is gone can be a resolver that denies everything.
func (e *FleetEndpoint) network() bool {
	switch e.Phase {
	case "resolve", "dial", "timeout":
		return true
	case "tls":
		return e.Code == ""
	}
	return false
}

// window is how long after it turned bad an endpoint still counts.
func (e *FleetEndpoint) window() time.Duration { return max(2*e.Interval, outageWindow) }

// failTogether looks at the endpoints that fail in our way, sorted by time.
func failTogether(list []FleetEndpoint, now time.Time, before int, ours func(*FleetEndpoint) bool) OutageVerdict {
	var failing []*FleetEndpoint
	for i := range list {
		if e := &list[i]; e.Failures >= 2 && ours(e) {
			failing = append(failing, e)
		}
	}
	slices.SortFunc(failing, func(a, b *FleetEndpoint) int {
		return cmp.Or(a.FailingSince.Compare(b.FailingSince), strings.Compare(a.Name, b.Name))
	})
	if before > 0 {
		v := verdict(crowd(failing))
		v.Due, v.Open = len(list), 2*len(v.Failing) > before
		return v
	}
	return opening(list, failing, now)
}

// opening looks through each window that any of the failing has: an outage shows
// first among those that are polled often, and those that are polled daily must
// not outvote them.
func opening(list []FleetEndpoint, failing []*FleetEndpoint, now time.Time) OutageVerdict {
	best := OutageVerdict{Due: len(list)}
	for _, w := range windows(failing) {
		v := verdict(slices.DeleteFunc(slices.Clone(failing), func(e *FleetEndpoint) bool {
			ago := now.Sub(e.FailingSince)
			return ago < 0 || ago > min(w, e.window()) // before zero: the clock was set back, and it may be long ago
		}))
		v.Due = due(list, w)
		v.Open = len(v.Failing) >= max(outageLeast, (v.Due+outageShare-1)/outageShare) && v.sites >= outageLeast
		if v.Open && len(v.Failing) > len(best.Failing) {
			best = v
		}
	}
	return best
}

// windows are those of the endpoints, each once, the shortest first.
func windows(list []*FleetEndpoint) []time.Duration {
	var out []time.Duration
	for _, e := range list {
		out = append(out, e.window())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// due counts the endpoints that are due within a time: one with a longer
// interval is due in as large a part of all such times.
func due(list []FleetEndpoint, within time.Duration) int {
	n := 0.0
	for i := range list {
		if list[i].Interval <= within {
			n++
		} else {
			n += float64(within) / float64(list[i].Interval)
		}
	}
	return int(math.Ceil(n))
}

// crowd is the largest part of the failing that turned bad together: each within
// its own window after the first of them. While an outage is open this is who is
// still in it. Who was dead long before, or failed alone since, must not hold it
// open.
func crowd(failing []*FleetEndpoint) []*FleetEndpoint {
	classes := map[time.Duration][]*FleetEndpoint{}
	for _, e := range failing {
		classes[e.window()] = append(classes[e.window()], e)
	}
	after := func(list []*FleetEndpoint, t time.Time) int {
		i, _ := slices.BinarySearchFunc(list, t, func(e *FleetEndpoint, t time.Time) int { return e.FailingSince.Compare(t) })
		return i
	}
	most, first := 0, time.Time{}
	for _, e := range failing {
		n := 0
		for w, list := range classes {
			n += after(list, e.FailingSince.Add(w+1)) - after(list, e.FailingSince)
		}
		if n > most {
			most, first = n, e.FailingSince
		}
	}
	return slices.DeleteFunc(failing, func(e *FleetEndpoint) bool {
		return e.FailingSince.Before(first) || e.FailingSince.Sub(first) > e.window()
	})
}

// verdict counts the failing, who are in the order of time.
func verdict(failing []*FleetEndpoint) OutageVerdict {
	var v OutageVerdict
	hosts, sites := map[string]bool{}, map[string]bool{}
	for _, e := range failing {
		v.Failing = append(v.Failing, e.Name)
		hosts[e.Host], sites[e.Site] = true, true
	}
	if len(failing) > 0 {
		v.Since = failing[0].FailingSince
	}
	slices.Sort(v.Failing)
	v.Hosts, v.sites = len(hosts), len(sites)
	return v
}

// GapLimit is how long an endpoint may go without a good poll before that
// itself is told.
func GapLimit(tier string, interval time.Duration) time.Duration {
	if tier == "critical" {
		return max(gapIntervalsC*interval, gapLeastC)
	}
	return max(gapIntervals*interval, gapLeast)
}

// GapVerdict are endpoints that were not seen for longer than their limit.
type GapVerdict struct {
	Endpoints []FleetEndpoint // sorted by name
	Limit     time.Duration   // the shortest that was passed
}

// Gaps lists limits that were passed and of which told does not know yet. Many
// endpoints at once are one gap: the agent was blind, not they.
func Gaps(list []FleetEndpoint, now time.Time, told func(name string, lastGood time.Time) bool) []GapVerdict {
	var out []GapVerdict
	all := GapVerdict{}
	for _, e := range list {
		limit := GapLimit(e.Tier, e.Interval)
		since := e.LastGood
		if since.IsZero() {
			since = e.Watched
		}
		if now.Sub(since) <= limit || told(e.Name, e.LastGood) {
			continue
		}
		out = append(out, GapVerdict{[]FleetEndpoint{e}, limit})
		all.Endpoints = append(all.Endpoints, e)
		if all.Limit == 0 || limit < all.Limit {
			all.Limit = limit
		}
	}
	slices.SortFunc(all.Endpoints, func(a, b FleetEndpoint) int { return strings.Compare(a.Name, b.Name) })
	if len(out) > 1 && len(out)*gapShare > len(list) {
		return []GapVerdict{all}
	}
	return out
}
