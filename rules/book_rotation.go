package rules

// bookOfRotation has the rules that judge how keys follow each other in time.
func bookOfRotation() []Rule { return nil }
