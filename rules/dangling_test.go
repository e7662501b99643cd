package rules_test

import (
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// TestNamesThatAreForTheTaking holds the other ways in which a name may become
// somebody else's.
func TestNamesThatAreForTheTaking(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		polls   int
		failure rules.Failure
		want    string // code and target
	}{
		"an alias of nothing":          {3, rules.Failure{Phase: "resolve", Code: "nxdomain", Alias: "gone.cloud.test", OthersResolve: true}, "alias_nxdomain gone.cloud.test"},
		"an alias, and no resolver":    {3, rules.Failure{Phase: "resolve", Code: "nxdomain", Alias: "gone.cloud.test"}, ""},
		"a platform":                   {3, rules.Failure{Phase: "tls", Code: "wrong_name", Platform: "platform.test"}, "provider_default platform.test"},
		"a platform, seen once":        {1, rules.Failure{Phase: "tls", Code: "wrong_name", Platform: "platform.test"}, ""},
		"a wrong name of somebody":     {3, rules.Failure{Phase: "tls", Code: "wrong_name"}, ""},
		"a platform that has expired":  {3, rules.Failure{Phase: "tls", Code: "expired", Platform: "platform.test"}, ""},
		"text that nobody should show": {3, rules.Failure{Phase: "resolve", Code: "nxdomain", Alias: "a\x1b.test", OthersResolve: true}, "alias_nxdomain a\ufffd.test"},
	} {
		s := newSim(t)
		fails(c.polls, c.failure)(s)
		var got strings.Builder
		for _, f := range s.openings(event.EndpointDangling) {
			d := f.Details.(*event.EndpointDanglingDetails)
			got.WriteString(d.Code + " " + *d.Target)
			if f.Severity != event.SeverityHigh {
				t.Errorf("%s: %s", name, f.Severity)
			}
		}
		if got.String() != c.want {
			t.Errorf("%s: %q, want %q", name, got.String(), c.want)
		}
		polls(doc("A:a"), doc("A:a"))(s)
		if n := len(s.memory().Conditions); n != 0 {
			t.Errorf("%s: %d conditions after it is over", name, n)
		}
	}
}
