package rules

import "github.com/jwkswatch/jwkswatch/event"

// Book is the built-in book of rules. Order is the order of the catalogue and
// of events within one step. Severities and reasons are those that were
// replayed over real issuers; who changes one replays first.
func Book() []Rule {
	return []Rule{
		{
			ID: "baseline-established", Type: event.BaselineEstablished, Judge: baseline,
			Title: "First sight of an endpoint", Severity: event.SeverityInformational, Verdict: event.Informational,
			Why:       "Everything after is judged against this set. Whatever was wrong before is in it.",
			Standards: monitoring(),
		},
		{
			ID: "set-replaced", Type: event.SetReplaced, Judge: setReplaced,
			Title: "No signing key of the last set survives", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "A hard cut-over fails every token in flight; a takeover of the issuer looks the same.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "set-emptied", Type: event.SetEmptied, Judge: setEmptied,
			Title: "The set holds no keys any more", Severity: event.SeverityCritical, Verdict: event.Unexpected,
			Why:       "No token of this issuer can be verified. The known keys stay the baseline.",
			Standards: standards("T1489"),
		},
		{
			ID: "set-ambiguous-repeated-member", Type: event.SetAmbiguous, Inspect: repeatedMember,
			Title: "A JSON member stands twice", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "RFC 8259 leaves open which of two equal names counts, so two verifiers trust different keys (CWE-436).",
			Standards: standards("T1606"),
		},
		{
			ID: "set-ambiguous-repeated-kid", Type: event.SetAmbiguous, Inspect: repeatedKid,
			Title: "One kid stands for several keys", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers that look keys up by kid take the first or the last: a second key under a trusted label.",
			Standards: standards("T1606"),
		},
		{
			ID: "set-ambiguous-missing-kid", Type: event.SetAmbiguous, Inspect: missingKid,
			Title: "A key without a kid among several", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers must try keys in turn, and do it in different orders.",
			Standards: monitoring(),
		},
		{
			ID: "set-ambiguous-case", Type: event.SetAmbiguous, Inspect: caseVariant,
			Title: "Member names that differ in case only", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Readers that ignore case see other keys than readers that follow RFC 7517.",
			Standards: standards("T1606"),
		},
		{
			ID: "set-ambiguous-utf8", Type: event.SetAmbiguous, Inspect: invalidUTF8,
			Title: "Text that is not well-formed UTF-8", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Readers replace ill-formed octets, and two different kids become one.",
			Standards: standards("T1606"),
		},
		{
			ID: "key-mutated", Type: event.KeyMutated, Judge: keyMutated,
			Title: "Other key material under the same kid", Severity: event.SeverityCritical, Verdict: event.Unexpected,
			Why:       "A kid names one key. Exchanging what it names breaks caches and hides a substitution; three of 363 real issuers did it in 15 months.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "key-kid-reused", Type: event.KeyKidReused, Judge: keyKidReused,
			Title: "A retired kid returns with other material", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Logs, caches and pins that still know the old key now trust another under its name.",
			Standards: standards("T1606"),
		},
		{
			ID: "key-added", Type: event.KeyAdded, Judge: keyAdded,
			Title: "A key that was never seen here", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "Rotation begins like this; so does the use of an attacker's own signing key.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "key-reappeared", Type: event.KeyReappeared, Judge: keyReappeared,
			Title: "Key material that was gone returns", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "A stale cache or a restored backup; or the roll-back to a key that was retired because it was stolen.",
			Standards: standards("T1606"),
		},
		{
			ID: "key-relabelled", Type: event.KeyRelabelled, Judge: keyRelabelled,
			Title: "The same material under another kid", Severity: event.SeverityMedium, Verdict: event.Informational,
			Why:       "Tokens that name the old kid find no key although nothing else changed.",
			Standards: monitoring(),
		},
		{
			ID: "key-altered", Type: event.KeyAltered, Judge: keyAltered,
			Title: "alg, use or key_ops of a key changed", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "The purpose and algorithm of a key are part of what is trusted (RFC 8725 3.1): confusion of either forges tokens.",
			Standards: standards("T1606"),
		},
		{
			ID: "key-reencoded", Type: event.KeyReencoded, Judge: keyReencoded,
			Title: "The same number, written in another way", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "Leading zeros and padding break some verifiers, and make naive monitors cry mutation.",
			Standards: monitoring(),
		},
		{
			ID: "key-certificate-changed", Type: event.KeyCertificateChanged, Judge: keyCertificateChanged,
			Title: "x5c or x5t of a key changed, its material did not", Severity: event.SeverityInformational, Verdict: event.Informational,
			Why:       "Usually a renewal.",
			Standards: monitoring(),
		},
		{
			ID: "key-removed", Type: event.KeyRemoved, Judge: keyRemoved,
			Title: "A key is gone", Severity: event.SeverityInformational, Verdict: event.Informational,
			Why:       "Retirement. Caches may go on trusting it until trusted_until.",
			Standards: monitoring(),
		},
		{
			ID: "key-private", Type: event.KeyPrivate, Inspect: private,
			Title: "Private key material is published", Severity: event.SeverityCritical, Verdict: event.Unexpected,
			Why:       "Whoever reads the set can sign for anyone. Treat the key as stolen: replace it, do not merely hide it.",
			Standards: event.Standards{Attack: []string{"T1552.004"}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI2:2025"}},
		},
		{
			ID: "key-unparseable", Type: event.KeyUnparseable, Inspect: unparseable,
			Title: "An entry that cannot be read", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Many verifiers drop the whole set for one bad entry; others drop the entry.",
			Standards: monitoring(),
		},
		{
			ID: "document-invalid", Type: event.DocumentInvalid, Inspect: invalid,
			Title: "The answer is no JWK Set", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers that fetch now get no keys. The baseline stays: a broken answer removes nothing.",
			Standards: monitoring(),
		},
		{
			ID: "endpoint-unreachable", Type: event.EndpointUnreachable, Judge: unreachable,
			Title: "An endpoint does not answer", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "While it lasts nobody watches this issuer, and new verifiers cannot learn its keys.",
			Standards: monitoring(),
		},
		{
			ID: "endpoint-dangling", Type: event.EndpointDangling, Observe: dangling,
			Title: "The host exists no more in DNS", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Whoever registers the name serves the keys that tokens are verified with.",
			Standards: standards("T1584.001"),
		},
		{
			ID: "endpoint-tls-invalid", Type: event.EndpointTLSInvalid, Observe: tlsInvalid,
			Title: "The certificate is refused", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "A wrong name, an unknown CA and a pin that fails are what an interception looks like; an expired one is neglect.",
			Standards: standards("T1557"),
		},
		{
			ID: "endpoint-redirected", Type: event.EndpointRedirected, Observe: redirected,
			Title: "A redirect where none is allowed", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers that follow it take their keys from wherever it leads.",
			Standards: standards("T1557"),
		},
		{
			ID: "endpoint-certificate-changed", Type: event.EndpointCertificateChanged, Judge: certificateChanged,
			Title: "Another leaf certificate serves the set", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "Renewals come when they are due; a certificate from another CA beside new keys is a takeover of the host.",
			Standards: standards("T1557"),
		},
		{
			ID: "endpoint-cache-policy", Type: event.EndpointCachePolicy, Observe: cachePolicy,
			Title: "Caches keep the set for longer than is good", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "A key that is withdrawn because it was stolen is trusted until the last cache forgets it.",
			Standards: monitoring(),
		},
		{
			ID: "endpoint-content-type", Type: event.EndpointContentType, Observe: contentType,
			Title: "The set is not served as JSON", Severity: event.SeverityLow, Verdict: event.Informational,
			Why:       "Some verifiers refuse it, and error pages look the same.",
			Standards: monitoring(),
		},
		{
			ID: "discovery-moved", Type: event.DiscoveryMoved, Judge: moved,
			Title: "Discovery names a jwks_uri never seen before", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Who can write the discovery document chooses whose keys are trusted, without touching a key.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "discovery-issuer-mismatch", Type: event.DiscoveryIssuerMismatch, Observe: issuerMismatch,
			Title: "The discovery document is that of another issuer", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "RFC 8414 forbids its use; a client that does not compare trusts another issuer's keys (mix-up).",
			Standards: standards("T1606"),
		},
		{
			ID: "discovery-weakened", Type: event.DiscoveryWeakened, Judge: weakened,
			Title: "Discovery offers less protection than before", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Unsigned tokens, or tokens signed with a public key as a secret, are accepted by clients that follow the document.",
			Standards: standards("T1600.001"),
		},
	}
}

func standards(attack ...string) event.Standards {
	return event.Standards{Attack: attack, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI3:2025"}}
}

func monitoring() event.Standards {
	return event.Standards{Attack: []string{}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{}}
}
