package event

import "fmt"

// Type names what happened, as object.action. Types are added, never renamed.
type Type string

// The types of the two-snapshot and one-snapshot detections, and of the
// endpoint itself.
const (
	BaselineEstablished Type = "baseline.established"

	KeyAdded              Type = "key.added"
	KeyRemoved            Type = "key.removed"
	KeyMutated            Type = "key.mutated"
	KeyRelabelled         Type = "key.relabelled"
	KeyAltered            Type = "key.altered"
	KeyReencoded          Type = "key.reencoded"
	KeyCertificateChanged Type = "key.certificate_changed"
	KeyReappeared         Type = "key.reappeared"
	KeyKidReused          Type = "key.kid_reused"
	KeyPrivate            Type = "key.private"
	KeyUnparseable        Type = "key.unparseable"

	SetReplaced  Type = "set.replaced"
	SetEmptied   Type = "set.emptied"
	SetAmbiguous Type = "set.ambiguous"

	DocumentInvalid            Type = "document.invalid"
	EndpointUnreachable        Type = "endpoint.unreachable"
	EndpointDangling           Type = "endpoint.dangling"
	EndpointRedirected         Type = "endpoint.redirected"
	EndpointCertificateChanged Type = "endpoint.certificate_changed"
	EndpointTLSInvalid         Type = "endpoint.tls_invalid"
	EndpointCachePolicy        Type = "endpoint.cache_policy"
	EndpointContentType        Type = "endpoint.content_type"

	DiscoveryMoved          Type = "discovery.moved"
	DiscoveryIssuerMismatch Type = "discovery.issuer_mismatch"
	DiscoveryWeakened       Type = "discovery.weakened"
)

// The types that need more than two snapshots: history, mathematics, other
// endpoints, or a declaration.
const (
	KeyEphemeral          Type = "key.ephemeral"
	KeyCompromised        Type = "key.compromised"
	KeyWeak               Type = "key.weak"
	KeyShared             Type = "key.shared"
	KeyCertificateInvalid Type = "key.certificate_invalid"
	KeyOverage            Type = "key.overage"

	SetRolledBack      Type = "set.rolled_back"
	SetUnstable        Type = "set.unstable"
	SetSplit           Type = "set.split"
	SetBreaksVerifiers Type = "set.breaks_verifiers"
	SetOversized       Type = "set.oversized"
	SetNoSigningKeys   Type = "set.no_signing_keys"
	SetCountUnexpected Type = "set.count_unexpected"

	RotationNoOverlap      Type = "rotation.no_overlap"
	RotationCompleted      Type = "rotation.completed"
	RotationRemovedEarly   Type = "rotation.removed_early"
	RotationOffCadence     Type = "rotation.off_cadence"
	RotationOverdue        Type = "rotation.overdue"
	RotationMissed         Type = "rotation.missed"
	RotationApprovedChange Type = "rotation.approved_change"

	EndpointNoisy          Type = "endpoint.noisy"
	DiscoveryEndpointMoved Type = "discovery.endpoint_moved"
)

// The types of approvals: they stand in the stream AgentStream.
const (
	ApprovalGranted Type = "approval.granted"
	ApprovalRevoked Type = "approval.revoked"
	ApprovalExpired Type = "approval.expired"
	ApprovalUsed    Type = "approval.used"
)

// The types of the agent itself: they stand in the stream AgentStream.
const (
	AgentStarted       Type = "agent.started"
	AgentStopped       Type = "agent.stopped"
	AgentHeartbeat     Type = "agent.heartbeat"
	AgentConfigChanged Type = "agent.config_changed"
	AgentDegraded      Type = "agent.degraded"
	AgentGap           Type = "agent.gap"
	AgentEventsLost    Type = "agent.events_lost"
	AgentCheckpoint    Type = "agent.checkpoint"
	DrillPassed        Type = "drill.passed"
	DrillFailed        Type = "drill.failed"
	AgentStateLost     Type = "agent.state_lost"
	AgentStateRestored Type = "agent.state_restored"
)

// Types lists every type this version can publish, in the order of the
// catalogue.
func Types() []Type {
	return []Type{
		BaselineEstablished,
		KeyAdded, KeyRemoved, KeyMutated, KeyRelabelled, KeyAltered, KeyReencoded, KeyCertificateChanged,
		KeyReappeared, KeyKidReused, KeyEphemeral, KeyPrivate, KeyCompromised, KeyWeak, KeyShared,
		KeyCertificateInvalid, KeyUnparseable, KeyOverage,
		SetReplaced, SetEmptied, SetRolledBack, SetUnstable, SetSplit, SetAmbiguous, SetBreaksVerifiers,
		SetOversized, SetNoSigningKeys, SetCountUnexpected,
		RotationNoOverlap, RotationCompleted, RotationRemovedEarly, RotationOffCadence, RotationOverdue,
		RotationMissed, RotationApprovedChange,
		DocumentInvalid, EndpointUnreachable, EndpointDangling, EndpointRedirected, EndpointCertificateChanged,
		EndpointTLSInvalid, EndpointCachePolicy, EndpointContentType, EndpointNoisy,
		DiscoveryMoved, DiscoveryIssuerMismatch, DiscoveryWeakened, DiscoveryEndpointMoved,
		AgentStarted, AgentStopped, AgentHeartbeat, AgentConfigChanged, AgentDegraded, AgentGap,
		AgentEventsLost, AgentStateLost, AgentStateRestored, AgentCheckpoint, DrillPassed, DrillFailed,
		ApprovalGranted, ApprovalRevoked, ApprovalExpired, ApprovalUsed,
	}
}

// CloudEvent is the CloudEvents type attribute: jwkswatch.<type>.v1.
func (t Type) CloudEvent() string { return "jwkswatch." + string(t) + ".v1" }

// Severity orders events by urgency. The zero value is not a severity.
type Severity uint8

// The severities, with the numbers of OCSF's severity_id.
const (
	SeverityInformational Severity = 1
	SeverityLow           Severity = 2
	SeverityMedium        Severity = 3
	SeverityHigh          Severity = 4
	SeverityCritical      Severity = 5
)

var severityNames = [...]string{1: "informational", 2: "low", 3: "medium", 4: "high", 5: "critical"}

// String is the name used in events and subjects.
func (s Severity) String() string {
	if s < SeverityInformational || s > SeverityCritical {
		return fmt.Sprintf("severity(%d)", uint8(s))
	}
	return severityNames[s]
}

// MarshalText writes the name; a value that is no severity is an error.
func (s Severity) MarshalText() ([]byte, error) {
	if s < SeverityInformational || s > SeverityCritical {
		return nil, fmt.Errorf("event: %s", s)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads a name.
func (s *Severity) UnmarshalText(b []byte) error {
	for i, n := range severityNames {
		if n != "" && n == string(b) {
			*s = Severity(i)
			return nil
		}
	}
	return fmt.Errorf("event: unknown severity %q", b)
}
