package event_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
)

// The table of README.md lists every type once, in the order of Types, with the
// mark of a condition where a golden event closes one.
func TestReadmeTypes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "\n## Types\n")
	if !ok {
		t.Fatal("README.md has no section Types")
	}
	var have []event.Type
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| ([^|]+) \\| ([a-z]+) \\| [^|]+ \\|$").FindAllStringSubmatch(table, -1) {
		typ := event.Type(row[1])
		have = append(have, typ)
		var s event.Severity
		if err := s.UnmarshalText([]byte(row[3])); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
		closes := slices.ContainsFunc(samples(), func(s sample) bool { return s.name == string(typ)+".closed" })
		if strings.HasSuffix(row[2], ", cond.") != closes {
			t.Errorf("%s: the table says %q, a golden closing event is there: %v", typ, row[2], closes)
		}
	}
	if !slices.Equal(have, event.Types()) {
		t.Errorf("types in the table %q, in the package %q", have, event.Types())
	}
}
