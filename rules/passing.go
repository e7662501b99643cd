package rules

import "time"

// passing judges what time alone brings about, after each complete answer: a
// claim that had to settle, a rotation that is overdue, a key that grew too old.
func (s *step) passing(x *answer) {
	s.stabilityPassing(x)
	s.rotationPassing(x)
	s.declaredPassing(x)
	s.windowsPassing(x)
	s.sequencePassing(x)
}

// review is when the next answer must be judged even if it shows nothing new;
// zero for never.
func (s *step) review() time.Time {
	var next time.Time
	for _, t := range [...]time.Time{s.stabilityReview(), s.rotationReview(), s.healthReview(), s.declaredReview(), s.windowsReview(), s.floodReview(), s.sequenceReview()} {
		if !t.IsZero() && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	return next
}

// remembered are the flaws of an answer that the document alone does not show:
// what was found of its keys, here or elsewhere.
func (s *step) remembered(x *answer) []Flaw {
	if !x.valid() {
		return nil
	}
	return s.recalled(x)
}
