package watcher

import (
	"cmp"
	"container/heap"
	"context"
	"math"
	"time"
)

// finished is a poll that ended and when the endpoint is due again.
type finished struct {
	s    *slot
	next time.Duration
}

// schedule hands out endpoints as they fall due until the context ends and all
// polls under way are back. It alone touches the queue.
func (w *Watcher) schedule(ctx context.Context, q *queue, workers *crew, done <-chan finished) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	every := cmp.Or(w.TurnEvery, 5*time.Second)
	busy := 0
	begun := time.Now()
	w.begun.Store(&begun)
	stop := ctx.Done()
	for stop != nil || busy > 0 {
		workers.grow(len(q.order) + busy)
		now := time.Now()
		w.turned.Store(int64(now.Sub(begun)))
		s, wait := q.first(), every
		w.top.Store(math.MaxInt64)
		var out chan<- *slot
		if s != nil && stop != nil {
			w.top.Store(int64(s.due.Sub(begun)))
			if wait = min(wait, s.due.Sub(now)); wait <= 0 {
				out, wait = workers.jobs, every
				s.adopt()
			}
		}
		timer.Reset(wait)
		select {
		case <-stop:
			stop = nil
		case out <- s:
			busy++
			q.remove(s)
		case f := <-done:
			busy--
			w.back(q, f)
		case u := <-w.fleet.updates:
			w.observer.Store(&u.observer)
			w.replace(q, u.endpoints)
			close(u.applied)
		case <-timer.C:
		}
	}
}

// back puts an endpoint whose poll ended in line again.
func (w *Watcher) back(q *queue, f finished) {
	switch s := f.s; {
	case s.gone:
		delete(q.leaving, s.want.Name)
	case s.changed:
		q.put(s, time.Now().Add(min(f.next, w.soon(s.want, 1))))
	default:
		q.put(s, time.Now().Add(f.next))
	}
}

// queue is a heap of endpoints by due time. Those under way are not in it.
type queue struct {
	order   []*slot
	leaving map[string]*slot // no longer configured, with a poll under way
}

// first is the endpoint that is due first, nil when all are under way.
func (q *queue) first() *slot {
	if len(q.order) == 0 {
		return nil
	}
	return q.order[0]
}

// put moves an endpoint to its due time, and into the queue if it is not there.
func (q *queue) put(s *slot, due time.Time) {
	s.mu.Lock()
	s.due = due
	s.mu.Unlock()
	if s.at < 0 {
		heap.Push(q, s)
	} else {
		heap.Fix(q, s.at)
	}
}

func (q *queue) remove(s *slot) { heap.Remove(q, s.at) }

// heap.Interface: not to be called from elsewhere.

func (q *queue) Len() int           { return len(q.order) }
func (q *queue) Less(a, b int) bool { return q.order[a].due.Before(q.order[b].due) }

func (q *queue) Swap(a, b int) {
	q.order[a], q.order[b] = q.order[b], q.order[a]
	q.order[a].at, q.order[b].at = a, b
}

func (q *queue) Push(x any) {
	s := x.(*slot)
	s.at = len(q.order)
	q.order = append(q.order, s)
}

func (q *queue) Pop() any {
	n := len(q.order) - 1
	s := q.order[n]
	q.order[n] = nil
	q.order = q.order[:n]
	s.at = -1
	return s
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
