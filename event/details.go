package event

// Confirmation says how often a claim was looked at and how often it was seen.
type Confirmation struct {
	Attempts  int      `json:"attempts"`  // complete answers that were asked
	Agreed    int      `json:"agreed"`    // of them, those that showed it
	Addresses []string `json:"addresses"` // remote addresses that answered
}

// The details of each type. A type always has the same struct.
type (
	// BaselineDetails belongs to baseline.established.
	BaselineDetails struct {
		Reason       string       `json:"reason"` // first_sight, url_changed
		Keys         int          `json:"keys"`
		SigningKeys  int          `json:"signing_keys"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyAddedDetails belongs to key.added.
	KeyAddedDetails struct {
		Class        string       `json:"class"` // sig, enc, ca, other or none
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyRemovedDetails belongs to key.removed.
	KeyRemovedDetails struct {
		Class        string       `json:"class"`
		TrustedUntil *Time        `json:"trusted_until"` // until when well-behaved caches may still trust it
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyMutatedDetails belongs to key.mutated. Codes: new_material, rebound
	// (seen here under another kid), added_beside (the old material still
	// stands under the same kid).
	KeyMutatedDetails struct {
		Class        string       `json:"class"`
		Codes        []string     `json:"codes"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyRelabelledDetails belongs to key.relabelled.
	KeyRelabelledDetails struct {
		KidsBefore   []string     `json:"kids_before"`
		KidsAfter    []string     `json:"kids_after"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyAlteredDetails belongs to key.altered; change has the fields.
	KeyAlteredDetails struct {
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyReencodedDetails belongs to key.reencoded. Empty lists: written as
	// RFC 7518 says.
	KeyReencodedDetails struct {
		EncodingBefore []string     `json:"encoding_before"`
		EncodingAfter  []string     `json:"encoding_after"`
		Confirmation   Confirmation `json:"confirmation"`
	}
	// KeyCertificateChangedDetails belongs to key.certificate_changed.
	KeyCertificateChangedDetails struct {
		Before       *string      `json:"before"` // sha256:<hex> over x5c and x5t; null when there were none
		After        *string      `json:"after"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyReappearedDetails belongs to key.reappeared.
	KeyReappearedDetails struct {
		AbsentS      int64        `json:"absent_s"` // seconds surely absent
		PublishedS   int64        `json:"published_s"`
		Retired      bool         `json:"retired"` // published 7 d or longer, then absent 7 d or longer
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyKidReusedDetails belongs to key.kid_reused. Codes as in key.mutated.
	KeyKidReusedDetails struct {
		AbsentS      int64        `json:"absent_s"` // since the kid was last published
		Codes        []string     `json:"codes"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyPrivateDetails belongs to key.private: names of members, never values.
	KeyPrivateDetails struct {
		Members      []string     `json:"members"`
		Pointers     []string     `json:"pointers"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyUnparseableDetails belongs to key.unparseable.
	KeyUnparseableDetails struct {
		Codes        []string     `json:"codes"`
		Pointers     []string     `json:"pointers"`
		RawDigest    *string      `json:"raw_digest"` // sha256:<hex> of the redacted entry; null for symmetric keys
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetReplacedDetails belongs to set.replaced. Counts are of signing keys.
	SetReplacedDetails struct {
		Before       int          `json:"before"`
		After        int          `json:"after"`
		Mutated      int          `json:"mutated"` // of them, exchanged under the same kid
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetEmptiedDetails belongs to set.emptied.
	SetEmptiedDetails struct {
		KnownKeys    int          `json:"known_keys"` // that stay the baseline
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetAmbiguousDetails belongs to set.ambiguous. Code is a defect code of
	// the parser.
	SetAmbiguousDetails struct {
		Code         string       `json:"code"`
		Kid          *string      `json:"kid"`
		Keys         int          `json:"keys"` // entries concerned
		Pointers     []string     `json:"pointers"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// DocumentInvalidDetails belongs to document.invalid.
	DocumentInvalidDetails struct {
		Shape        string       `json:"shape"`
		Reason       string       `json:"reason"`
		Offset       int64        `json:"offset"` // octets into the body
		Confirmation Confirmation `json:"confirmation"`
	}
	// EndpointUnreachableDetails belongs to endpoint.unreachable. Codes: blocked
	// (HTTP 401, 403 or 429 each time), intermittent (a fifth of the last 50 polls
	// failed), prolonged (an hour, of tier critical).
	EndpointUnreachableDetails struct {
		Codes    []string `json:"codes"`
		Phase    string   `json:"phase"`
		Failures int      `json:"failures"`
		Since    *Time    `json:"since"`     // first failure of the row
		LastGood *Time    `json:"last_good"` // last poll that was good
	}
)

// The details of what was seen on the way to a document. Text of the issuer in
// them is masked where it is a URL, and cleaned as all text is.
type (
	// EndpointDanglingDetails belongs to endpoint.dangling.
	EndpointDanglingDetails struct {
		Code     string  `json:"code"` // nxdomain, alias_nxdomain, provider_default
		Host     string  `json:"host"`
		Target   *string `json:"target"`   // the name that is gone behind an alias, or the domain of the platform
		Failures int     `json:"failures"` // in a row
		Since    *Time   `json:"since"`
		LastGood *Time   `json:"last_good"`
	}
	// EndpointRedirectedDetails belongs to endpoint.redirected.
	EndpointRedirectedDetails struct {
		Status       int          `json:"status"`
		Location     *string      `json:"location"` // masked; null when the answer named none
		CrossHost    bool         `json:"cross_host"`
		Downgrade    bool         `json:"downgrade"` // https to http
		Confirmation Confirmation `json:"confirmation"`
	}
	// EndpointCertificateChangedDetails belongs to endpoint.certificate_changed.
	EndpointCertificateChangedDetails struct {
		SPKIBefore     *string      `json:"spki_before"` // hex of SHA-256
		SPKIAfter      *string      `json:"spki_after"`
		IssuerBefore   *string      `json:"issuer_before"` // RFC 2253 form
		IssuerAfter    *string      `json:"issuer_after"`
		NotAfterBefore *Time        `json:"not_after_before"`
		NotAfterAfter  *Time        `json:"not_after_after"`
		NewIssuer      bool         `json:"new_issuer"`  // never seen at this endpoint
		InRenewal      bool         `json:"in_renewal"`  // the old certificate was near its end
		KeyChanged     bool         `json:"key_changed"` // the key set changed within an hour
		Confirmation   Confirmation `json:"confirmation"`
	}
	// EndpointTLSInvalidDetails belongs to endpoint.tls_invalid. Codes: expired,
	// not_yet_valid, wrong_name, unknown_ca, pin_mismatch.
	EndpointTLSInvalidDetails struct {
		Code       string  `json:"code"`
		LeafSPKI   *string `json:"leaf_spki_sha256"` // hex; null when no certificate was seen
		LeafIssuer *string `json:"leaf_issuer"`
		NotAfter   *Time   `json:"not_after"`
		Failures   int     `json:"failures"` // in a row
		Since      *Time   `json:"since"`
		LastGood   *Time   `json:"last_good"`
	}
	// EndpointCachePolicyDetails belongs to endpoint.cache_policy. Codes:
	// long_max_age (over a day), age_beyond_max_age, exceeds_overlap (caches keep
	// the set for longer than an old and a new key stand together).
	EndpointCachePolicyDetails struct {
		Code         string       `json:"code"`
		CacheControl *string      `json:"cache_control"`
		MaxAgeS      *int64       `json:"max_age_s"`
		AgeS         *int64       `json:"age_s"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// EndpointContentTypeDetails belongs to endpoint.content_type.
	EndpointContentTypeDetails struct {
		ContentType  *string      `json:"content_type"` // null when the answer named none
		Confirmation Confirmation `json:"confirmation"`
	}
	// DiscoveryMovedDetails belongs to discovery.moved. Codes: same_host,
	// other_host, other_domain, documents_disagree (of OpenID Connect and of RFC
	// 8414: before is what is watched, after what the other one names).
	DiscoveryMovedDetails struct {
		Code         string       `json:"code"`
		Document     string       `json:"document"` // URL of the discovery document
		Before       *string      `json:"before"`   // jwks_uri, masked
		After        *string      `json:"after"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// DiscoveryIssuerMismatchDetails belongs to discovery.issuer_mismatch. Codes:
	// trailing_slash, different.
	DiscoveryIssuerMismatchDetails struct {
		Code         string       `json:"code"`
		Document     string       `json:"document"`
		Configured   string       `json:"configured"`
		Published    *string      `json:"published"` // null when the document names none
		Confirmation Confirmation `json:"confirmation"`
	}
	// DiscoveryWeakenedDetails belongs to discovery.weakened. Codes:
	// none_advertised, hmac_advertised, signed_metadata_dropped, pkce_dropped.
	DiscoveryWeakenedDetails struct {
		Codes        []string     `json:"codes"`
		Document     string       `json:"document"`
		Algs         []string     `json:"algs"` // that are newly advertised
		Confirmation Confirmation `json:"confirmation"`
	}
)

// The details of what the agent says of itself.
type (
	// AgentStartedDetails belongs to agent.started.
	AgentStartedDetails struct {
		NewState  bool   `json:"new_state"` // the state was made by this start
		Endpoints int    `json:"endpoints"`
		Sinks     int    `json:"sinks"`
		LastAlive *Time  `json:"last_alive"` // when the state was last written before; null for a new state
		BlindS    *int64 `json:"blind_s"`    // seconds from then to this start
		Clean     *bool  `json:"clean"`      // whether the run before ended in order
	}
	// AgentStoppedDetails belongs to agent.stopped. Of a run that did not end in
	// order the next run tells, with clean false.
	AgentStoppedDetails struct {
		Clean     bool   `json:"clean"`
		Reason    string `json:"reason"` // signal, error, unclean
		StartedAt *Time  `json:"started_at"`
		UptimeS   int64  `json:"uptime_s"`
		LastAlive *Time  `json:"last_alive"`
		BlindS    *int64 `json:"blind_s"` // known when the next run tells
	}
	// AgentHeartbeatDetails belongs to agent.heartbeat.
	AgentHeartbeatDetails struct {
		UptimeS   int64           `json:"uptime_s"`
		PeriodS   int64           `json:"period_s"` // to the next one: silence longer than twice this is an alarm
		Endpoints HeartbeatFleet  `json:"endpoints"`
		Polls     uint64          `json:"polls"` // since the start
		Failed    uint64          `json:"failed"`
		LagMS     int64           `json:"lag_ms"` // how late the most overdue poll is
		Sinks     []HeartbeatSink `json:"sinks"`
		// Heads are ends of event streams, sorted by name: at most 48 of those that
		// changed since the heartbeat before, and others in turn, 64 in all.
		// HeadsDigest is SHA-256 over the lines "<stream> <epoch> <sequence> <hash>\n"
		// of all streams in that order, as in a checkpoint.
		Heads        []HeartbeatHead `json:"heads"`
		HeadsTotal   int             `json:"heads_total"`
		HeadsChanged int             `json:"heads_changed"`
		HeadsDigest  string          `json:"heads_digest"` // sha256:<hex>
		StateBytes   int64           `json:"state_bytes"`
		Degraded     []string        `json:"degraded"` // codes of the open conditions
	}
	// HeartbeatFleet counts endpoints.
	HeartbeatFleet struct {
		Total   int `json:"total"`
		Good    int `json:"good"`    // the last poll was good
		Failing int `json:"failing"` // the last poll failed
		Blind   int `json:"blind"`   // no good poll for longer than the limit of agent.gap
		Unseen  int `json:"unseen"`  // never a good poll
	}
	// HeartbeatSink is the place of one sink.
	HeartbeatSink struct {
		Name      string `json:"name"`
		Connected bool   `json:"connected"`
		Pending   uint64 `json:"pending"`  // events in the journal that it does not have
		OldestS   int64  `json:"oldest_s"` // age of the oldest of them; 0 when there is none
	}
	// HeartbeatHead is the end of one event stream.
	HeartbeatHead struct {
		Stream   string `json:"stream"`
		Epoch    string `json:"epoch"`
		Sequence uint64 `json:"sequence"`
		Hash     string `json:"hash"` // sha256:<hex> of the last event
	}
	// AgentConfigChangedDetails belongs to agent.config_changed.
	AgentConfigChangedDetails struct {
		Outcome          string   `json:"outcome"` // applied, refused
		Trigger          string   `json:"trigger"` // file, signal, command, start
		DigestBefore     *string  `json:"digest_before"`
		DigestAfter      *string  `json:"digest_after"` // null when the file was refused
		EndpointsAdded   []string `json:"endpoints_added"`
		EndpointsRemoved []string `json:"endpoints_removed"`
		EndpointsChanged []string `json:"endpoints_changed"`
		SinksAdded       []string `json:"sinks_added"`
		SinksRemoved     []string `json:"sinks_removed"`
		SinksChanged     []string `json:"sinks_changed"`
		Settings         []string `json:"settings"` // other keys whose value changed
		Shrinks          []string `json:"shrinks"`  // what is watched less than before, in words
		Problems         []string `json:"problems"` // why the file was refused: file:line:col: text
	}
	// AgentDegradedDetails belongs to agent.degraded. Codes: outage (many
	// endpoints fail together), clock_jump, state_unwritable, state_damaged, sink_backlog,
	// sink_suppressed, sink_parked, sink_unsafe, tls_intercepted.
	AgentDegradedDetails struct {
		Code      string   `json:"code"`
		Subject   *string  `json:"subject"` // the sink
		Failing   int      `json:"failing"`
		Due       int      `json:"due"`   // endpoints that were due in the same time
		Hosts     int      `json:"hosts"` // different hosts among the failing
		Endpoints []string `json:"endpoints"`
		Since     *Time    `json:"since"`
		JumpMS    *int64   `json:"jump_ms"` // of the clock, forwards when positive
		Pending   *uint64  `json:"pending"` // of the sink
		Error     *string  `json:"error"`
	}
	// AgentGapDetails belongs to agent.gap.
	AgentGapDetails struct {
		Cause     string        `json:"cause"` // unreachable, not_running, suspended
		Total     int           `json:"total"` // endpoints that are watched
		Count     int           `json:"count"` // of them, those that the gap concerns
		Endpoints []GapEndpoint `json:"endpoints"`
		LimitS    int64         `json:"limit_s"` // the shortest limit that was passed
	}
	// AgentEventsLostDetails belongs to agent.events_lost.
	AgentEventsLostDetails struct {
		Sink string `json:"sink"`
		// Cause is receiver_lost (acknowledged, and gone from the receiver),
		// max_backlog or retention (never sent).
		Cause  string  `json:"cause"`
		Count  uint64  `json:"count"`  // events
		Resent bool    `json:"resent"` // they are sent again, with the same ids
		Since  *Time   `json:"since"`  // when the first of them was observed; null when it is not known
		Until  *Time   `json:"until"`  // and the last
		First  *string `json:"first"`  // its id
		Last   *string `json:"last"`
	}
	// DrillDetails belongs to drill.passed and drill.failed.
	DrillDetails struct {
		Drill     string         `json:"drill"` // id of the event that was sent
		Scenario  string         `json:"scenario"`
		Endpoint  string         `json:"endpoint"`
		Scheduled bool           `json:"scheduled"`
		Sinks     []DrillOutcome `json:"sinks"`
	}
	// DrillOutcome is one sink: delivered, parked or pending.
	DrillOutcome struct {
		Name      string `json:"name"`
		Outcome   string `json:"outcome"`
		LatencyMS *int64 `json:"latency_ms"` // null unless delivered
	}
	// AgentCheckpointDetails belongs to agent.checkpoint: a signature over the heads
	// of the streams that have something new. With many of them there are several
	// parts. The payload of the JWS counts; the other members repeat it.
	AgentCheckpointDetails struct {
		JWS     string `json:"jws"`     // compact; its payload has the heads
		Key     string `json:"key"`     // RFC 7638 thumbprint of the key that signed
		Digest  string `json:"digest"`  // sha256:<hex> over the heads of all streams
		Total   int    `json:"total"`   // streams
		Changed int    `json:"changed"` // heads in all parts
		Full    bool   `json:"full"`    // they are those of all streams
		Part    int    `json:"part"`    // from 1
		Parts   int    `json:"parts"`
	}
	// GapEndpoint is one endpoint that was not seen.
	GapEndpoint struct {
		Name     string `json:"name"`
		LastGood *Time  `json:"last_good"` // null: never
	}
)

// NewDetails returns a pointer to the zero details of a type, nil for a type
// that this version does not know.
func NewDetails(t Type) any {
	switch t {
	case BaselineEstablished:
		return new(BaselineDetails)
	case KeyAdded:
		return new(KeyAddedDetails)
	case KeyRemoved:
		return new(KeyRemovedDetails)
	case KeyMutated:
		return new(KeyMutatedDetails)
	case KeyRelabelled:
		return new(KeyRelabelledDetails)
	case KeyAltered:
		return new(KeyAlteredDetails)
	case KeyReencoded:
		return new(KeyReencodedDetails)
	case KeyCertificateChanged:
		return new(KeyCertificateChangedDetails)
	case KeyReappeared:
		return new(KeyReappearedDetails)
	case KeyKidReused:
		return new(KeyKidReusedDetails)
	case KeyPrivate:
		return new(KeyPrivateDetails)
	case KeyUnparseable:
		return new(KeyUnparseableDetails)
	case SetReplaced:
		return new(SetReplacedDetails)
	case SetEmptied:
		return new(SetEmptiedDetails)
	case SetAmbiguous:
		return new(SetAmbiguousDetails)
	case DocumentInvalid:
		return new(DocumentInvalidDetails)
	case EndpointUnreachable:
		return new(EndpointUnreachableDetails)
	case EndpointDangling:
		return new(EndpointDanglingDetails)
	case EndpointRedirected:
		return new(EndpointRedirectedDetails)
	case EndpointCertificateChanged:
		return new(EndpointCertificateChangedDetails)
	case EndpointTLSInvalid:
		return new(EndpointTLSInvalidDetails)
	case EndpointCachePolicy:
		return new(EndpointCachePolicyDetails)
	case EndpointContentType:
		return new(EndpointContentTypeDetails)
	case DiscoveryMoved:
		return new(DiscoveryMovedDetails)
	case DiscoveryIssuerMismatch:
		return new(DiscoveryIssuerMismatchDetails)
	case DiscoveryWeakened:
		return new(DiscoveryWeakenedDetails)
	case KeyEphemeral:
		return new(KeyEphemeralDetails)
	case KeyCompromised:
		return new(KeyCompromisedDetails)
	case KeyWeak:
		return new(KeyWeakDetails)
	case KeyShared:
		return new(KeySharedDetails)
	case KeyCertificateInvalid:
		return new(KeyCertificateInvalidDetails)
	case KeyOverage:
		return new(KeyOverageDetails)
	case SetRolledBack:
		return new(SetRolledBackDetails)
	case SetUnstable:
		return new(SetUnstableDetails)
	case SetSplit:
		return new(SetSplitDetails)
	case SetBreaksVerifiers:
		return new(SetBreaksVerifiersDetails)
	case SetOversized:
		return new(SetOversizedDetails)
	case SetNoSigningKeys:
		return new(SetNoSigningKeysDetails)
	case SetCountUnexpected:
		return new(SetCountUnexpectedDetails)
	case RotationNoOverlap:
		return new(RotationNoOverlapDetails)
	case RotationCompleted:
		return new(RotationCompletedDetails)
	case RotationRemovedEarly:
		return new(RotationRemovedEarlyDetails)
	case RotationOffCadence:
		return new(RotationOffCadenceDetails)
	case RotationOverdue:
		return new(RotationOverdueDetails)
	case RotationMissed:
		return new(RotationMissedDetails)
	case RotationApprovedChange:
		return new(RotationApprovedChangeDetails)
	case EndpointNoisy:
		return new(EndpointNoisyDetails)
	case DiscoveryEndpointMoved:
		return new(DiscoveryEndpointMovedDetails)
	case ApprovalGranted, ApprovalRevoked, ApprovalExpired, ApprovalUsed:
		return new(ApprovalDetails)
	case AgentStarted:
		return new(AgentStartedDetails)
	case AgentStopped:
		return new(AgentStoppedDetails)
	case AgentHeartbeat:
		return new(AgentHeartbeatDetails)
	case AgentConfigChanged:
		return new(AgentConfigChangedDetails)
	case AgentDegraded:
		return new(AgentDegradedDetails)
	case AgentGap:
		return new(AgentGapDetails)
	case AgentEventsLost:
		return new(AgentEventsLostDetails)
	case AgentCheckpoint:
		return new(AgentCheckpointDetails)
	case DrillPassed, DrillFailed:
		return new(DrillDetails)
	case AgentStateLost, AgentStateRestored:
		return new(AgentStateDetails)
	}
	return nil
}
