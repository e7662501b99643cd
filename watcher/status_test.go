package watcher_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// TestStatus holds what is told of endpoints that are well and that are not.
func TestStatus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("a.example", "b.example")
		defer n.server.Close()
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		defer h.db.Close()
		n.issuers["a.example"].Publish(lab.ECFromSeed("k0", "P-256", "k0"), lab.ECFromSeed("k1", "P-256", "k1"))
		n.issuers["b.example"].Answer(lab.Status(503, nil, "sorry"))
		a := endpoint("a", "http://a.example/jwks?key=secret", time.Minute)
		b := endpoint("b", "http://b.example/jwks", time.Minute)
		h.make(b, a)
		if h.w.Lag() != 0 || !h.w.Alive().IsZero() || len(h.w.Status()) != 0 {
			t.Error("there is something to tell before Run")
		}
		began := time.Now()
		h.run()
		time.Sleep(10 * time.Minute)
		s := h.w.Status()
		h.stop()
		if len(s) != 2 || s[0].Name != "a" || s[1].Name != "b" {
			t.Fatalf("%+v", s)
		}
		now := began.Add(10 * time.Minute)
		good, bad := s[0], s[1]
		if good.URL != "http://a.example/jwks?key=***" || good.Host != "a.example" || good.Tier != "standard" || good.Interval != time.Minute {
			t.Errorf("%+v", good)
		}
		if good.Keys != 2 || good.Failures != 0 || good.Phase != "" || good.Failed != 0 || good.Polls < 10 || !good.Since.IsZero() {
			t.Errorf("%+v", good)
		}
		if now.Sub(good.LastGood) > time.Minute || !good.LastPoll.Equal(good.LastGood) || good.NextPoll.Before(now) || good.NextPoll.Sub(now) > time.Minute {
			t.Errorf("%+v", good)
		}
		if !good.Watched.Equal(began) {
			t.Errorf("watched since %v, want %v", good.Watched, began)
		}
		if bad.Failures < 8 || bad.Failed != uint64(bad.Failures) || bad.Phase != "status" || bad.Since.Sub(began) > 2*time.Second || !bad.LastGood.IsZero() || bad.Keys != 0 {
			t.Errorf("%+v", bad)
		}
		if counts := h.w.EventCounts(); len(counts) != 2 {
			t.Errorf("%v", counts)
		} else if c := counts[watcher.EventCount{Type: "endpoint.unreachable", Severity: 3}]; c != 1 {
			t.Errorf("%v", counts)
		}
	})
}

// TestDegraded holds that what fails while the agent is in trouble is explained
// by that.
func TestDegraded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("a.example")
		defer n.server.Close()
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		defer h.db.Close()
		n.issuers["a.example"].Publish(lab.ECFromSeed("k0", "P-256", "k0"))
		h.start(endpoint("a", "http://a.example/jwks", time.Minute))
		time.Sleep(3 * time.Minute)
		h.w.SetDegraded(true)
		n.issuers["a.example"].Answer(lab.Status(503, nil, "sorry"))
		time.Sleep(10 * time.Minute)
		h.stop()
		h.expect("informational baseline.established", "low endpoint.unreachable")
		if r := h.events()[1].Data.Event.Reasons; !slices.Contains(r, "explained_by:agent.degraded") {
			t.Errorf("reasons %q", r)
		}
	})
}

// TestAliveAndLag holds that the loop turns while nothing is due, and that an
// endpoint which waits for a worker is late.
func TestAliveAndLag(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("a.example")
		defer n.server.Close()
		h := &watched{t: t, db: open(t, dir), dial: n.pipe}
		defer h.db.Close()
		var list []watcher.Endpoint
		for i := range 20 {
			list = append(list, endpoint(fmt.Sprint("idp", i), "http://a.example/jwks", time.Hour))
		}
		h.make(list...)
		h.w.Workers = 1
		h.run()
		time.Sleep(30 * time.Minute)
		if ago := time.Since(h.w.Alive()); ago > 5*time.Second {
			t.Errorf("the loop turned %v ago", ago)
		}
		if lag := h.w.Lag(); lag != 0 {
			t.Errorf("late by %v", lag)
		}
		n.issuers["a.example"].Answer(lab.Hang()) // ten seconds for one, meanwhile the others wait
		late := time.Duration(0)
		for range 40 * 60 {
			time.Sleep(time.Second)
			late = max(late, h.w.Lag())
		}
		if late < time.Second || late > 5*time.Minute { // twenty wait for one worker, ten seconds each
			t.Errorf("at most %v late", late)
		}
		h.stop()
	})
}

// TestStatusWhileItRuns asks at any time, under the race detector.
func TestStatusWhileItRuns(t *testing.T) {
	t.Parallel()
	issuer := &lab.Issuer{}
	issuer.Publish(lab.NewEC("a", "P-256"))
	url, stop, err := issuer.Start()
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	h := &watched{t: t, db: open(t, t.TempDir())}
	defer h.db.Close()
	h.start(endpoint("a", url, 2*time.Millisecond), endpoint("b", url, 3*time.Millisecond))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for ctx.Err() == nil && h.w.Stats().Polls < 300 {
		for _, s := range h.w.Status() {
			if s.Polls > 0 && s.Keys != 1 && s.Failures == 0 {
				t.Fatalf("%+v", s)
			}
		}
		h.w.SetDegraded(true)
		_, _, _ = h.w.Lag(), h.w.Alive(), h.w.EventCounts()
	}
	h.stop()
}
