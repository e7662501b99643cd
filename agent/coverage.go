package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// coverage is what is watched. It stands in the state, so that a restart with
// another configuration is told like a reload: who takes an endpoint away must
// not hide it behind a restart.
type coverage struct {
	Version   int               `json:"version"`
	Endpoints map[string]string `json:"endpoints"` // tier by name
	// Intervals are in milliseconds, by name. A state of an earlier program has none.
	Intervals map[string]int64 `json:"intervals,omitempty"`
	Sinks     []string         `json:"sinks"` // sorted
	// Posture is the configuration's own, JSON. A state of an earlier program has none.
	Posture json.RawMessage `json:"posture,omitempty"`
}

func (f *StartFacts) coverage() *coverage {
	c := &coverage{
		Version: memoryVersion, Endpoints: map[string]string{}, Intervals: map[string]int64{}, Sinks: slices.Sorted(slices.Values(f.Sinks)),
		Posture: f.Posture,
	}
	for _, e := range f.Endpoints {
		c.Endpoints[e.Name], c.Intervals[e.Name] = e.Tier, e.Interval.Milliseconds()
	}
	return c
}

// encode never fails: there are only texts.
func (c *coverage) encode() []byte {
	b, _ := json.Marshal(c)
	return b
}

// decodeCoverage returns nil for a state that has none yet.
func decodeCoverage(b []byte) (*coverage, error) {
	if len(b) == 0 {
		return nil, nil
	}
	c := &coverage{}
	if err := json.Unmarshal(b, c); err != nil {
		return nil, fmt.Errorf("what the agent watched before: %w", err)
	}
	return c, nil
}

// restarted tells of a start with another configuration than the run before, in
// the words of a reload.
func (c *coverage) restarted(now *coverage, f *StartFacts, before string) word {
	after := f.ConfigDigest
	if len(c.Posture) > 0 && f.Since != nil {
		if d, critical, err := f.Since(c.Posture); err == nil {
			d.Outcome, d.Trigger, d.DigestBefore, d.DigestAfter = "applied", "start", text(before), text(after)
			return changed(d, critical)
		}
	}
	d := event.AgentConfigChangedDetails{Outcome: "applied", Trigger: "start", DigestBefore: text(before), DigestAfter: text(after)}
	critical := false
	for _, name := range slices.Sorted(maps.Keys(c.Endpoints)) {
		was := c.Endpoints[name]
		if _, watched := now.Endpoints[name]; watched {
			c.compare(now, name, &d)
			continue
		}
		d.EndpointsRemoved = append(d.EndpointsRemoved, name)
		what := "endpoint " + name + " is removed"
		if was == "critical" {
			critical, what = true, "critical "+what
		}
		d.Shrinks = append(d.Shrinks, what)
	}
	for _, name := range slices.Sorted(maps.Keys(now.Endpoints)) {
		if _, was := c.Endpoints[name]; !was {
			d.EndpointsAdded = append(d.EndpointsAdded, name)
		}
	}
	for _, name := range c.Sinks {
		if !slices.Contains(now.Sinks, name) {
			d.SinksRemoved = append(d.SinksRemoved, name)
			d.Shrinks = append(d.Shrinks, "sink "+name+" is removed")
		}
	}
	for _, name := range now.Sinks {
		if !slices.Contains(c.Sinks, name) {
			d.SinksAdded = append(d.SinksAdded, name)
		}
	}
	slices.Sort(d.Shrinks) // critical endpoints first: the message has room for one
	return changed(d, critical)
}

// compare notes what of an endpoint is watched in another way.
func (c *coverage) compare(now *coverage, name string, d *event.AgentConfigChangedDetails) {
	was, is := c.Endpoints[name], now.Endpoints[name]
	often, rarely := c.Intervals[name], now.Intervals[name]
	if was == is && (often == 0 || often == rarely) {
		return
	}
	d.EndpointsChanged = append(d.EndpointsChanged, name)
	if rank(is) < rank(was) {
		d.Shrinks = append(d.Shrinks, fmt.Sprintf("endpoint %s: tier is lowered from %s to %s", name, was, is))
	}
	if often != 0 && rarely > often {
		d.Shrinks = append(d.Shrinks, fmt.Sprintf("endpoint %s: interval is raised from %s to %s", name, span(often), span(rarely)))
	}
}

func span(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }

func rank(tier string) int { return slices.Index([]string{"low", "standard", "critical"}, tier) }

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
