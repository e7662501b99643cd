package rules

import "time"

func (s *step) rotationPassing(*answer) {}

func (s *step) rotationReview() time.Time { return time.Time{} }
