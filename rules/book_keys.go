package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfKeys has the rules that are about a key.
func bookOfKeys() []Rule {
	return []Rule{
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
	}
}
