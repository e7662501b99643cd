package watcher

import (
	"container/heap"
	"context"
	"time"
)

// finished is a poll that ended and when the endpoint is due again.
type finished struct {
	i    int32
	next time.Duration
}

// schedule hands out endpoints as they fall due until the context ends and all
// polls under way are back.
func (w *Watcher) schedule(ctx context.Context, jobs chan<- int32, done <-chan finished) {
	q := newQueue(len(w.Endpoints))
	start := time.Now()
	// The first polls are spread so that a large fleet does not start at once,
	// and no longer than that: until its first poll an endpoint is not watched.
	spread := time.Second + time.Duration(len(w.Endpoints))*2*time.Millisecond
	for i := range w.Endpoints {
		within := min(w.Endpoints[i].Interval, spread)
		q.due[i] = start.Add(time.Duration(w.phase(w.Endpoints[i].Name) * float64(within)))
	}
	heap.Init(q)
	timer := time.NewTimer(0)
	defer timer.Stop()
	busy := 0
	stop := ctx.Done()
	for stop != nil || busy > 0 {
		var out chan<- int32
		i := q.order[0]
		if stop != nil {
			if wait := time.Until(q.due[i]); wait <= 0 {
				out = jobs
			} else {
				timer.Reset(wait)
			}
		}
		select {
		case <-stop:
			stop = nil
		case out <- i:
			busy++
			q.set(i, never)
		case f := <-done:
			busy--
			q.set(f.i, time.Now().Add(f.next))
		case <-timer.C:
		}
	}
}

// never is later than any poll: endpoints under way wait there.
var never = time.Unix(1<<40, 0)

// queue is a heap of endpoints by due time. Nothing is ever pushed or popped:
// an endpoint only moves.
type queue struct {
	due   []time.Time
	order []int32 // the heap
	at    []int32 // where an endpoint stands in order
}

func newQueue(n int) *queue {
	q := &queue{make([]time.Time, n), make([]int32, n), make([]int32, n)}
	for i := range n {
		q.order[i], q.at[i] = int32(i), int32(i)
	}
	return q
}

func (q *queue) set(i int32, due time.Time) {
	q.due[i] = due
	heap.Fix(q, int(q.at[i]))
}

func (q *queue) Len() int           { return len(q.order) }
func (q *queue) Less(a, b int) bool { return q.due[q.order[a]].Before(q.due[q.order[b]]) }
func (q *queue) Push(any)           {} // heap.Interface wants them; see above
func (q *queue) Pop() any           { return nil }

func (q *queue) Swap(a, b int) {
	q.order[a], q.order[b] = q.order[b], q.order[a]
	q.at[q.order[a]], q.at[q.order[b]] = int32(a), int32(b)
}

// regular is the time to the next poll: the interval less a secret share of up
// to a fifth, so that the interval is a promise and the moment a secret.
func (w *Watcher) regular(interval time.Duration) time.Duration {
	return interval - time.Duration(w.random()*0.2*float64(interval))
}

// retry is the time to the next poll after so many failures in a row: soon at
// first, since most failures are short, then the interval, then up to four.
func (w *Watcher) retry(interval time.Duration, failures int) time.Duration {
	wait := interval
	switch {
	case failures == 1:
		wait = min(5*time.Second, interval)
	case failures == 2:
		wait = min(30*time.Second, interval)
	case failures > 6:
		wait = min(4*interval, interval<<min(failures-6, 3))
	}
	return w.regular(wait)
}
