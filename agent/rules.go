package agent

import (
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// The rules that do not have the name of their type.
const (
	ruleUnclean = "agent-stopped-unclean"
	ruleShrinks = "agent-config-shrinks"
	ruleRefused = "agent-config-refused"
	ruleKey     = "agent-checkpoint-key"
)

// ruleOf is the built-in rule behind a word: each type has one of its own name,
// and some have one more for what is worse.
func ruleOf(w *word) event.Rule {
	r := event.Rule{ID: w.rule}
	if r.ID == "" {
		r.ID = strings.NewReplacer(".", "-", "_", "-").Replace(string(w.typ))
	}
	switch r.ID {
	case "agent-started":
		r.Title, r.Severity = "Watching begins", event.SeverityInformational
	case "agent-stopped":
		r.Title, r.Severity = "Watching ends", event.SeverityLow
	case ruleUnclean:
		r.Title, r.Severity = "A run did not end in order", event.SeverityMedium
	case "agent-heartbeat":
		r.Title, r.Severity = "The agent is alive", event.SeverityInformational
	case "agent-config-changed":
		r.Title, r.Severity = "Another configuration", event.SeverityLow
	case ruleShrinks:
		r.Title, r.Severity = "Less is watched than before", event.SeverityMedium
	case ruleRefused:
		r.Title, r.Severity = "A configuration was refused", event.SeverityMedium
	case "agent-degraded":
		r.Title, r.Severity = "The agent itself is in trouble", event.SeverityHigh
	case "drill-passed":
		r.Title, r.Severity = "A drill arrived at every sink", event.SeverityInformational
	case "drill-failed":
		r.Title, r.Severity = "A drill did not arrive at every sink", event.SeverityHigh
	case "agent-checkpoint":
		r.Title, r.Severity = "The heads of all streams are signed", event.SeverityInformational
	case ruleKey:
		r.Title, r.Severity = "Another key signs the checkpoints", event.SeverityHigh
	case "approval-granted":
		r.Title, r.Severity = "A change was announced or accepted", event.SeverityLow
	case "approval-revoked":
		r.Title, r.Severity = "An announced change was taken back", event.SeverityLow
	case "approval-used":
		r.Title, r.Severity = "What came in by a change window", event.SeverityInformational
	case "approval-expired":
		r.Title, r.Severity = "The time of an announced change is over", event.SeverityLow
	case "agent-gap":
		r.Title, r.Severity = "Endpoints were not seen for longer than their limit", event.SeverityMedium
	case "agent-state-lost":
		r.Title, r.Severity = "What the agent knew is gone", event.SeverityCritical
	case "agent-state-restored":
		r.Title, r.Severity = "The agent goes on with a backup", event.SeverityHigh
	case "agent-events-lost":
		r.Title, r.Severity = "Events were lost to a sink", event.SeverityHigh
	}
	return r
}

// standards maps a type to the public catalogues. A watcher that is stopped,
// blinded or told to look away is the impairing of a defence (T1562).
func standards(t event.Type) event.Standards {
	s := event.Standards{NISTCSF: []string{"DE.CM-06"}}
	switch t {
	case event.AgentStopped, event.AgentConfigChanged, event.AgentGap, event.AgentEventsLost:
		s.Attack = []string{"T1562"}
	case event.AgentStateLost, event.AgentStateRestored:
		s.Attack = []string{"T1070", "T1562"} // who takes the memory away removes traces too
	}
	return s
}
