package rules

// Observe returns the flaws of the way of one answer, or of the way to none, by
// the book and in its order.
func Observe(book []Rule, s *Sight) []Flaw {
	var out []Flaw
	for i := range book {
		if book[i].Observe == nil {
			continue
		}
		for _, f := range book[i].Observe(s) {
			f.Rule = &book[i]
			if f.Severity == 0 {
				f.Severity = book[i].Severity
			}
			out = append(out, f)
		}
	}
	return out
}
