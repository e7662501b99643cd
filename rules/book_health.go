package rules

// bookOfHealth has the rules that say what is wrong with a key or a set as such.
func bookOfHealth() []Rule { return nil }
