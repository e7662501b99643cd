package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfDeclarations has the rules that hold what happened against what was
// announced.
func bookOfDeclarations() []Rule {
	return []Rule{
		{
			ID: "rotation-approved-change", Type: event.RotationApprovedChange, Judge: approvedChange,
			Title: "An announced change came", Severity: event.SeverityInformational, Verdict: event.Expected,
			Why:       "Evidence of control: somebody said before what would come, and it came.",
			Standards: monitoring(),
		},
		{
			ID: "rotation-missed", Type: event.RotationMissed, Judge: rotationMissed,
			Title: "An announced change did not come", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Either the plan changed and nobody said so, or the announcement was not the owner's.",
			Standards: monitoring(),
		},
	}
}
