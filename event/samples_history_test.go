package event_test

import "github.com/jwkswatch/jwkswatch/event"

// historySamples are those of what only history tells.
func historySamples(add func(string, event.Event)) {
	add(string(event.KeyEphemeral), about("2026-11-b", event.KeyEphemeral, event.SeverityHigh, event.Unexpected,
		"corp-idp: signing key \"2026-11-b\" was there for 10 minutes at most (seen twice), gone since 18:39 UTC; who held it could sign meanwhile",
		event.KeyEphemeralDetails{Class: "sig", LifeMinS: 480, LifeMaxS: 600}))
	add(string(event.SetRolledBack), told(event.SetRolledBack, event.SeverityHigh, event.Unexpected,
		"corp-idp: an older set is served again, with a retired key (seen twice), between 18:48 and 18:49 UTC; its tokens verify again",
		event.SetRolledBackDetails{Code: "older_set", FirstObserved: new(at("2026-05-02 08:00:11.120")), Returned: 1, Retired: true, Confirmation: confirmation()}))
	lasting(add, told(event.SetUnstable, event.SeverityMedium, event.Unexpected,
		"corp-idp: answers alternate between known sets (seen twice), since 18:12 UTC; nodes of the issuer are not equal",
		event.SetUnstableDetails{
			Flips: 7, Since: new(at("2026-11-22 18:12:03.400")), Last: new(now()), Confirmation: confirmation(),
			Sets: []event.SetShare{{Digest: digest("set before"), Keys: 2, Answers: 31}, {Digest: digest("set after"), Keys: 3, Answers: 12}},
		}), "corp-idp: one set in every answer for a day (seen 2 of 2), since 19:20 UTC; the nodes of the issuer are equal again")
	lasting(add, told(event.RotationNoOverlap, event.SeverityMedium, event.Unexpected,
		"corp-idp: the third time all keys are replaced at once, between 18:48 and 18:49 UTC; tokens in flight fail at each rotation",
		event.RotationNoOverlapDetails{Replacements: 3, First: new(at("2026-09-22 18:49:03.000")), Last: new(now())}),
		"corp-idp: two rotations in a row had an overlap, since 19:20 UTC; tokens in flight outlive them")
	add(string(event.RotationCompleted), told(event.RotationCompleted, event.SeverityInformational, event.Informational,
		"corp-idp: rotation completed with 14 days of overlap (seen twice), between 18:48 and 18:49 UTC; caches may trust what is gone until 19:48 UTC",
		event.RotationCompletedDetails{
			Added: []string{thumb("2026-11-a")}, Removed: []string{thumb("2026-08-a")}, OverlapMinS: 1209540, OverlapMaxS: 1209660,
			TrustedUntil: new(at("2026-11-22 19:48:03.207")), Confirmation: confirmation(),
		}))
	add(string(event.RotationRemovedEarly), about("2026-08-a", event.RotationRemovedEarly, event.SeverityHigh, event.Unexpected,
		"corp-idp: signing key \"2026-08-a\" removed 10 minutes after its successor came (seen twice), by 18:49 UTC; tokens and caches that know only it fail",
		event.RotationRemovedEarlyDetails{
			Code: "early", Survivor: new(thumb("2026-11-a")), OverlapMinS: new(int64(480)), OverlapMaxS: new(int64(600)), Floor: "default", FloorS: 86400,
			TrustedUntil: new(at("2026-11-22 19:48:03.207")), Confirmation: confirmation(),
		}))
	add(string(event.RotationOffCadence), told(event.RotationOffCadence, event.SeverityMedium, event.Unexpected,
		"corp-idp: a rotation long before it was due, between 18:48 and 18:49 UTC; an emergency, or not theirs",
		event.RotationOffCadenceDetails{Rhythm: "learned", Rotations: 6, GapMinS: 518280, GapMaxS: 518400}))
	lasting(add, told(event.RotationOverdue, event.SeverityMedium, event.Unexpected,
		"corp-idp: no rotation since 2026-06-01 07:00 UTC, which the declared cadence has passed; keys that live long leak",
		event.RotationOverdueDetails{Rhythm: "declared", Rotations: 2, LastRotation: new(at("2026-06-01 07:00:02.000")), WatchedSince: new(at("2026-01-04 10:00:00.000"))}),
		"corp-idp: rotated, since 19:20 UTC; the rotation was 84 days overdue")
	add(string(event.RotationMissed), told(event.RotationMissed, event.SeverityMedium, event.Unexpected,
		"corp-idp: an announced change did not come until 18:49 UTC (approval ap-7q3mxk2f); ask who announced it",
		event.RotationMissedDetails{Code: "approval", Approval: new("ap-7q3mxk2f"), Thumbprint: new(thumb("2026-11-c")), Until: new(now())}))
	add(string(event.RotationApprovedChange), about("2026-11-a", event.RotationApprovedChange, event.SeverityInformational, event.Expected,
		"corp-idp: the announced key \"2026-11-a\" came (seen twice), between 18:48 and 18:49 UTC; as approved",
		event.RotationApprovedChangeDetails{Approval: "ap-7q3mxk2f", Change: "key.added", By: "uid 1000 (iam)", Reason: "CHG-4711: planned rotation", Confirmation: confirmation()}))
	for _, s := range []struct {
		typ      event.Type
		severity event.Severity
		verdict  event.Verdict
		uses     int
		message  string
	}{
		{event.ApprovalGranted, event.SeverityLow, event.Informational, 0, "corp-idp: a change was approved by uid 1000 (iam) until 2026-12-06; it passes as expected"},
		{event.ApprovalRevoked, event.SeverityLow, event.Informational, 0, "corp-idp: an approval was revoked by uid 1000 (iam); the change is no longer expected"},
		{event.ApprovalExpired, event.SeverityLow, event.Informational, 0, "corp-idp: an approval expired unused; the announced change did not come"},
		{event.ApprovalUsed, event.SeverityInformational, event.Expected, 1, "corp-idp: an approval was used for 1 key; it came as announced"},
	} {
		d := event.ApprovalDetails{
			ID: "ap-7q3mxk2f", Endpoint: "corp-idp", Thumbprint: new(thumb("2026-11-a")), Kid: new("2026-11-a"), Alg: new("RS256"),
			Reason: "CHG-4711: planned rotation", By: "uid 1000 (iam)", From: new(before()), Until: new(at("2026-12-06 18:48:03.207")),
			Source: "command", Uses: s.uses,
		}
		if s.uses > 0 {
			d.Keys = []string{thumb("2026-11-a")}
		}
		add(string(s.typ), said(s.typ, s.severity, s.verdict, s.message, d))
	}
}

