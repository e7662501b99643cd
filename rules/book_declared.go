package rules

// bookOfDeclarations has the rules that hold what happened against what was declared.
func bookOfDeclarations() []Rule { return nil }
