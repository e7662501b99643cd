package rules

import "time"

func (s *step) declaredPassing(*answer) {}

func (s *step) declaredReview() time.Time { return time.Time{} }

// declared holds findings against windows and approvals. It is the last word on
// their severity but for the operator's own rules.
func declared(*Case, []Finding) {}
