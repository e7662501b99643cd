package rules

// bookOfHistory has the rules that judge by the stability of an endpoint: what comes back, alternates or stays for a moment.
func bookOfHistory() []Rule { return nil }
