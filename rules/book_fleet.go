package rules

// bookOfFleet has the rules that need more than one endpoint or address.
func bookOfFleet() []Rule { return nil }
