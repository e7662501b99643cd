package event_test

import (
	"fmt"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

func baseline() event.Event {
	e := step(partnerKeys(), event.BaselineEstablished, event.SeverityInformational, event.Informational,
		"partner-keys: first sight, 2 keys, both for signatures (seen 2 of 2), at 18:49 UTC; their age is unknown; watched from now on", nil)
	e.Data.Observed.After = nil
	e.Data.Snapshot.Previous = nil
	e.Data.Snapshot.Current.Keys = 2
	e.Data.Integrity.Sequence, e.Data.Integrity.Previous = 1, nil
	e.Data.Details = event.BaselineDetails{Reason: "first_sight", Keys: 2, SigningKeys: 2, Confirmation: confirmation()}
	return e
}

func keyAdded() event.Event {
	e := step(corpIDP(), event.KeyAdded, event.SeverityHigh, event.Unexpected,
		"corp-idp: new RS256 signing key, kid 2026-11-a (seen 2 of 2), between 18:48 and 18:49 UTC; outside the declared window; the new key can sign",
		young(rsa("2026-11-a")))
	e.Data.Event.Reasons = []string{"outside_change_window"}
	e.Data.Event.ChangeSet.Total = 2
	e.Data.Judgement = event.Judgement{BaseSeverity: event.SeverityLow, Adjustments: []event.Adjustment{{
		Rule: "corp-change-window", Kind: "raise", To: event.SeverityHigh, Reason: "outside the declared window", By: new("iam@corp.example"),
		Expires: new(at("2027-01-01 00:00:00.000")),
	}}}
	e.Data.Standards = event.Standards{Attack: []string{"T1606"}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI3:2025"}}
	e.Data.Details = event.KeyAddedDetails{Class: "sig", Confirmation: confirmation()}
	return e
}

func keyAddedRolledUp() event.Event {
	e := step(partnerKeys(), event.KeyAdded, event.SeverityLow, event.Informational,
		"partner-keys: 12 new RS256 signing keys (seen 2 of 2), between 18:48 and 18:49 UTC; nothing declared; the new keys can sign", nil)
	e.Data.Event.Count = 12
	for i := range 12 {
		e.Data.Keys = append(e.Data.Keys, *young(rsa(fmt.Sprintf("tenant-%02d", i))))
	}
	e.Data.Snapshot.Current.Keys = 14
	e.Data.Details = event.KeyAddedDetails{Class: "sig", Confirmation: confirmation()}
	return e
}

func keyRemoved() event.Event {
	e := step(corpIDP(), event.KeyRemoved, event.SeverityInformational, event.Expected,
		"corp-idp: signing key 2026-08-a retired (absent 2 of 2), between 18:48 and 18:49 UTC; in its window; caches may trust it until 19:48 UTC", rsa("2026-08-a"))
	e.Data.Details = event.KeyRemovedDetails{Class: "sig", TrustedUntil: new(at("2026-11-22 19:48:03.207")), Confirmation: confirmation()}
	return e
}

func keyMutated() event.Event {
	e := step(corpIDP(), event.KeyMutated, event.SeverityCritical, event.Unexpected,
		"corp-idp: signing key replaced under kid 2026-08-a (seen 2 of 2), between 18:48 and 18:49 UTC; no approval; old tokens fail", young(rsa("2026-08-a")))
	e.Data.Key.Thumbprint, e.Subject = new(thumb("another key")), thumb("another key")
	e.Data.PreviousKey = rsa("2026-08-a")
	e.Data.Standards.Attack = []string{"T1606", "T1556"}
	e.Data.Details = event.KeyMutatedDetails{Class: "sig", Codes: []string{"new_material"}, Confirmation: confirmation()}
	return e
}

func keyRelabelled() event.Event {
	e := step(partnerKeys(), event.KeyRelabelled, event.SeverityMedium, event.Informational,
		"partner-keys: known signing key under a new kid sig-2 (seen 2 of 2), between 18:48 and 18:49 UTC; nothing declared; caches by kid miss", rsa("sig-2"))
	e.Data.PreviousKey = rsa("sig-1")
	e.Data.PreviousKey.Thumbprint = e.Data.Key.Thumbprint
	e.Data.Change = event.Change{Fields: []string{"kid"}, Before: map[string]any{"kid": "sig-1"}, After: map[string]any{"kid": "sig-2"}}
	e.Data.Details = event.KeyRelabelledDetails{KidsBefore: []string{"sig-1"}, KidsAfter: []string{"sig-2"}, Confirmation: confirmation()}
	return e
}

func keyAltered() event.Event {
	e := step(corpIDP(), event.KeyAltered, event.SeverityHigh, event.Unexpected,
		"corp-idp: use and key_ops changed on signing key 2026-08-a (seen 2 of 2), between 18:48 and 18:49 UTC; no approval; verifiers may refuse it", rsa("2026-08-a"))
	e.Data.PreviousKey = rsa("2026-08-a")
	e.Data.Key.Use = new("enc")
	e.Data.Change = event.Change{
		Fields: []string{"key_ops", "use"},
		Before: map[string]any{"key_ops": []string{"verify"}, "use": "sig"},
		After:  map[string]any{"key_ops": nil, "use": "enc"},
	}
	e.Data.Details = event.KeyAlteredDetails{Confirmation: confirmation()}
	return e
}

func keyReencoded() event.Event {
	e := step(partnerKeys(), event.KeyReencoded, event.SeverityLow, event.Informational,
		"partner-keys: the number of key sig-1 is written in another way (seen 2 of 2), between 18:48 and 18:49 UTC; the same key; strict verifiers may refuse it", rsa("sig-1"))
	e.Data.Details = event.KeyReencodedDetails{EncodingAfter: []string{"leading_zero"}, Confirmation: confirmation()}
	return e
}

func keyCertificateChanged() event.Event {
	e := step(corpIDP(), event.KeyCertificateChanged, event.SeverityInformational, event.Informational,
		"corp-idp: certificate of signing key 2026-08-a renewed (seen 2 of 2), between 18:48 and 18:49 UTC; the same key; verifiers that pin x5t notice", rsa("2026-08-a"))
	e.Data.Details = event.KeyCertificateChangedDetails{
		Before: new(digest("certificate before")), After: new(digest("certificate after")), Confirmation: confirmation(),
	}
	return e
}

func keyReappeared() event.Event {
	e := step(corpIDP(), event.KeyReappeared, event.SeverityHigh, event.Unexpected,
		"corp-idp: retired signing key 2026-05-a is back (seen 2 of 2), between 18:48 and 18:49 UTC after 31 days; no approval; what it signs is accepted again", rsa("2026-05-a"))
	e.Data.Details = event.KeyReappearedDetails{AbsentS: 31 * 86400, PublishedS: 92 * 86400, Retired: true, Confirmation: confirmation()}
	return e
}

func keyKidReused() event.Event {
	e := step(corpIDP(), event.KeyKidReused, event.SeverityCritical, event.Unexpected,
		"corp-idp: retired kid 2026-05-a names another signing key (seen 2 of 2), between 18:48 and 18:49 UTC after 12 days; no approval; the new key can sign", young(rsa("2026-05-a")))
	e.Data.Key.Thumbprint, e.Subject = new(thumb("reused")), thumb("reused")
	e.Data.PreviousKey = rsa("2026-05-a")
	e.Data.Details = event.KeyKidReusedDetails{AbsentS: 12 * 86400, Codes: []string{"new_material"}, Confirmation: confirmation()}
	return e
}

func keyPrivate() event.Event {
	e := step(corpIDP(), event.KeyPrivate, event.SeverityCritical, event.Unexpected,
		"corp-idp: PRIVATE key published under kid 2026-11-a (seen 2 of 2), between 18:48 and 18:49 UTC; anyone can sign; revoke it now", young(rsa("2026-11-a")))
	e.Data.Transport.BodySHA256 = nil // the body held a secret
	e.Data.Standards.Attack = []string{"T1552.004"}
	e.Data.Details = event.KeyPrivateDetails{Members: []string{"d", "p", "q"}, Pointers: []string{"/keys/2/d", "/keys/2/p", "/keys/2/q"}, Confirmation: confirmation()}
	return opened(e)
}

func keyUnparseable() event.Event {
	e := step(partnerKeys(), event.KeyUnparseable, event.SeverityMedium, event.Unexpected,
		"partner-keys: entry keys/1 cannot be read: bad base64 (seen 2 of 2), between 18:48 and 18:49 UTC; many verifiers refuse the whole set",
		&event.Key{Kid: new("sig-3"), Kty: new("RSA"), Alg: new("RS256"), FirstSeen: new(now()), LastSeen: new(now())})
	e.Data.Details = event.KeyUnparseableDetails{
		Codes: []string{"bad_base64"}, Pointers: []string{"/keys/1/n"}, RawDigest: new(digest("entry")), Confirmation: confirmation(),
	}
	return opened(e)
}

func setReplaced() event.Event {
	e := step(corpIDP(), event.SetReplaced, event.SeverityHigh, event.Unexpected,
		"corp-idp: all 2 signing keys replaced at once (seen 2 of 2), between 18:48 and 18:49 UTC; no approval; every token in flight fails", nil)
	e.Data.Event.Reasons = []string{"no_overlap"}
	e.Data.Event.ChangeSet.Total = 5
	e.Data.Event.Correlation = &event.Correlation{ID: "cs1-" + strings.Repeat("a", 26), By: "site", Endpoints: 3}
	e.Data.Details = event.SetReplacedDetails{Before: 2, After: 2, Mutated: 1, Confirmation: confirmation()}
	return e
}

func setEmptied() event.Event {
	e := step(partnerKeys(), event.SetEmptied, event.SeverityCritical, event.Unexpected,
		"partner-keys: the set is empty (seen 3 of 3), between 18:48 and 18:49 UTC; 2 known keys stay the baseline; every token fails", nil)
	e.Data.Snapshot.Current.Keys = 0
	e.Data.Details = event.SetEmptiedDetails{KnownKeys: 2, Confirmation: event.Confirmation{Attempts: 3, Agreed: 3, Addresses: []string{"203.0.113.10:443"}}}
	return opened(e)
}

func setAmbiguous() event.Event {
	e := step(partnerKeys(), event.SetAmbiguous, event.SeverityHigh, event.Unexpected,
		"partner-keys: two signing keys share the kid sig-1 (seen 2 of 2), between 18:48 and 18:49 UTC; verifiers disagree on which one counts", nil)
	e.Data.Details = event.SetAmbiguousDetails{
		Code: "repeated_kid", Kid: new("sig-1"), Keys: 2, Pointers: []string{"/keys/0", "/keys/2"}, Confirmation: confirmation(),
	}
	return opened(e)
}

func documentInvalid() event.Event {
	e := step(partnerKeys(), event.DocumentInvalid, event.SeverityMedium, event.Unexpected,
		"partner-keys: the answer is HTML, no JWK Set (seen 2 of 2), between 18:48 and 18:49 UTC; the known keys stay the baseline; changes go unseen", nil)
	e.Data.Snapshot.Current = nil
	e.Data.Transport.ContentType, e.Data.Transport.ETag, e.Data.Transport.MaxAgeS = new("text/html"), nil, nil
	e.Data.Details = event.DocumentInvalidDetails{Shape: "html", Reason: "starts with <", Confirmation: confirmation()}
	return opened(e)
}

func endpointUnreachable() event.Event {
	e := step(partnerKeys(), event.EndpointUnreachable, event.SeverityMedium, event.Unexpected,
		"partner-keys: unreachable, no answer within the timeout (3 polls in a row), since 18:44 UTC; changes go unseen", nil)
	e.Data.Snapshot.Current = nil
	e.Data.Transport = nil
	since, good := at("2026-11-22 18:44:01.055"), at("2026-11-22 18:43:01.040")
	e.Data.Observed.After = &good
	e.Data.Failure = &event.Failure{Phase: "timeout", Error: "no answer within 15s", Count: 3, Since: since}
	e.Data.Details = event.EndpointUnreachableDetails{Codes: []string{}, Phase: "timeout", Failures: 3, Since: &since, LastGood: &good}
	return opened(e)
}

// The key set answers, and only its discovery document does not.
func discoveryUnreachable() event.Event {
	e := step(corpIDP(), event.EndpointUnreachable, event.SeverityMedium, event.Unexpected,
		"corp-idp: no discovery document since 18:44 UTC (discovery, 3 polls failed); the last known key set is watched, a move of it would go unseen", nil)
	since, good := at("2026-11-22 18:44:01.055"), at("2026-11-22 18:48:02.977")
	e.Data.Failure = &event.Failure{Phase: "discovery", Error: "HTTP status 503", Count: 3, Since: since}
	e.Data.Details = event.EndpointUnreachableDetails{Codes: []string{}, Phase: "discovery", Failures: 3, Since: &since, LastGood: &good}
	return opened(e)
}
