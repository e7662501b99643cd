package agent

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
)

// coverage is what is watched. It stands in the state, so that a restart with
// another configuration is told like a reload: who takes an endpoint away must
// not hide it behind a restart.
type coverage struct {
	Version   int               `json:"version"`
	Endpoints map[string]string `json:"endpoints"` // tier by name
	Sinks     []string          `json:"sinks"`     // sorted
}

func (f *StartFacts) coverage() *coverage {
	c := &coverage{Version: memoryVersion, Endpoints: map[string]string{}, Sinks: slices.Sorted(slices.Values(f.Sinks))}
	for _, e := range f.Endpoints {
		c.Endpoints[e.Name] = e.Tier
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

// restarted tells of a start with another configuration than the run before.
func (c *coverage) restarted(now *coverage, before, after string) word {
	d := event.AgentConfigChangedDetails{Outcome: "applied", Trigger: "start", DigestBefore: text(before), DigestAfter: text(after)}
	critical := false
	for _, name := range slices.Sorted(maps.Keys(c.Endpoints)) {
		tier, watched := now.Endpoints[name]
		switch was := c.Endpoints[name]; {
		case !watched:
			d.EndpointsRemoved = append(d.EndpointsRemoved, name)
			d.Shrinks = append(d.Shrinks, "endpoint "+name+" is not watched any more")
			critical = critical || was == "critical"
		case tier != was:
			d.EndpointsChanged = append(d.EndpointsChanged, name)
			if rank(tier) < rank(was) {
				d.Shrinks = append(d.Shrinks, fmt.Sprintf("endpoint %s: tier %s instead of %s", name, tier, was))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(now.Endpoints)) {
		if _, was := c.Endpoints[name]; !was {
			d.EndpointsAdded = append(d.EndpointsAdded, name)
		}
	}
	for _, name := range c.Sinks {
		if !slices.Contains(now.Sinks, name) {
			d.SinksRemoved = append(d.SinksRemoved, name)
			d.Shrinks = append(d.Shrinks, "sink "+name+" gets nothing any more")
		}
	}
	for _, name := range now.Sinks {
		if !slices.Contains(c.Sinks, name) {
			d.SinksAdded = append(d.SinksAdded, name)
		}
	}
	return changed(d, critical)
}

func rank(tier string) int { return slices.Index([]string{"low", "standard", "critical"}, tier) }

func text(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
