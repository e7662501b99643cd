package rules

func (s *step) sharedFlaws(*answer) []Flaw { return nil }
