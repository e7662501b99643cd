package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfHealth has the rules that say what is wrong with a key or a set as such.
func bookOfHealth() []Rule {
	broken := event.Standards{Attack: []string{"T1600.001"}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI3:2025"}}
	return []Rule{
		{
			ID: "key-compromised", Type: event.KeyCompromised, Recall: compromised,
			Title: "A key whose private half is public", Severity: event.SeverityCritical, Verdict: event.Unexpected,
			Why:       "Sample keys of RFCs and libraries, and keys of past incidents, stand in production: whoever has the private half signs for anyone.",
			Standards: event.Standards{Attack: []string{"T1552.004", "T1606"}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI2:2025"}},
		},
		{
			ID: "key-weak", Type: event.KeyWeak, Inspect: weakLabels,
			Title: "A key that is too short, or with an alg that is not its own", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "RSA below 2,048 bits is within reach of those who care; HS256 or none on a public key prepares an algorithm confusion (RFC 8725).",
			Standards: broken,
		},
		{
			ID: "key-weak-material", Type: event.KeyWeak, Recall: weakMaterial,
			Title: "A key whose numbers are weak", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Faulty generators make keys that can be factored, or points that are none. Nobody sees it by looking at them.",
			Standards: broken,
		},
		{
			ID: "key-certificate-invalid", Type: event.KeyCertificateInvalid, Recall: certificates,
			Title: "The certificate of a key does not fit, or is not valid", Severity: event.SeverityLow, Verdict: event.Unexpected,
			Why:       "Some verifiers take the key from x5c and not from the entry: then the two must be one.",
			Standards: standards("T1606"),
		},
		{
			ID: "set-ambiguous-lookalike-kid", Type: event.SetAmbiguous, Inspect: lookalikes,
			Title: "Two kids that look alike", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "An attacker's key hides under a label that a reviewer, or a system that folds case and space, takes for a trusted one.",
			Standards: standards("T1606", "T1036"),
		},
		{
			ID: "set-ambiguous-kid-unsafe", Type: event.SetAmbiguous, Inspect: unsafeKids,
			Title: "A kid that attacks who uses it", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers were found that use a kid as a path, in a query or in a template without looking at it.",
			Standards: standards("T1190"),
		},
		{
			ID: "set-no-signing-keys", Type: event.SetNoSigningKeys, Recall: noSigningKeys,
			Title: "Nothing in the set can verify a signature", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Every token of the issuer fails, or its verifiers stop verifying.",
			Standards: standards("T1489"),
		},
		{
			ID: "set-breaks-verifiers", Type: event.SetBreaksVerifiers, Recall: breaksVerifiers,
			Title: "Decoders are known to fail on the set", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Many decoders drop the whole set for one entry that they do not understand: an outage for all who use them.",
			Standards: standards("T1489"),
		},
		{
			ID: "set-oversized", Type: event.SetOversized, Inspect: oversized,
			Title: "More keys, or more octets, than a set needs", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Verifiers with limits fail, and one rogue key among hundreds is not seen. The set is watched all the same.",
			Standards: monitoring(),
		},
	}
}
