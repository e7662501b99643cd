package sinks

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff bounds the pause between two attempts. The zero value is 250 ms to
// 30 s.
type Backoff struct {
	Min, Max time.Duration
}

func (b Backoff) bounds() (shortest, longest time.Duration) {
	shortest, longest = b.Min, b.Max
	if shortest <= 0 {
		shortest = 250 * time.Millisecond
	}
	if longest <= 0 {
		longest = 30 * time.Second
	}
	return shortest, max(shortest, longest)
}

// pause is the time before attempt n+1, n from 1: full jitter, so that many
// agents do not come back to a mended broker in step.
func (b Backoff) pause(n int) time.Duration {
	shortest, longest := b.bounds()
	ceiling := shortest
	for range n - 1 {
		if ceiling >= longest/2 {
			ceiling = longest
			break
		}
		ceiling *= 2
	}
	return rand.N(ceiling) + 1
}

// longest is a pause with the jitter of the longest interval.
func (b Backoff) longest() time.Duration {
	_, longest := b.bounds()
	return rand.N(longest) + 1
}

// sleep waits for d. It ends early with work, and when stop is cancelled while
// it sleeps: what is left of the grace is for attempts, not for pauses.
func sleep(stop, work context.Context, d time.Duration) {
	stopping := stop.Done()
	if stop.Err() != nil {
		stopping = nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-stopping:
	case <-work.Done():
	}
}
