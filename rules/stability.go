package rules

import "time"

func (s *step) stabilityPassing(*answer) {}

func (s *step) stabilityReview() time.Time { return time.Time{} }
