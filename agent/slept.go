package agent

import (
	"context"
	"time"

	"github.com/jwkswatch/jwkswatch/rules"
)

// A machine that sleeps stops the clock that timers follow (CLOCK_MONOTONIC), so
// polls go on afterwards where they were, and by their own count none was missed.
// How long it slept is known from the clock that goes on meanwhile
// (CLOCK_BOOTTIME). A virtual machine that its host pauses has neither: there the
// clock jumps, and that is told.

// slept is how long the machine slept since the last tick.
func (o *Overseer) slept() time.Duration {
	if o.Slept == nil {
		return 0
	}
	all := o.Slept()
	d := all - o.asleep
	o.asleep = all
	return max(0, d)
}

// suspended tells of endpoints that nobody saw for longer than their limit because
// the machine slept. It is noted at once: a moment later the polls go on, and the
// gap would not show any more.
func (o *Overseer) suspended(ctx context.Context, fleet []rules.FleetEndpoint, slept time.Duration, wall time.Time) error {
	if slept > 0 {
		g := gap{cause: "suspended", total: len(fleet)}
		for i := range fleet {
			e := &fleet[i]
			if limit := rules.GapLimit(e.Tier, e.Interval); slept > limit && !e.LastGood.IsZero() {
				g.add(e.Name, e.LastGood, limit)
			}
		}
		if len(g.endpoints) > 0 {
			o.overslept = &g // one that could not be told yet is part of it
		}
	}
	if o.overslept == nil {
		return nil
	}
	err := o.Voice.say(ctx, wall, func(m *memory) ([]word, bool) { return []word{o.overslept.word(m, wall)}, true })
	if err == nil {
		o.overslept = nil
	}
	return err
}

// dated brings last good polls back that the clock has not reached: it was set
// back since, and a gap would stay hidden until it comes by them again. They count
// as of the moment when that was seen.
func (o *Overseer) dated(fleet []rules.FleetEndpoint, wall time.Time) []rules.FleetEndpoint {
	if wall.Before(o.back) || o.back.IsZero() {
		o.back = wall
	}
	out := fleet
	for i := range fleet {
		e := &fleet[i]
		if !e.LastGood.After(wall) && !e.Watched.After(wall) {
			continue
		}
		if &out[0] == &fleet[0] {
			out = append([]rules.FleetEndpoint(nil), fleet...)
		}
		if e.LastGood.After(wall) {
			out[i].LastGood = o.back
		}
		if e.Watched.After(wall) {
			out[i].Watched = o.back
		}
	}
	return out
}
