package agent

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

const (
	// toAcknowledge is how long somebody may take to acknowledge what came in by a
	// window of a critical endpoint.
	toAcknowledge = 24 * time.Hour
	// openingsKept is how long a told opening is remembered: longer than anybody
	// who reports openings remembers them.
	openingsKept = 7 * 24 * time.Hour
	maxOpenings  = 65_536
)

// Opening is what came in while a change window of an endpoint was open.
type Opening struct {
	Endpoint, Window string
	From, Until      time.Time
	Changes          int
	Keys             []string // thumbprints of keys that came
	Critical         bool     // of an endpoint of tier critical
}

type openingTold struct {
	Until time.Time `json:"until"`
	// Done says that nothing is left to be said of it.
	Done bool `json:"done,omitempty"`
}

// Openings tells, when a window is over, what came in by it: once for each opening.
// Of a critical endpoint somebody must acknowledge it within a day. It is called
// again and again with the openings of the last days.
func (v *Voice) Openings(ctx context.Context, at time.Time, list []Opening) error {
	return v.say(ctx, at, func(m *memory) (words []word, store bool) {
		for _, o := range list {
			if at.Before(o.Until) || o.Changes == 0 || at.Sub(o.Until) > openingsKept {
				continue
			}
			key := fmt.Sprintf("%s %s %d", o.Endpoint, o.Window, o.From.Unix())
			told, was := m.Openings[key]
			switch {
			case !was:
				if len(m.Openings) >= maxOpenings {
					continue
				}
				if m.Openings == nil {
					m.Openings = map[string]openingTold{}
				}
				words = append(words, o.word(""))
				m.Openings[key] = openingTold{Until: o.Until, Done: !o.Critical || len(o.Keys) == 0}
			case told.Done:
			case m.accepts(&o):
				told.Done = true
				m.Openings[key] = told
				store = true
			case at.Sub(o.Until) >= toAcknowledge:
				words = append(words, o.word("unacknowledged"))
				told.Done = true
				m.Openings[key] = told
			}
		}
		for key, told := range m.Openings {
			if at.Sub(told.Until) > openingsKept {
				delete(m.Openings, key)
				store = true
			}
		}
		slices.SortStableFunc(words, func(a, b word) int {
			return cmp.Compare(a.details.(event.ApprovalDetails).ID, b.details.(event.ApprovalDetails).ID)
		})
		return words, store || len(words) > 0
	})
}

// accepts reports whether somebody approved every key that came, before or after.
func (m *memory) accepts(o *Opening) bool {
	return !slices.ContainsFunc(o.Keys, func(key string) bool {
		for _, a := range m.Approvals {
			if d := &a.Details; d.Endpoint == o.Endpoint && (d.Thumbprint != nil && *d.Thumbprint == key || slices.Contains(d.Keys, key)) {
				return false
			}
		}
		return true
	})
}

// word tells of the opening. When it was open stays unsaid: who reads the events
// must not learn when to come.
func (o *Opening) word(reason string) word {
	d := event.ApprovalDetails{
		Endpoint: o.Endpoint, Reason: "change window " + o.Window, By: "configuration", Source: fromWindow, Uses: o.Changes, Keys: o.Keys,
	}
	d.ID = "window:" + o.Window
	w := word{
		typ: event.ApprovalUsed, severity: event.SeverityInformational, verdict: event.Expected, details: d,
		message: short(fmt.Sprintf("%s: %s in the change window %s, %s new: %s", o.Endpoint, plural(o.Changes, "change"), o.Window, plural(len(o.Keys), "key"), "read the list")),
	}
	if reason != "" {
		w.base, w.severity, w.verdict, w.reasons = event.SeverityInformational, event.SeverityMedium, event.Unexpected, []string{reason}
		w.adjusted = []event.Adjustment{{Rule: "approval-used", Kind: "raise", To: event.SeverityMedium, Reason: reason}}
		w.message = short(fmt.Sprintf("%s: nobody acknowledged within a day the %s that came in the change window %s", o.Endpoint, plural(len(o.Keys), "key"), o.Window))
	}
	return w
}