// healthSamples are those of what is wrong with a key or a set as such, and of
// what only several endpoints or addresses tell.
func healthSamples(add func(string, event.Event)) {
	lasting(add, about("rsa1", event.KeyCompromised, event.SeverityCritical, event.Unexpected,
		"corp-idp: the private half of key \"rsa1\" is public (seen twice), between 18:48 and 18:49 UTC; anyone can sign for the issuer",
		event.KeyCompromisedDetails{List: "builtin", Source: "RFC 7517, appendix A.2", Confirmation: confirmation()}),
		"corp-idp: the compromised key is gone (seen twice), since 19:20 UTC; tokens it signed prove nothing")
	lasting(add, about("old", event.KeyWeak, event.SeverityCritical, event.Unexpected,
		"corp-idp: key \"old\" can be broken: its primes are too close (seen twice), between 18:48 and 18:49 UTC; anyone can sign for the issuer",
		event.KeyWeakDetails{Codes: []string{"rsa_close_primes"}, Confirmation: confirmation()}),
		"corp-idp: the weak key is gone (seen twice), since 19:20 UTC")
	lasting(add, told(event.KeyShared, event.SeverityHigh, event.Unexpected,
		"corp-idp: 1 key stands at partner-keys too (seen twice), between 18:48 and 18:49 UTC; one leak, two issuers",
		event.KeySharedDetails{Peer: "partner-keys", Peers: []string{"partner-keys"}, Keys: 1, Thumbprints: []string{thumb("2026-11-a")}, Confirmation: confirmation()}),
		"corp-idp: no key stands at partner-keys any more (seen twice), since 19:20 UTC")
	lasting(add, about("2026-11-a", event.KeyCertificateInvalid, event.SeverityHigh, event.Unexpected,
		"corp-idp: the certificate beside key \"2026-11-a\" is of another key (seen twice), between 18:48 and 18:49 UTC; verifiers disagree on who signs",
		event.KeyCertificateInvalidDetails{
			Codes: []string{"key_mismatch"}, NotBefore: new(at("2026-01-01 00:00:00.000")), NotAfter: new(at("2027-01-01 00:00:00.000")), Confirmation: confirmation(),
		}), "corp-idp: the certificate is that of its key again (seen twice), since 19:20 UTC")
	lasting(add, about("2025-02-a", event.KeyOverage, event.SeverityMedium, event.Unexpected,
		"corp-idp: key \"2025-02-a\" is older than declared, since 2026-11-22 18:49 UTC; what lives long leaks",
		event.KeyOverageDetails{Code: "max_key_age", AgeMinS: 56160000}), "corp-idp: the old key is gone, since 19:20 UTC")
	lasting(add, told(event.SetSplit, event.SeverityHigh, event.Unexpected,
		"corp-idp: one address serves a key that the others never showed, since 18:12 UTC; somebody may be served other keys than you",
		event.SetSplitDetails{
			Code: "unknown_key", Since: new(at("2026-11-22 18:12:03.400")), Views: []event.View{
				{Address: "203.0.113.10:443", Digest: digest("set before"), Keys: 2},
				{Address: "203.0.113.11:443", Digest: digest("set after"), Keys: 3, Only: 1},
			},
		}), "corp-idp: all addresses serve one set again, since 19:20 UTC")
	lasting(add, told(event.SetBreaksVerifiers, event.SeverityHigh, event.Unexpected,
		"corp-idp: the set breaks 1 of the known decoders (seen twice), between 18:48 and 18:49 UTC; verifiers built on it lose every key",
		event.SetBreaksVerifiersDetails{
			Decoders:     []event.Decoder{{Name: "go-jose v4.1.8", Effect: "rejects", Reason: "unknown curve", Keys: 1}},
			Confirmation: confirmation(),
		}), "corp-idp: every known decoder reads the set again (seen twice), since 19:20 UTC")
	lasting(add, told(event.SetOversized, event.SeverityMedium, event.Unexpected,
		"corp-idp: 823 keys in one set (seen twice), between 18:48 and 18:49 UTC; some verifiers refuse it",
		event.SetOversizedDetails{Keys: 823, Bytes: 512000, Confirmation: confirmation()}), "corp-idp: a set of ordinary size again (seen twice), since 19:20 UTC")
	lasting(add, told(event.SetNoSigningKeys, event.SeverityHigh, event.Unexpected,
		"corp-idp: no key of the set can verify a signature (seen twice), between 18:48 and 18:49 UTC; no token verifies",
		event.SetNoSigningKeysDetails{Keys: 1, Confirmation: confirmation()}), "corp-idp: signing keys are back (seen twice), since 19:20 UTC")
	lasting(add, told(event.SetCountUnexpected, event.SeverityMedium, event.Unexpected,
		"corp-idp: 4 signing keys, which is outside what is declared, since 18:12 UTC; one may not be theirs",
		event.SetCountUnexpectedDetails{Code: "keys", Keys: 4}), "corp-idp: as many signing keys as declared again, since 19:20 UTC")
	lasting(add, told(event.EndpointNoisy, event.SeverityMedium, event.Unexpected,
		"corp-idp: more than 60 events in an hour: the rest is counted for 10 minutes from 18:49 UTC; show the endpoint to see what it serves",
		event.EndpointNoisyDetails{Since: new(before()), Types: []event.NoiseType{
			{Type: event.KeyAdded, Severity: event.SeverityLow, Count: 212, First: new(before()), Last: new(now())},
		}}), "corp-idp: what was withheld is counted, since 19:20 UTC")
	add(string(event.DiscoveryEndpointMoved), told(event.DiscoveryEndpointMoved, event.SeverityCritical, event.Unexpected,
		"corp-idp: token_endpoint moved out of the issuer's domain (seen twice), between 18:48 and 18:49 UTC; codes and client secrets go there",
		event.DiscoveryEndpointMovedDetails{
			Document: "https://login.corp.example/.well-known/openid-configuration", Confirmation: confirmation(),
			Members: []event.MovedMember{{
				Name: "token_endpoint", Code: "other_domain",
				Before: new("login.corp.example"), After: new("https://login.elsewhere.example/token"),
			}},
		}))
}

// told is an event of corp-idp about its set or its way.
func told(t event.Type, s event.Severity, v event.Verdict, message string, details any) event.Event {
	e := step(corpIDP(), t, s, v, message, nil)
	e.Data.Details = details
	return e
}

// about is an event of corp-idp about one key.
func about(kid string, t event.Type, s event.Severity, v event.Verdict, message string, details any) event.Event {
	e := step(corpIDP(), t, s, v, message, young(rsa(kid)))
	e.Data.Details = details
	return e
}

// lasting adds a condition that opens and its closing.
func lasting(add func(string, event.Event), e event.Event, over string) {
	name := string(e.Data.Event.Type)
	add(name, opened(e))
	o := opened(e)
	add(name+".closed", closed(o, over))
}
