package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfFleet has the rules that need more than one endpoint or address.
func bookOfFleet() []Rule {
	return []Rule{
		{
			ID: "key-shared", Type: event.KeyShared, Recall: keysShared,
			Title: "A key stands at two endpoints that have nothing to do with each other", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Who holds the private half signs for both: a copied sample, one provider behind two names, or a key planted at the second.",
			Standards: event.Standards{Attack: []string{"T1606", "T1552.004"}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI9:2025"}},
		},
		{
			ID: "set-split", Type: event.SetSplit, Recall: split,
			Title: "Addresses of one host serve different sets", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "A roll-out that is stuck lets verifiers disagree; a signing key at some addresses alone is a takeover of a part of the servers.",
			Standards: standards("T1557", "T1606"),
		},
	}
}
