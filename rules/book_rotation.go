package rules

import "github.com/jwkswatch/jwkswatch/event"

// bookOfRotation has the rules that judge how keys follow each other in time.
func bookOfRotation() []Rule {
	return []Rule{
		{
			ID: "key-overage", Type: event.KeyOverage, Judge: keyOverage,
			Title: "A key is older than it may be", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "A key that is never replaced gives a thief all the time there is (NHI7).",
			Standards: event.Standards{Attack: []string{"T1606"}, NISTCSF: []string{"ID.AM-08"}, OWASPNHI: []string{"NHI7:2025"}},
		},
		{
			ID: "set-count-unexpected", Type: event.SetCountUnexpected, Judge: setCountUnexpected,
			Title: "Number or algorithms of the signing keys are not as declared", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "One key more than there should be can sign too, and an algorithm that nobody uses is not there for the issuer's sake.",
			Standards: standards("T1606"),
		},
		{
			ID: "rotation-completed", Type: event.RotationCompleted, Judge: completed,
			Title: "A rotation is done", Severity: event.SeverityInformational, Verdict: event.Informational,
			Why:       "Evidence that keys are replaced, and of how long the old and the new one stood together.",
			Standards: monitoring(),
		},
		{
			ID: "rotation-removed-early", Type: event.RotationRemovedEarly, Judge: removedEarly,
			Title: "A signing key went before its successor was known", Severity: event.SeverityHigh, Verdict: event.Unexpected,
			Why:       "Caches do not hold the new key yet and tokens of the old one still live: logins fail until both have expired.",
			Standards: standards("T1489"),
		},
		{
			ID: "rotation-off-cadence", Type: event.RotationOffCadence, Judge: rotationOffCadence,
			Title: "A rotation out of its rhythm", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "Issuers rotate by the calendar. One that comes early is an emergency there, or somebody else's key.",
			Standards: standards("T1606", "T1484.002"),
		},
		{
			ID: "rotation-overdue", Type: event.RotationOverdue, Judge: rotationOverdue,
			Title: "The next rotation does not come", Severity: event.SeverityMedium, Verdict: event.Unexpected,
			Why:       "A rotation that fails silently leaves keys in use that were to be retired; the next one is then made in haste.",
			Standards: event.Standards{Attack: []string{}, NISTCSF: []string{"ID.AM-08"}, OWASPNHI: []string{"NHI7:2025"}},
		},
	}
}
