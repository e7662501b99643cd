package agent

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

const (
	settling    = 10 * time.Minute // after a start, within which endpoints are polled for the first time
	gapShare    = 5                // more than one in so many not seen is one gap of the agent
	gapSingle   = 8                // events of one tick; more become one
	gapTogether = 10 * time.Minute // the longest that a gap of many waits for the rest of them
)

// outage tells when endpoints fail together: more likely our own network than
// theirs.
func (o *Overseer) outage(ctx context.Context, fleet []rules.FleetEndpoint, mono, wall time.Time) error {
	var degraded bool
	var failing int
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		open := m.find("outage", "")
		if open == nil {
			open = m.find("tls_intercepted", "")
		}
		before := o.owed
		if open != nil {
			before = max(open.Count, 1)
		}
		v := rules.Outage(fleet, wall, before)
		failing = len(v.Failing)
		degraded = v.Open || open != nil && o.undecided(fleet, before, mono)
		switch {
		case degraded && open == nil:
			what := "many endpoints fail together"
			if v.Code != "outage" {
				what = "many endpoints show a certificate of a CA that is not trusted"
			}
			return []word{opens(m, wall, condition{Code: v.Code, Count: len(v.Failing)},
				fmt.Sprintf("%s: %d of %d on %s, since %s; more likely our own network than theirs",
					what, len(v.Failing), v.Due, plural(v.Hosts, "host"), clock(v.Since)),
				event.AgentDegradedDetails{
					Failing: len(v.Failing), Due: v.Due, Hosts: v.Hosts, Since: event.AtOrNil(v.Since),
					Endpoints: v.Failing[:min(len(v.Failing), maxListed)],
				})}, true
		case !degraded && open != nil:
			return []word{closes(m, wall, open, "endpoints do not fail together any more; what changed meanwhile has an uncertain time")}, true
		}
		return nil, false
	})
	if err != nil {
		// Who failed then still counts when the state can be written again.
		if degraded && o.owed == 0 {
			o.owed = failing
		}
		return err
	}
	o.owed = 0
	o.Degraded(degraded)
	return nil
}

// undecided reports whether it is too early to say that an outage is over. Rows
// of failures do not outlive a restart: what was not polled since has neither
// failed nor answered.
func (o *Overseer) undecided(fleet []rules.FleetEndpoint, before int, mono time.Time) bool {
	if mono.Sub(o.started) >= settling {
		return false
	}
	open, failing := 0, 0
	for i := range fleet {
		switch e := &fleet[i]; {
		case e.Failures >= 2:
			failing++
		case e.LastGood.Before(e.Watched):
			open++
		}
	}
	return open > 0 && 2*(open+failing) > before
}

// gaps tells of endpoints that were not seen for longer than their limit. When
// many are missing their limits pass one after the other, for an interval: that
// is waited for, since it is one gap, of the agent.
func (o *Overseer) gaps(ctx context.Context, fleet []rules.FleetEndpoint, mono, wall time.Time) error {
	together, waits := missing(fleet, wall), false
	judged := o.steady(fleet, mono)
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) {
		list := rules.Gaps(judged, wall, m.told)
		if len(list) == 0 {
			return nil, false
		}
		if waits = together && o.gathers(list, mono); waits {
			return nil, false
		}
		forget(m, fleet)
		if together || len(list) > gapSingle {
			list = []rules.GapVerdict{joined(list)}
		}
		var words []word
		for _, v := range list {
			g := gap{cause: "unreachable", total: len(fleet)}
			for _, e := range v.Endpoints {
				g.add(e.Name, e.LastGood, v.Limit)
			}
			words = append(words, g.word(m, wall))
		}
		return words, true
	})
	switch {
	case err != nil:
	case !waits:
		o.gathering = time.Time{}
	case o.gathering.IsZero():
		o.gathering = mono
	}
	return err
}

// missing reports whether so many endpoints miss their polls that it is one gap.
func missing(fleet []rules.FleetEndpoint, wall time.Time) bool {
	n := 0
	for i := range fleet {
		if wall.Sub(seen(&fleet[i])) > 2*fleet[i].Interval {
			n++
		}
	}
	return n > 1 && n*gapShare > len(fleet)
}

// seen is the last good poll, or since when one is waited for.
func seen(e *rules.FleetEndpoint) time.Time {
	if e.LastGood.IsZero() {
		return e.Watched
	}
	return e.LastGood
}

// gathers reports whether the limits of more endpoints are about to pass.
func (o *Overseer) gathers(list []rules.GapVerdict, mono time.Time) bool {
	if o.gathering.IsZero() {
		return true
	}
	var interval time.Duration
	for _, v := range list {
		for i := range v.Endpoints {
			interval = max(interval, v.Endpoints[i].Interval)
		}
	}
	return mono.Sub(o.gathering) < min(interval, gapTogether)
}

func joined(list []rules.GapVerdict) rules.GapVerdict {
	all := rules.GapVerdict{Limit: list[0].Limit}
	for _, v := range list {
		all.Endpoints = append(all.Endpoints, v.Endpoints...)
		all.Limit = min(all.Limit, v.Limit)
	}
	return all
}

// steady leaves out endpoints while less than their limit has passed since the
// clock jumped: by the clock of their last good poll there may be no gap.
func (o *Overseer) steady(fleet []rules.FleetEndpoint, mono time.Time) []rules.FleetEndpoint {
	if o.jumped.IsZero() {
		return fleet
	}
	since := mono.Sub(o.jumped)
	late := func(e rules.FleetEndpoint) bool { return since < rules.GapLimit(e.Tier, e.Interval) }
	if !slices.ContainsFunc(fleet, late) {
		return fleet
	}
	return slices.DeleteFunc(slices.Clone(fleet), late)
}

// forget drops what was told of endpoints that were seen again or are gone.
func forget(m *memory, fleet []rules.FleetEndpoint) {
	last := make(map[string]time.Time, len(fleet))
	for i := range fleet {
		last[fleet[i].Name] = fleet[i].LastGood
	}
	m.own()
	for name, at := range m.Gaps {
		if good, watched := last[name]; !watched || good.After(at) {
			delete(m.Gaps, name)
		}
	}
}
