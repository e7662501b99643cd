package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfSets has the rules that are about a whole set.
func bookOfSets() []Rule {
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
	}
}
