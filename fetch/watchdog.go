package fetch

import (
	"context"
	"sync"
	"time"
)

// watchdog cancels requests that take too long. All requests of a client share
// one timer, armed for the earliest end: a timer for each would wake the
// runtime's poller on each request, which costs more than hashing the body.
type watchdog struct {
	mu    sync.Mutex
	timer *time.Timer
	armed time.Time // when the timer fires; zero: not armed
	under map[*watched]struct{}
}

// watched is a request under way.
type watched struct {
	dog    *watchdog
	end    time.Time
	cancel context.CancelCauseFunc
}

// watch ends the request at the time unless it is released before.
func (d *watchdog) watch(end time.Time, cancel context.CancelCauseFunc) *watched {
	w := &watched{d, end, cancel}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.under == nil {
		d.under = map[*watched]struct{}{}
	}
	d.under[w] = struct{}{}
	d.arm(end)
	return w
}

func (w *watched) release() {
	w.dog.mu.Lock()
	defer w.dog.mu.Unlock()
	delete(w.dog.under, w)
}

// arm makes the timer fire no later than the time. It is never put off: a timer
// that fires too early finds nothing to do.
func (d *watchdog) arm(at time.Time) {
	if !d.armed.IsZero() && !at.Before(d.armed) {
		return
	}
	d.armed = at
	if d.timer == nil {
		d.timer = time.AfterFunc(time.Until(at), d.bark)
		return
	}
	d.timer.Reset(time.Until(at))
}

// bark cancels what is over its time and arms the timer for the next end.
func (d *watchdog) bark() {
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.armed = time.Time{}
	var next time.Time
	for w := range d.under {
		if !w.end.After(now) {
			w.cancel(context.DeadlineExceeded)
			delete(d.under, w)
			continue
		}
		if next.IsZero() || w.end.Before(next) {
			next = w.end
		}
	}
	if !next.IsZero() {
		d.arm(next)
	}
}
