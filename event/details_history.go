package event

// The details of what only history tells. Durations are whole seconds; a pair of
// them bounds a time that polls cannot tell exactly. What an agent learned of an
// issuer's rhythm stays in the agent: who reads events must not learn when a
// change would pass unnoticed.
type (
	// KeyEphemeralDetails belongs to key.ephemeral.
	KeyEphemeralDetails struct {
		Class    string `json:"class"`
		LifeMinS int64  `json:"life_min_s"` // published surely at least this long
		LifeMaxS int64  `json:"life_max_s"` // and surely no longer than this
	}
	// KeyOverageDetails belongs to key.overage. Codes: max_key_age (older than
	// declared), past_exp (published a day beyond its own exp), outlives (three
	// times the longest life of a key here, and a week at least).
	KeyOverageDetails struct {
		Code    string `json:"code"`
		AgeMinS int64  `json:"age_min_s"`
		Exp     *Time  `json:"exp"` // of the key, when it has one
	}
	// SetRolledBackDetails belongs to set.rolled_back. Codes: older_set,
	// sequence_regressed.
	SetRolledBackDetails struct {
		Code          string       `json:"code"`
		FirstObserved *Time        `json:"first_observed"` // of the set that came back
		Returned      int          `json:"returned"`       // keys that came back with it
		Retired       bool         `json:"retired"`        // one of them was published 7 d or longer, then absent 7 d or longer
		Confirmation  Confirmation `json:"confirmation"`
	}
	// SetUnstableDetails belongs to set.unstable.
	SetUnstableDetails struct {
		Flips        uint64       `json:"flips"` // answers that were not the newest set and held nothing new
		Since        *Time        `json:"since"` // first of them
		Last         *Time        `json:"last"`
		Sets         []SetShare   `json:"sets"` // at most 8, the most frequent first
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetShare is one of the sets between which answers alternate.
	SetShare struct {
		Digest  string `json:"digest"` // sha256:<hex>
		Keys    int    `json:"keys"`
		Answers uint64 `json:"answers"`
	}
	// RotationNoOverlapDetails belongs to rotation.no_overlap.
	RotationNoOverlapDetails struct {
		Replacements int   `json:"replacements"` // in the last 400 days
		First        *Time `json:"first"`        // of them
		Last         *Time `json:"last"`
	}
	// RotationCompletedDetails belongs to rotation.completed: a signing key is
	// gone whose successors were there before.
	RotationCompletedDetails struct {
		Added        []string     `json:"added"`         // thumbprints, at most 32
		Removed      []string     `json:"removed"`       // thumbprints, at most 32
		OverlapMinS  int64        `json:"overlap_min_s"` // both were published surely at least this long
		OverlapMaxS  int64        `json:"overlap_max_s"`
		SettlingS    *int64       `json:"settling_s"`    // for which answers went to and fro
		TrustedUntil *Time        `json:"trusted_until"` // until when caches may trust what is gone
		Confirmation Confirmation `json:"confirmation"`
	}
	// RotationRemovedEarlyDetails belongs to rotation.removed_early. Codes: early,
	// perhaps_early (true at some points of the bounds only), last_of_class (no key
	// of this kty is left).
	RotationRemovedEarlyDetails struct {
		Code         string       `json:"code"`
		Survivor     *string      `json:"survivor"` // thumbprint with the longest overlap; null for last_of_class
		OverlapMinS  *int64       `json:"overlap_min_s"`
		OverlapMaxS  *int64       `json:"overlap_max_s"`
		Floor        string       `json:"floor"`         // declared, max_age, default
		FloorS       int64        `json:"floor_s"`       // the overlap that tokens and caches need
		TrustedUntil *Time        `json:"trusted_until"` // until when caches may trust what is gone
		Confirmation Confirmation `json:"confirmation"`
	}
	// RotationOffCadenceDetails belongs to rotation.off_cadence.
	RotationOffCadenceDetails struct {
		Rhythm    string `json:"rhythm"`    // learned or declared
		Rotations int    `json:"rotations"` // that were seen before
		GapMinS   int64  `json:"gap_min_s"` // since the last rotation
		GapMaxS   int64  `json:"gap_max_s"`
	}
	// RotationOverdueDetails belongs to rotation.overdue.
	RotationOverdueDetails struct {
		Rhythm       string `json:"rhythm"` // learned or declared
		Rotations    int    `json:"rotations"`
		LastRotation *Time  `json:"last_rotation"` // null: none was seen; then watched_since counts
		WatchedSince *Time  `json:"watched_since"`
	}
	// RotationMissedDetails belongs to rotation.missed: an announced change did
	// not come. Codes: approval, window.
	RotationMissedDetails struct {
		Code       string  `json:"code"`
		Approval   *string `json:"approval"` // its id
		Thumbprint *string `json:"thumbprint"`
		Until      *Time   `json:"until"`
	}
	// RotationApprovedChangeDetails belongs to rotation.approved_change.
	RotationApprovedChangeDetails struct {
		Approval     string       `json:"approval"`
		Change       string       `json:"change"` // type of the event that it allowed
		By           string       `json:"by"`
		Reason       string       `json:"reason"`
		Confirmation Confirmation `json:"confirmation"`
	}
)

// The details of what is wrong with a key or a set as such, and of what only
// several endpoints or addresses tell.
type (
	// KeyCompromisedDetails belongs to key.compromised.
	KeyCompromisedDetails struct {
		List         string       `json:"list"`   // builtin, operator, or the name of a file
		Source       string       `json:"source"` // where the private half is public, as the list says
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyWeakDetails belongs to key.weak. Codes: rsa_short, rsa_even,
	// rsa_exponent, rsa_small_factor, rsa_close_primes, rsa_roca, rsa_prime,
	// rsa_perfect_power, rsa_shared_factor, ec_off_curve, okp_low_order, alg_none,
	// alg_mismatch, public_key_as_secret.
	KeyWeakDetails struct {
		Codes        []string     `json:"codes"`
		Peer         *string      `json:"peer"` // endpoint whose key shares the factor
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeySharedDetails belongs to key.shared: a condition for each pair of endpoints.
	// More than eight pairs of one step are told as one, of all their peers.
	KeySharedDetails struct {
		Peer         string       `json:"peer"`        // the other endpoint, the first of several
		Peers        []string     `json:"peers"`       // each of them, at most 16
		Keys         int          `json:"keys"`        // that stand at both
		Thumbprints  []string     `json:"thumbprints"` // at most 16
		SameSite     bool         `json:"same_site"`   // one registrable domain
		Confirmation Confirmation `json:"confirmation"`
	}
	// KeyCertificateInvalidDetails belongs to key.certificate_invalid. Codes:
	// key_mismatch, thumbprint_mismatch, thumbprint_encoding, expired,
	// not_yet_valid, weak_signature, unparseable, foreign_x5u.
	KeyCertificateInvalidDetails struct {
		Codes        []string     `json:"codes"`
		NotBefore    *Time        `json:"not_before"`
		NotAfter     *Time        `json:"not_after"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetBreaksVerifiersDetails belongs to set.breaks_verifiers.
	SetBreaksVerifiersDetails struct {
		Decoders     []Decoder    `json:"decoders"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// Decoder is a reader of key sets that is known to fail on this one.
	Decoder struct {
		Name   string `json:"name"`   // with its version
		Effect string `json:"effect"` // rejects (the whole set), drops (keys), misreads
		Reason string `json:"reason"`
		Keys   int    `json:"keys"` // concerned
	}
	// SetOversizedDetails belongs to set.oversized.
	SetOversizedDetails struct {
		Keys         int          `json:"keys"`
		Bytes        int64        `json:"bytes"`
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetNoSigningKeysDetails belongs to set.no_signing_keys.
	SetNoSigningKeysDetails struct {
		Keys         int          `json:"keys"` // for other purposes
		Confirmation Confirmation `json:"confirmation"`
	}
	// SetCountUnexpectedDetails belongs to set.count_unexpected. Codes: keys, algs.
	SetCountUnexpectedDetails struct {
		Code string   `json:"code"`
		Keys int      `json:"keys"` // that can verify a signature
		Algs []string `json:"algs"` // outside the declared ones
	}
	// SetSplitDetails belongs to set.split.
	SetSplitDetails struct {
		Code  string `json:"code"`  // rollout (all keys are known), unknown_key
		Since *Time  `json:"since"` // from when on the answers differ
		Views []View `json:"views"` // at most 16
	}
	// View is what one address served.
	View struct {
		Address string `json:"address"`
		Digest  string `json:"digest"` // sha256:<hex>
		Keys    int    `json:"keys"`
		Only    int    `json:"only"` // keys that no other address showed
	}
	// EndpointNoisyDetails belongs to endpoint.noisy: events beyond the bound of
	// an endpoint, counted in place of being told.
	EndpointNoisyDetails struct {
		Since *Time       `json:"since"`
		Types []NoiseType `json:"types"`
	}
	// NoiseType counts the events of one type that were not told one by one.
	NoiseType struct {
		Type     Type     `json:"type"`
		Severity Severity `json:"severity"` // the highest of them
		Count    uint64   `json:"count"`
		First    *Time    `json:"first"`
		Last     *Time    `json:"last"`
	}
	// DiscoveryEndpointMovedDetails belongs to discovery.endpoint_moved.
	DiscoveryEndpointMovedDetails struct {
		Document     string        `json:"document"`
		Members      []MovedMember `json:"members"`
		Confirmation Confirmation  `json:"confirmation"`
	}
	// MovedMember is a member of a discovery document that leads to a host never
	// seen there. Code: other_host, other_domain.
	MovedMember struct {
		Name   string  `json:"name"` // token_endpoint, …
		Code   string  `json:"code"`
		Before *string `json:"before"` // the host that it was on last; null when it was not there
		After  *string `json:"after"`  // its URL, masked
	}
	// ApprovalDetails belongs to approval.granted, .revoked, .expired and .used.
	ApprovalDetails struct {
		ID         string   `json:"id"`
		Endpoint   string   `json:"endpoint"`
		Thumbprint *string  `json:"thumbprint"` // null: of several keys, of a window, or of what has no key
		Event      *string  `json:"event"`      // id of the one that was acknowledged
		Kid        *string  `json:"kid"`        // that it is pinned to
		Alg        *string  `json:"alg"`
		Use        *string  `json:"use"`
		Reason     string   `json:"reason"`
		By         string   `json:"by"`
		From       *Time    `json:"from"`
		Until      *Time    `json:"until"`
		Source     string   `json:"source"` // command, file, window, acknowledgement
		Uses       int      `json:"uses"`
		Keys       []string `json:"keys"`       // thumbprints that it is for, or that came in by it; at most 32
		RevokedBy  *string  `json:"revoked_by"` // of .revoked by command
		RevokedFor *string  `json:"revoked_for"`
	}
)
