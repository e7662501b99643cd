package rules

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
)

// Book is the built-in book of rules. Order is the order of the catalogue and
// of events within one step. Severities and reasons are those that were
// replayed over real issuers; who changes one replays first.
func Book() []Rule {
	return slices.Concat(
		bookOfSets(), bookOfHistory(),
		bookOfKeys(), bookOfHealth(), bookOfRotation(), bookOfDeclarations(),
		bookOfWay(), bookOfFleet(),
	)
}

func standards(attack ...string) event.Standards {
	return event.Standards{Attack: attack, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{"NHI3:2025"}}
}

func monitoring() event.Standards {
	return event.Standards{Attack: []string{}, NISTCSF: []string{"DE.CM-06"}, OWASPNHI: []string{}}
}
