package main

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/watcher"
)

// TestAFullDiskIsOneTrouble holds a state to its steps: while they fail, that a
// small write finds room ends nothing.
func TestAFullDiskIsOneTrouble(t *testing.T) {
	t.Parallel()
	var h health
	full := errors.New("no space left on device")
	begin := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var s watcher.Stats
	room := error(nil)
	writes := 0
	writable := func(context.Context) error { writes++; return room }
	for _, c := range []struct {
		second int
		failed bool  // a step, in this second
		room   error // for a small write
		is     bool
	}{
		{0, false, nil, false},
		{1, true, nil, true},
		{6, true, nil, true},
		{12, true, nil, true},
		{21, false, nil, true},
		{22, false, full, true}, // the first small write
		{31, false, nil, true},
		{32, false, nil, false}, // the second
		{33, false, nil, false},
		{50, true, full, true},
		{55, false, nil, true},
	} {
		if c.failed {
			s.StoreErrs++
			s.StoreErr = fmt.Errorf("step: %w", full)
		}
		room = c.room
		since, cause := h.failing(begin.Add(time.Duration(c.second)*time.Second), s, writable)
		if since.IsZero() == c.is || c.is != errors.Is(cause, full) {
			t.Errorf("second %d: since %v, because of %v", c.second, since, cause)
		}
		if c.is && c.second < 32 && !since.Equal(begin.Add(time.Second)) {
			t.Errorf("second %d: since %v", c.second, since)
		}
	}
	if writes != 2 {
		t.Errorf("%d writes to find out", writes)
	}
	s.StoreErrs++
	h.failing(begin.Add(100*time.Second), s, writable)
	h.failing(begin.Add(120*time.Second), s, func(context.Context) error {
		if !h.mu.TryLock() { // a write may hang
			t.Fatal("who asks what is known waits for the small write")
		}
		h.mu.Unlock()
		return full
	})
}
