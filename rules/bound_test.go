package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// TestIssuerCannotMakeAStepThatCannotBeStored serves as many keys as are read,
// with labels as long as are read, other ones and leaking ones, told without a
// second look and put aside.
func TestIssuerCannotMakeAStepThatCannotBeStored(t *testing.T) {
	long := strings.Repeat("x", 520)
	fat := func(round string) []byte {
		var b strings.Builder
		b.WriteString(`{"keys":[`)
		for i := range jwks.MaxKeys {
			label := fmt.Sprintf("%s-%d-%s", round, i, long)
			fmt.Fprintf(&b, `{"kty":"RSA","n":"AQ%sA%04d","e":"AQAB","kid":"%s","d":"x","key_ops":["verify","%[3]s"],"alg":"%[3]s","issuer":"%[3]s","x5u":"%[3]s","exp":"%[3]s","nbf":"%[3]s"},`, round, i, label)
		}
		return []byte(strings.TrimSuffix(b.String(), ",") + "]}")
	}
	p := rules.Policy{Endpoint: "corp-idp", URL: "https://idp.example/jwks", Interval: time.Minute}
	m, _ := history.Decode(nil)
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	step := func(name string, set *jwks.Set) {
		t.Helper()
		o := rules.Observation{At: at, After: at.Add(-time.Minute), Set: set}
		if set == nil {
			o.Failure = &rules.Failure{Phase: "dial", Count: 1, Since: at}
		}
		m = rules.Step(rules.Book(), m, o, p).Memory
		at = at.Add(time.Minute)
		if name != "put aside" {
			return // the largest memory is what counts
		}
		b, err := m.Encode()
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d octets, %d live", name, len(b), len(m.Live))
		if len(b) > 48<<20 { // of the 64 MiB that a state takes
			t.Errorf("%s: a memory of %d octets", name, len(b))
		}
	}
	next := jwks.Parse(fat("b"))
	if len(next.Body) < history.MaxBody {
		t.Fatal("the answer is not large enough")
	}
	step("baseline", jwks.Parse(fat("a")))
	step("pending", next)
	if m.Pending == nil || m.Pending.Body != nil {
		t.Error("a large answer is kept whole while it waits")
	}
	step("told", nil)
	step("put aside", jwks.Parse(doc()))
	step("decided", next)
	if len(m.Live) != jwks.MaxKeys || m.Pending != nil {
		t.Errorf("%d live, pending %v", len(m.Live), m.Pending != nil)
	}
}
