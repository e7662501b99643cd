package agent

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// drill is what makes a word a drill: an event of a real type that says of itself
// that nothing happened.
type drill struct {
	title string
	key   *event.Key
	id    string // of the event, once it is said
}

func (d *drill) mark(e *event.Event) {
	e.Data.Event.Drill = true
	e.Data.Key = d.key
	for i := range e.Data.Rules {
		e.Data.Rules[i].Title, e.Data.Rules[i].Severity = d.title, e.Data.Event.Severity
	}
	d.id = e.ID
}

// scenarios are the drills that there are, by name: that of the type with a hyphen.
func scenarios() map[string]word {
	seen := event.Confirmation{Attempts: 2, Agreed: 2, Addresses: []string{}}
	sum := sha256.Sum256([]byte("jwkswatch drill"))
	key := &event.Key{
		Kid: new("drill"), Thumbprint: new(base64.RawURLEncoding.EncodeToString(sum[:])), Kty: new("RSA"), Alg: new("RS256"), Use: new("sig"), Bits: new(2048),
	}
	return map[string]word{
		"key-mutated": {
			typ: event.KeyMutated, severity: event.SeverityCritical, verdict: event.Unexpected, message: "other key material under a known kid",
			details: event.KeyMutatedDetails{Class: "sig", Codes: []string{"new_material"}, Confirmation: seen}, drill: &drill{title: "Key material exchanged under a known kid", key: key},
		},
		"key-private": {
			typ: event.KeyPrivate, severity: event.SeverityCritical, verdict: event.Unexpected, message: "private key material is published",
			details: event.KeyPrivateDetails{Members: []string{"d"}, Pointers: []string{"/keys/0/d"}, Confirmation: seen}, drill: &drill{title: "Private key material is published", key: key},
		},
		"key-added": {
			typ: event.KeyAdded, severity: event.SeverityHigh, verdict: event.Unexpected, message: "a signing key that nobody announced",
			details: event.KeyAddedDetails{Class: "sig", Confirmation: seen}, drill: &drill{title: "A key was added", key: key},
		},
		"set-replaced": {
			typ: event.SetReplaced, severity: event.SeverityHigh, verdict: event.Unexpected, message: "no signing key survives",
			details: event.SetReplacedDetails{Before: 2, After: 2, Confirmation: seen}, drill: &drill{title: "All signing keys were replaced"},
		},
		"set-emptied": {
			typ: event.SetEmptied, severity: event.SeverityCritical, verdict: event.Unexpected, message: "the set holds no keys any more",
			details: event.SetEmptiedDetails{KnownKeys: 2, Confirmation: seen}, drill: &drill{title: "The set holds no keys any more"},
		},
	}
}

// Scenarios are the names of the drills, sorted.
func Scenarios() []string { return slices.Sorted(maps.Keys(scenarios())) }

// Scenario is the name of a drill as it may be written: with the type's dot, or a
// hyphen. ok is false when there is none.
func Scenario(text string) (name string, ok bool) {
	name = strings.NewReplacer(".", "-", "_", "-").Replace(text)
	_, ok = scenarios()[name]
	return name, ok
}

// Drill says an event that is marked as a drill, as if it were about the endpoint,
// and returns its id. It stands in the stream of the agent, passes every filter, and
// touches nothing that is remembered of the endpoint.
func (v *Voice) Drill(ctx context.Context, at time.Time, endpoint, scenario string) (id string, err error) {
	w, ok := scenarios()[scenario]
	if !ok {
		return "", fmt.Errorf("no drill is named %s", event.Text(scenario))
	}
	w.always = true
	w.message = short(fmt.Sprintf("DRILL: %s: %s; nothing happened, this is a test of the way to you", endpoint, w.message))
	w.reasons = []string{"drill"}
	err = v.say(ctx, at, func(m *memory) ([]word, bool) {
		m.LastDrill = at
		return []word{w}, true
	})
	return w.drill.id, err
}

// LastDrill returns when a drill was sent last, in this run or one before; the zero
// time when there was none.
func (v *Voice) LastDrill(ctx context.Context, now time.Time) (at time.Time, err error) {
	err = v.say(ctx, now, func(m *memory) ([]word, bool) {
		at = m.LastDrill
		return nil, false
	})
	return at, err
}

// Drilled says what became of a drill.
func (v *Voice) Drilled(ctx context.Context, at time.Time, d event.DrillDetails) error {
	var missed []string
	for _, s := range d.Sinks {
		if s.Outcome != "delivered" {
			missed = append(missed, s.Name)
		}
	}
	w := word{typ: event.DrillPassed, severity: event.SeverityInformational, verdict: event.Informational, details: d}
	text := fmt.Sprintf("a drill of %s (%s) arrived at %d of %s", d.Endpoint, d.Scenario, len(d.Sinks)-len(missed), plural(len(d.Sinks), "sink"))
	if missed != nil {
		w.typ, w.severity, w.verdict = event.DrillFailed, event.SeverityHigh, event.Unexpected
		text += ": an alert would not have arrived at " + strings.Join(missed, ", ")
	}
	w.message = short(text)
	return v.say(ctx, at, func(*memory) ([]word, bool) { return []word{w}, true })
}
