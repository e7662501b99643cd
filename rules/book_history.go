package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfHistory has the rules that judge by the stability of an endpoint: what comes back, alternates or stays for a moment.
func bookOfHistory() []Rule {
	return []Rule{
		{
			ID: "set-rolled-back", Type: event.SetRolledBack, Judge: setRolledBack,
			Title: "An older set is served again", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "A stale cache or a restored backup; or a deliberate return to keys that were withdrawn.",
			Standards: standards("T1606"),
		},
		{
			ID: "set-unstable", Type: event.SetUnstable, Judge: setUnstable,
			Title: "Answers alternate between known sets", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Nodes of the issuer are not equal: tokens verify or fail by chance, and a change hides among the flips. What was never seen is told all the same.",
			Standards: monitoring(),
		},
		{
			ID: "rotation-no-overlap", Type: event.RotationNoOverlap, Judge: rotationNoOverlap,
			Title: "The issuer replaces all its keys at once, by habit", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Tokens in flight fail at each rotation, and a takeover would look like every other one.",
			Standards: monitoring(),
		},
		{
			ID: "key-ephemeral", Type: event.KeyEphemeral, Judge: keyEphemeral,
			Title: "A signing key was there for a moment only", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Who held it could sign meanwhile, and the set looks clean to everybody who looks later.",
			Standards: standards("T1606", "T1070"),
		},
	}
}
