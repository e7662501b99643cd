//go:build unix

package rules_test

import (
	"fmt"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// many is a set of so many keys, all with other material in another round.
func many(n, round int, more string) []byte {
	words := make([]string, n)
	for i := range words {
		words[i] = fmt.Sprintf("M%d-%d:k%d%s", round, i, i, more)
	}
	return doc(words...)
}

// spent is the processor time of this process: other work on the machine does
// not count.
func spent(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cost is the processor time of the step that decides on the change between two documents.
func cost(t *testing.T, before, after []byte) time.Duration {
	t.Helper()
	p := rules.Policy{Endpoint: "corp-idp", URL: "https://idp.example/jwks", Interval: time.Minute}
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	m, _ := history.Decode(nil)
	old, now := jwks.Parse(before), jwks.Parse(after)
	m = rules.Step(rules.Book(), m, rules.Observation{At: at, Set: old}, p).Memory
	m = rules.Step(rules.Book(), m, rules.Observation{At: at.Add(time.Minute), After: at, Set: now}, p).Memory
	if m.Pending == nil {
		t.Fatal("no claim")
	}
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // or it would count what others left behind
	best := time.Hour
	for range 3 {
		start := spent(t)
		out := rules.Step(rules.Book(), m, rules.Observation{At: at.Add(61 * time.Second), After: at.Add(time.Minute), Set: now}, p)
		best = min(best, spent(t)-start)
		if len(out.Findings) == 0 {
			t.Fatal("nothing was told")
		}
	}
	return best
}

func TestCostIsLinearInWhatAnIssuerChanges(t *testing.T) {
	alias := func(n, round int) []byte { // one key under thousands of labels
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("A:k%d-%d:alg=R%d", round, i, round)
		}
		return doc(words...)
	}
	pairs := func(n, round int) []byte { // repeated kids
		words := make([]string, n)
		for i := range words {
			words[i] = fmt.Sprintf("P%d:k%d-%d", i, round, i/2)
		}
		return doc(words...)
	}
	for _, tt := range []struct {
		name string
		keys int
		sets func(n int) (before, after []byte)
	}{
		{"mutated", jwks.MaxKeys, func(n int) ([]byte, []byte) { return many(n, 0, ""), many(n, 1, "") }},
		{"aliases", 2048, func(n int) ([]byte, []byte) { return alias(n, 0), alias(n, 1) }},
		{"altered", 2048, func(n int) ([]byte, []byte) {
			return alias(n, 0), []byte(strings.ReplaceAll(string(alias(n, 0)), `"R0"`, `"R1"`))
		}},
		{"repeated", 2048, func(n int) ([]byte, []byte) { return pairs(n, 0), pairs(n, 1) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, after := tt.sets(tt.keys / 8)
			small := cost(t, before, after)
			before, after = tt.sets(tt.keys)
			large := cost(t, before, after)
			t.Logf("%d keys %v, %d keys %v", tt.keys/8, small, tt.keys, large)
			// Eight times the keys: squares would be 64 times. Times below those of
			// squares say more of the machine than of the step.
			if ratio := float64(large) / float64(max(small, time.Millisecond)); ratio > 16 && large > 200*time.Millisecond {
				t.Errorf("%.1f times the cost for 8 times the keys", ratio)
			}
			if large > 1500*time.Millisecond { // about 100 ms, and ten times that under the race detector
				t.Errorf("a step takes %v", large)
			}
		})
	}
}
