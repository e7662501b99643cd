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
	// EndpointUnreachableDetails belongs to endpoint.unreachable.
	EndpointUnreachableDetails struct {
		Phase    string `json:"phase"`
		Failures int    `json:"failures"`
		Since    *Time  `json:"since"`     // first failure of the row
		LastGood *Time  `json:"last_good"` // last poll that was good
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
	}
	return nil
}
