package watcher_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/state"
)

// rotten is a state that is damaged for one endpoint while it is told to be. Real
// damage is that of state/bolt's own tests; here it is only said.
type rotten struct {
	state.Store
	name string
	bad  atomic.Bool
}

func (r *rotten) Commit(ctx context.Context, t state.Txn) error {
	if r.bad.Load() && t.Next.Endpoint == r.name {
		return fmt.Errorf("%w: digest does not match", state.ErrCorrupt)
	}
	return r.Store.Commit(ctx, t)
}

// lines is a log that tests read.
type lines struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(b)
}

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.all.String(), text)
}

// TestDamageOfOneEndpoint holds that damage which concerns one endpoint is that
// endpoint's trouble: the others go on, the state counts as writable, the log has it
// once, and its end is seen.
func TestDamageOfOneEndpoint(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		one, pipe := &lab.Issuer{}, lab.NewPipe()
		stop := one.Serve(pipe)
		one.Publish(lab.ECFromSeed("k0", "P-256", "k0"))
		h := &watched{t: t, db: open(t, dir), dial: pipe}
		store := &rotten{Store: h.db, name: "idp"}
		h.store = store
		list := endpoint("idp", "http://idp.example/jwks", time.Minute)
		other := endpoint("other", "http://idp.example/other", time.Minute)
		list.Group, other.Group = "corp", "corp"
		h.make(list, other)
		log := &lines{}
		h.w.Log = zerolog.New(log)
		h.run()
		time.Sleep(5 * time.Minute)
		if d := h.w.Damaged(); len(d) != 0 {
			t.Errorf("damaged: %+v", d)
		}
		store.bad.Store(true)
		one.Add(lab.ECFromSeed("k1", "P-256", "k1"))
		time.Sleep(2 * time.Hour)
		d := h.w.Damaged()
		if len(d) != 1 || d[0].Endpoint != "idp" || d[0].Since.IsZero() || !strings.Contains(d[0].Cause, "digest does not match") {
			t.Errorf("damaged: %+v", d)
		}
		if s := h.w.Stats(); s.StoreErrs != 0 {
			t.Errorf("%d writes of the state failed", s.StoreErrs)
		}
		if n := log.count("digest does not match"); n != 1 {
			t.Errorf("the log has it %d times in two hours", n)
		}
		if got := h.perEndpoint()["other"]; len(got) != 2 {
			t.Errorf("told of the other: %q", got)
		}
		store.bad.Store(false)
		time.Sleep(5 * time.Minute)
		if d := h.w.Damaged(); len(d) != 0 {
			t.Errorf("damaged: %+v", d)
		}
		if got := h.perEndpoint()["idp"]; len(got) != 2 {
			t.Errorf("told when it can be: %q", got)
		}
		h.stop()
		stop()
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}
