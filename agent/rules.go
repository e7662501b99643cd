package agent

import (
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// ruleOf is the built-in rule behind a type: each has one.
func ruleOf(t event.Type) event.Rule {
	r := event.Rule{ID: strings.NewReplacer(".", "-", "_", "-").Replace(string(t))}
	switch t {
	case event.AgentStarted:
		r.Title, r.Severity = "Watching begins", event.SeverityInformational
	case event.AgentStopped:
		r.Title, r.Severity = "Watching ends", event.SeverityLow
	case event.AgentHeartbeat:
		r.Title, r.Severity = "The agent is alive", event.SeverityInformational
	case event.AgentConfigChanged:
		r.Title, r.Severity = "Another configuration", event.SeverityLow
	case event.AgentDegraded:
		r.Title, r.Severity = "The agent itself is in trouble", event.SeverityHigh
	case event.AgentGap:
		r.Title, r.Severity = "Endpoints were not seen for longer than their limit", event.SeverityMedium
	}
	return r
}

// standards maps a type to the public catalogues. A watcher that is stopped,
// blinded or told to look away is the impairing of a defence (T1562).
func standards(t event.Type) event.Standards {
	s := event.Standards{NISTCSF: []string{"DE.CM-06"}}
	switch t {
	case event.AgentStopped, event.AgentConfigChanged, event.AgentGap:
		s.Attack = []string{"T1562"}
	}
	return s
}
