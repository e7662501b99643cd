package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

const (
	// aliveWithin is how long ago the scheduler's loop may have turned. It turns
	// at least every few seconds, whatever the endpoints do.
	aliveWithin = 30 * time.Second
	// writableFor is how long an answer about the state is good for: a probe
	// must not become a load of writes.
	writableFor = 10 * time.Second
	// writableWithin is how long a probe waits for the state. A disk that hangs
	// answers nothing, and the probe must.
	writableWithin = 5 * time.Second
)

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/livez", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.live()) })
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, r *http.Request) {
		err := s.live()
		if err == nil {
			err = s.ready.check(r.Context(), s.Writable, s.Log)
		}
		answer(w, err)
	})
	mux.Handle("/metrics", s.metrics())
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "jwkswatch\n/metrics  for Prometheus\n/livez    does the agent turn\n/readyz   and can it write its state\n")
	})
	return s.guard(mux)
}

// answer is one line: ok, or the reason why not. Reasons are fixed words, since
// who asks need not show a token; the log has the rest.
func answer(w http.ResponseWriter, err error) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusServiceUnavailable)
		_, _ = fmt.Fprintln(w, err)
		return
	}
	_, _ = io.WriteString(w, "ok\n")
}

// live says why the agent should be restarted. Whether issuers answer is no
// part of it: a restart mends no issuer, and would blind us to the others.
func (s *Server) live() error {
	turned := s.Alive()
	if turned.IsZero() {
		return errors.New("the schedule has not begun")
	}
	if ago := time.Since(turned); ago > aliveWithin {
		return fmt.Errorf("the schedule last turned %d s ago", int64(ago/time.Second))
	}
	return nil
}

var (
	errNoAnswer   = errors.New("the state does not answer")
	errUnwritable = errors.New("the state cannot be written")
)

// probe asks whether the state can be written: once at a time, and at most
// every writableFor.
type probe struct {
	mu      sync.Mutex
	at      time.Time     // of the answer; zero: none yet
	err     error         // the answer
	running chan struct{} // closed when the question under way is answered; nil: none is
	ended   bool          // nothing is asked any more: the state is being closed
	asked   sync.WaitGroup
}

// check returns the answer that is still good, or asks. It gives up waiting
// after writableWithin, while the question goes on: a write that hangs cannot
// be called back, and must not be joined by another one.
func (p *probe) check(ctx context.Context, writable func(context.Context) error, log zerolog.Logger) error {
	p.mu.Lock()
	if p.running == nil {
		if !p.at.IsZero() && time.Since(p.at) < writableFor {
			defer p.mu.Unlock()
			return p.err
		}
		if p.ended {
			defer p.mu.Unlock()
			return errNoAnswer
		}
		p.running = make(chan struct{})
		p.asked.Go(func() { p.ask(context.WithoutCancel(ctx), writable, log) })
	}
	running := p.running
	p.mu.Unlock()
	wait := time.NewTimer(writableWithin)
	defer wait.Stop()
	select {
	case <-running:
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.err
	case <-ctx.Done():
	case <-wait.C:
	}
	return errNoAnswer
}

// ask outlives the request that caused it: who hangs up must not spoil the
// answer for the others.
func (p *probe) ask(ctx context.Context, writable func(context.Context) error, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, writableWithin)
	defer cancel()
	err := writable(ctx)
	p.mu.Lock()
	defer p.mu.Unlock()
	if (err == nil) != (p.err == nil) { // once each way, however often one asks
		if err != nil {
			log.Error().Err(err).Msg("not ready: the state cannot be written")
		} else {
			log.Info().Msg("ready again: the state can be written")
		}
	}
	p.at, p.err = time.Now(), nil
	if err != nil {
		p.err = errUnwritable
	}
	close(p.running)
	p.running = nil
}

// end returns when no question is under way, and lets none begin.
func (p *probe) end() {
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.asked.Wait()
}
