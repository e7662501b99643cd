package event_test

import (
	"crypto/sha256"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// agentSamples are those of what the agent says of itself.
func agentSamples(add func(string, event.Event)) {
	add(string(event.AgentStarted), agentStarted())
	add(string(event.AgentStopped), agentStopped())
	add(string(event.AgentHeartbeat), agentHeartbeat())
	add(string(event.AgentConfigChanged), agentConfigChanged())
	add(string(event.AgentConfigChanged)+".refused", agentConfigRefused())
	add(string(event.AgentDegraded), agentDegraded())
	add(string(event.AgentDegraded)+".closed", agentClosed(agentDegraded(),
		"many endpoints fail together: over after 31 minutes; what changed meanwhile has an uncertain time"))
	add(string(event.AgentGap), agentGap())
	add(string(event.AgentEventsLost), agentEventsLost())
	add(string(event.AgentCheckpoint), agentCheckpoint())
	for _, typ := range []event.Type{event.DrillPassed, event.DrillFailed} {
		add(string(typ), drillEnded(typ))
	}
	add(string(event.AgentStateLost), agentStateLost())
	add(string(event.AgentStateRestored), agentStateRestored())
}

// said is what all events of the agent have in common: no endpoint, no key, and
// the stream _agent.
func said(t event.Type, s event.Severity, v event.Verdict, message string, details any) event.Event {
	id := identifier()
	rule := strings.NewReplacer(".", "-", "_", "-").Replace(string(t))
	none := [sha256.Size]byte{}
	return event.Event{
		ID:     id.Event(event.AgentStream, 7, none, none, t, event.AgentStream, 0),
		Source: event.Source("soc-1", event.AgentStream), Subject: event.AgentStream, Time: now(),
		Data: event.Data{
			Event: event.Facts{
				Type: t, Severity: s, Verdict: v, Message: message, Confirmed: true,
				ChangeSet: &event.ChangeSet{ID: id.ChangeSet(event.AgentStream, 7, none, none), Total: 1},
			},
			Rules:     []event.Rule{{ID: rule, Title: "Built-in rule of " + string(t), Severity: s}},
			Judgement: event.Judgement{BaseSeverity: s},
			Details:   details,
			Standards: event.Standards{NISTCSF: []string{"DE.CM-06"}},
			Observer: event.Observer{
				Name: "soc-1", Vantage: new("eu-central"), Version: "1.0.0",
				ConfigDigest: digest("configuration"), RulesDigest: digest("rules"),
			},
			Integrity: event.Integrity{
				Stream: event.AgentStream, Epoch: id.Epoch, Sequence: 7, Previous: new(digest("event 6 of the agent")),
			},
		},
	}
}

func agentStarted() event.Event {
	return said(event.AgentStarted, event.SeverityInformational, event.Informational,
		"watching 42 endpoints from now on; nobody watched for 3 minutes",
		event.AgentStartedDetails{
			Endpoints: 42, Sinks: 2, LastAlive: new(at("2026-11-22 18:46:03.000")), BlindS: new(int64(180)), Clean: new(true),
		})
}

func agentStopped() event.Event {
	e := said(event.AgentStopped, event.SeverityMedium, event.Unexpected,
		"the run before did not end in order: nobody watched for 41 minutes, since 18:08 UTC",
		event.AgentStoppedDetails{
			Reason: "unclean", StartedAt: new(at("2026-11-20 08:00:00.000")), UptimeS: 209283,
			LastAlive: new(at("2026-11-22 18:08:03.000")), BlindS: new(int64(2460)),
		})
	e.Data.Event.Reasons, e.Data.Rules[0].ID = []string{"unclean"}, "agent-stopped-unclean"
	return e
}

func agentHeartbeat() event.Event {
	id := identifier()
	return said(event.AgentHeartbeat, event.SeverityInformational, event.Informational,
		"watching 42 endpoints: 41 good, 1 failing; the next word comes in a minute",
		event.AgentHeartbeatDetails{
			UptimeS: 209283, PeriodS: 60, Endpoints: event.HeartbeatFleet{Total: 42, Good: 41, Failing: 1, Blind: 1},
			Polls: 146496, Failed: 36, LagMS: 12,
			Sinks: []event.HeartbeatSink{{Name: "siem", Connected: true}, {Name: "stdout", Connected: true, Pending: 3, OldestS: 2}},
			Heads: []event.HeartbeatHead{
				{Stream: "_agent", Epoch: id.Epoch, Sequence: 6, Hash: digest("event 6 of the agent")},
				{Stream: "corp-idp", Epoch: id.Epoch, Sequence: 41, Hash: digest("event 41 of corp-idp")},
			},
			HeadsTotal: 2, HeadsChanged: 1, HeadsDigest: digest("heads"), StateBytes: 1 << 20,
		})
}

func agentConfigChanged() event.Event {
	e := said(event.AgentConfigChanged, event.SeverityMedium, event.Informational,
		"another configuration is in use (file): 1 endpoint added, 1 removed; endpoint old-idp is removed",
		event.AgentConfigChangedDetails{
			Outcome: "applied", Trigger: "file", DigestBefore: new(digest("configuration before")), DigestAfter: new(digest("configuration")),
			EndpointsAdded: []string{"new-idp"}, EndpointsRemoved: []string{"old-idp"},
			Shrinks: []string{"endpoint old-idp is removed"},
		})
	e.Data.Event.Reasons, e.Data.Rules[0].ID = []string{"coverage_shrinks"}, "agent-config-shrinks"
	return e
}

func agentConfigRefused() event.Event {
	e := said(event.AgentConfigChanged, event.SeverityMedium, event.Unexpected,
		"a configuration was refused (signal): 1 problem; the old one stays in use",
		event.AgentConfigChangedDetails{
			Outcome: "refused", Trigger: "signal", DigestBefore: new(digest("configuration")),
			Problems: []string{`jwkswatch.yaml:7:5: unknown key "jwks_url" in endpoint; did you mean "jwks_uri"?`},
		})
	e.Data.Event.Reasons, e.Data.Rules[0].ID = []string{"refused"}, "agent-config-refused"
	return e
}

func agentDegraded() event.Event {
	e := said(event.AgentDegraded, event.SeverityHigh, event.Unexpected,
		"many endpoints fail together: 12 of 42 on 9 hosts, since 18:47 UTC; more likely our own network than theirs",
		event.AgentDegradedDetails{
			Code: "outage", Failing: 12, Due: 42, Hosts: 9, Endpoints: []string{"corp-idp", "partner-keys"},
			Since: new(at("2026-11-22 18:47:03.000")),
		})
	e.Data.Event.Condition = &event.Condition{
		ID: identifier().Condition(event.AgentStream, 7, event.AgentDegraded, event.AgentStream, 0), State: event.Open, OpenedAt: e.Time, OpenedBy: e.ID,
	}
	return e
}

func agentClosed(e event.Event, message string) event.Event {
	f := &e.Data.Event
	f.Condition.State = event.Closed
	e.Time = at("2026-11-22 19:20:03.390")
	none := [sha256.Size]byte{}
	e.ID = identifier().Event(event.AgentStream, 8, none, none, f.Type, e.Subject, 0)
	f.ChangeSet.ID = identifier().ChangeSet(event.AgentStream, 8, none, none)
	f.Severity, f.Verdict, f.Message = event.SeverityInformational, event.Informational, message
	f.Reasons = []string{"condition_closed"}
	e.Data.Judgement = event.Judgement{BaseSeverity: event.SeverityInformational}
	e.Data.Integrity.Sequence, e.Data.Integrity.Previous = 8, new(digest("event 7 of the agent"))
	return e
}

func agentGap() event.Event {
	return said(event.AgentGap, event.SeverityMedium, event.Unexpected,
		"partner-keys was not seen for over an hour, since 17:43 UTC; a change may hide in it",
		event.AgentGapDetails{
			Cause: "unreachable", Total: 42, Count: 1, LimitS: 3600,
			Endpoints: []event.GapEndpoint{{Name: "partner-keys", LastGood: new(at("2026-11-22 17:43:01.040"))}},
		})
}

func agentEventsLost() event.Event {
	e := said(event.AgentEventsLost, event.SeverityHigh, event.Unexpected,
		"sink siem has lost 41 events that it had acknowledged, of 17:43 UTC and later; they are sent again",
		event.AgentEventsLostDetails{
			Sink: "siem", Cause: "receiver_lost", Count: 41, Resent: true,
			Since: new(at("2026-11-22 17:43:01.040")), Until: new(at("2026-11-22 18:47:03.000")),
			First: new("jw1-aaaaaaaaaaaaaaaaaaaaaaaaaa"), Last: new("jw1-bbbbbbbbbbbbbbbbbbbbbbbbbb"),
		})
	e.Data.Event.Reasons = []string{"receiver_lost"}
	return e
}

func agentCheckpoint() event.Event {
	return said(event.AgentCheckpoint, event.SeverityInformational, event.Informational,
		"the heads of 2 streams are signed; jwkswatch verify holds exported events against it",
		event.AgentCheckpointDetails{
			JWS: "eyJhbGciOiJFZERTQSJ9.eyJ2IjoxfQ.c2lnbmF0dXJl", Key: thumb("checkpoints"), Digest: digest("heads"), Total: 3, Changed: 2, Part: 1, Parts: 1,
		})
}

func agentStateLost() event.Event {
	e := said(event.AgentStateLost, event.SeverityCritical, event.Unexpected,
		"the state is gone, known until 2026-11-22 18:46 UTC: all endpoints begin a new baseline; what changed before will not be told",
		event.AgentStateDetails{
			Reason:     "lost",
			KnownEpoch: new(strings.Repeat("4f", 16)), KnownSequence: new(uint64(209)), KnownAt: new(at("2026-11-22 18:46:03.000")),
			EventsMissing: new(uint64(1204)),
		})
	e.Data.Event.Reasons = []string{"lost"}
	e.Data.Standards.Attack = []string{"T1070", "T1562"}
	return e
}

func agentStateRestored() event.Event {
	e := said(event.AgentStateRestored, event.SeverityHigh, event.Unexpected,
		"the state was damaged; the agent goes on with a backup of 2026-11-22 03:00 UTC: 41 events are missing; changes since then are told late",
		event.AgentStateDetails{
			Reason: "damaged", Backup: new("jwkswatch.db.backup-20261122T030003Z"),
			KnownEpoch: new(strings.Repeat("4f", 16)), KnownSequence: new(uint64(209)), KnownAt: new(at("2026-11-22 18:46:03.000")),
			FoundEpoch: new(strings.Repeat("4f", 16)), FoundSequence: new(uint64(168)), FoundAt: new(at("2026-11-22 03:00:03.000")),
			EventsMissing: new(uint64(41)), MissingS: new(int64(56760)),
			Aside: new("jwkswatch.db.damaged-20261122T184903Z"), Error: new("state: stored value is damaged: page 7: says it is page 9"),
		})
	e.Data.Event.Reasons = []string{"damaged"}
	e.Data.Standards.Attack = []string{"T1070", "T1562"}
	return e
}

func drillEnded(typ event.Type) event.Event {
	d := event.DrillDetails{
		Drill: "jw1-aaaaaaaaaaaaaaaaaaaaaaaaaa", Scenario: "key-mutated", Endpoint: "corp-idp",
		Sinks: []event.DrillOutcome{{Name: "stdout", Outcome: "delivered", LatencyMS: new(int64(2))}},
	}
	if typ == event.DrillPassed {
		return said(typ, event.SeverityInformational, event.Informational, "a drill of corp-idp (key-mutated) arrived at 1 of 1 sink", d)
	}
	d.Scheduled = true
	d.Sinks = append(d.Sinks, event.DrillOutcome{Name: "siem", Outcome: "pending"})
	return said(typ, event.SeverityHigh, event.Unexpected, "a drill of corp-idp (key-mutated) arrived at 1 of 2 sinks: an alert would not have arrived at siem", d)
}
