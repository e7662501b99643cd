package watcher_test

import (
	"context"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestExchangesInARow exchanges a second key between the two looks at the first
// exchange. Each is told as what it is; no key was removed, and nothing rotated.
func TestExchangesInARow(t *testing.T) {
	t.Parallel()
	bubble(t, time.Minute, func(h *watched, issuer *lab.Issuer) {
		time.Sleep(3 * time.Minute)
		issuer.Mutate("k0")
		if err := issuer.Await(context.Background(), issuer.Count()+1); err != nil {
			t.Error(err)
		}
		issuer.Mutate("k1")
		time.Sleep(10 * time.Minute)
		h.expect("informational baseline.established", "critical key.mutated k0", "critical key.mutated k1")
	})
}
