package watcher_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// sharing plays with issuers at http://one.example, http://two.test and
// http://three.test over simulated time; each has a key of its own.
func sharing(t *testing.T, play func(h *watched, n *town, fleet []watcher.Endpoint)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		n := newTown("one.example", "two.test", "three.test")
		defer n.server.Close()
		var fleet []watcher.Endpoint
		for _, host := range []string{"one.example", "two.test", "three.test"} {
			n.issuers[host].Publish(lab.ECFromSeed("own", "P-256", host))
			fleet = append(fleet, endpoint(host[:3], "http://"+host+"/jwks", time.Minute))
		}
		h := &watched{t: t, db: open(t, dir), dial: n.pipe, dir: dir}
		play(h, n, fleet)
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}

// pairs tells of key.shared, and at which endpoint.
func (h *watched) pairs() []string {
	h.t.Helper()
	out := []string{}
	for _, e := range h.events() {
		if f := e.Data.Event; f.Type == event.KeyShared {
			d := e.Data.Details.(*event.KeySharedDetails)
			out = append(out, fmt.Sprint(e.Data.Endpoint.Name, " with ", d.Peer, ": ", f.Severity, " ", f.Condition.State))
		}
	}
	return out
}

func (h *watched) expectPairs(want ...string) {
	h.t.Helper()
	if got := h.pairs(); !slices.Equal(got, want) {
		h.t.Errorf("told\n%q\nwant\n%q", got, want)
	}
}

// TestSharedKeyOfTwoEndpoints brings the key of one issuer into the set of
// another, over a restart, and takes it away at the first: an answer that did not
// change ends the condition.
func TestSharedKeyOfTwoEndpoints(t *testing.T) {
	t.Parallel()
	sharing(t, func(h *watched, n *town, fleet []watcher.Endpoint) {
		h.start(fleet...)
		time.Sleep(5 * time.Minute)
		h.expectPairs()
		n.issuers["two.test"].Add(lab.ECFromSeed("taken", "P-256", "one.example"))
		time.Sleep(5 * time.Minute)
		want := []string{"two with one: high open"}
		h.expectPairs(want...)
		h.restart(fleet...)
		time.Sleep(5 * time.Minute)
		h.expectPairs(want...)
		parses := h.w.Stats().Parses
		time.Sleep(10 * time.Minute)
		if now := h.w.Stats().Parses; now != parses {
			t.Errorf("%d answers were judged while nothing changed", now-parses)
		}
		n.issuers["one.example"].Publish(lab.ECFromSeed("next", "P-256", "next"))
		time.Sleep(5 * time.Minute)
		want = append(want, "two with one: informational closed")
		h.expectPairs(want...)
		h.stop()
	})
}

// TestSharedKeyAtFirstSight lets three endpoints begin with one key: each pair is
// told once, whoever is polled first. That one of them is configured away ends
// its pairs.
func TestSharedKeyAtFirstSight(t *testing.T) {
	t.Parallel()
	sharing(t, func(h *watched, n *town, fleet []watcher.Endpoint) {
		for _, i := range n.issuers {
			i.Publish(lab.ECFromSeed("same", "P-256", "same"))
		}
		h.start(fleet...)
		time.Sleep(10 * time.Minute)
		if got := h.pairs(); len(got) != 3 {
			t.Errorf("told %q", got)
		}
		if err := h.w.Update(fleet[:2], observer(1)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		got := h.pairs()
		open := 0
		for _, p := range got {
			if slices.Contains([]string{"one with two: medium open", "two with one: medium open"}, p) {
				open++
			}
		}
		if open != 1 || slices.Contains(got, "one with two: informational closed") || slices.Contains(got, "two with one: informational closed") {
			t.Errorf("told %q", got)
		}
		// One group: no word about it any more.
		fleet[0].Group, fleet[1].Group = "corp", "corp"
		if err := h.w.Update(fleet[:2], observer(2)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		got = h.pairs()
		if last := got[len(got)-1]; last != "one with two: informational closed" && last != "two with one: informational closed" {
			t.Errorf("told %q", got)
		}
		h.stop()
	})
}
