package statetest

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

func testEmpty(t *testing.T, s *suite) {
	for range 2 {
		s.sameRecord(s.latest("nobody"), state.Record{})
		if n := len(s.snapshots("nobody")); n != 0 {
			t.Fatalf("%d snapshots", n)
		}
		if n := len(s.events("")); n != 0 {
			t.Fatalf("%d events", n)
		}
		if h := s.head(); h != "" {
			t.Fatalf("head %q", h)
		}
		if at, err := s.LastSeen(t.Context(), "nobody"); err != nil || !at.IsZero() {
			t.Fatal(at, err)
		}
		if p, ok, err := s.Cursor(t.Context(), "nobody"); p != "" || ok || err != nil {
			t.Fatal(p, ok, err)
		}
		s.reopen()
	}
}

func testRoundTrip(_ *testing.T, s *suite) {
	first := step("corp", 1, 3)
	s.commit(first)
	s.sameRecord(s.latest("corp"), first.Next)
	s.sameEvents(s.events(""), first.Events)

	// A step without events, of zero values where they are allowed.
	bare := state.Txn{Prev: 1, Next: state.Record{Endpoint: "corp", Revision: 2, Head: first.Next.Head, Body: []byte{}}}
	s.commit(bare)
	s.sameRecord(s.latest("corp"), bare.Next)
	if h, n := s.head(), len(s.events("")); h == "" || n != 3 {
		s.t.Fatal(h, n)
	}
}

func testBodyStands(t *testing.T, s *suite) {
	// Before a set was accepted there is none to stand.
	blind := step("corp", 1, 1)
	blind.Next.Body, blind.Next.Digest = nil, [32]byte{}
	s.commit(blind)
	s.sameRecord(s.latest("corp"), blind.Next)

	with := step("corp", 2, 1)
	s.commit(with)
	var want []state.Record
	for revision := uint64(3); revision < 6; revision++ {
		without := step("corp", revision, 1)
		without.Next.Body = nil
		s.commit(without)
		without.Next.Body = with.Next.Body
		s.sameRecord(s.latest("corp"), without.Next)
		without.Next.Memory = nil
		want = append([]state.Record{without.Next}, want...)
	}
	with.Next.Memory, blind.Next.Memory = nil, nil
	want = append(want, with.Next, blind.Next)
	got := s.snapshots("corp")
	if len(got) != len(want) {
		t.Fatalf("%d snapshots, want %d", len(got), len(want))
	}
	for i := range want {
		s.sameRecord(got[i], want[i])
	}
}

func testOnlyNewestMemory(_ *testing.T, s *suite) {
	forgetful := step("corp", 2, 0)
	forgetful.Next.Memory = nil
	s.commit(step("corp", 1, 0), forgetful)
	s.sameRecord(s.latest("corp"), forgetful.Next)
	for _, r := range s.snapshots("corp") {
		if r.Memory != nil {
			s.t.Fatalf("revision %d has a memory", r.Revision)
		}
	}
}

func testLargeBody(_ *testing.T, s *suite) {
	source := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 4<<20)
	for i := range random {
		random[i] = byte(source.Uint32())
	}
	for i, body := range [][]byte{random, bytes.Repeat([]byte("jwks"), 1<<20), random[:1]} {
		txn := step("corp", uint64(i+1), 1)
		txn.Next.Body, txn.Next.Memory, txn.Next.Evidence = body, body, body
		s.commit(txn)
		s.sameRecord(s.latest("corp"), txn.Next)
	}
	s.reopen()
	for i, r := range s.snapshots("corp") {
		if want := []int{1, 4 << 20, 4 << 20}[i]; len(r.Body) != want {
			s.t.Fatalf("body of revision %d has %d octets, want %d", r.Revision, len(r.Body), want)
		}
	}
}

func testCallersBytes(_ *testing.T, s *suite) {
	// What was given may be reused, what was got may be written to.
	want, given := step("corp", 1, 2), step("corp", 1, 2)
	s.commit(given)
	clear(given.Next.Body)
	clear(given.Next.Memory)
	clear(given.Next.Evidence)
	clear(given.Events[0].JSON)
	for range 2 {
		r := s.latest("corp")
		s.sameRecord(r, want.Next)
		clear(r.Body)
		clear(r.Memory)
		clear(r.Evidence)
		for _, r := range s.snapshots("corp") {
			clear(r.Body)
		}
		entries := s.events("")
		s.sameEvents(entries, want.Events)
		clear(entries[0].JSON)
	}
}

func testConflict(t *testing.T, s *suite) {
	second := step("corp", 2, 1)
	mustBe(t, s.Commit(t.Context(), second), state.ErrConflict) // never seen
	first := step("corp", 1, 1)
	s.commit(first, second)
	// Decided on a revision that is no longer the newest.
	other := step("corp", 2, 1)
	other.Next.Head.Hash[0]++
	other.Events[0].ID = "jw1-other"
	mustBe(t, s.Commit(t.Context(), other), state.ErrConflict)
	mustBe(t, s.Commit(t.Context(), first), state.ErrConflict)
	mustBe(t, s.Commit(t.Context(), step("corp", 4, 1)), state.ErrConflict)
	s.sameRecord(s.latest("corp"), second.Next)
	s.sameEvents(s.events(""), join(first, second))
	// A revision that does not follow is a mistake of the caller.
	skip := step("corp", 3, 0)
	skip.Next.Revision = 4
	refused(t, s.Commit(t.Context(), skip))
	s.sameRecord(s.latest("corp"), second.Next)
}

func testRetry(t *testing.T, s *suite) {
	first := step("corp", 1, 2)
	s.commit(first, first, first)
	s.reopen()
	s.commit(first)
	s.sameEvents(s.events(""), first.Events)
	if n := len(s.snapshots("corp")); n != 1 {
		t.Fatalf("%d snapshots", n)
	}
	// Of the same revision, but not the same step.
	for name, change := range map[string]func(*state.Txn){
		"head":     func(t *state.Txn) { t.Next.Head.Sequence++ },
		"hash":     func(t *state.Txn) { t.Next.Head.Hash[31]++ },
		"epoch":    func(t *state.Txn) { t.Next.Head.Epoch = "another" },
		"digest":   func(t *state.Txn) { t.Next.Digest[0]++ },
		"event id": func(t *state.Txn) { t.Events[1].ID = "jw1-another" },
		"fewer":    func(t *state.Txn) { t.Events = t.Events[:1] },
		"order":    func(t *state.Txn) { t.Events[0], t.Events[1] = t.Events[1], t.Events[0] },
	} {
		other := step("corp", 1, 2)
		change(&other)
		if err := s.Commit(t.Context(), other); !errors.Is(err, state.ErrConflict) {
			t.Errorf("%s: error is %v, want a conflict", name, err)
		}
	}
	s.sameEvents(s.events(""), first.Events)
}

func testAllOrNothing(t *testing.T, s *suite) {
	first := step("corp", 1, 2)
	s.commit(first)
	// The last event of the step is refused, so nothing of it may stay.
	bad := step("corp", 2, 3)
	bad.Events[2].ID = first.Events[0].ID
	refused(t, s.Commit(t.Context(), bad))
	for range 2 {
		s.sameRecord(s.latest("corp"), first.Next)
		s.sameEvents(s.events(""), first.Events)
		if n := len(s.snapshots("corp")); n != 1 {
			t.Fatalf("%d snapshots", n)
		}
		s.reopen()
	}
	good := step("corp", 2, 3)
	s.commit(good)
	s.sameEvents(s.events(""), join(first, good))
}

func testRepeatedEventID(t *testing.T, s *suite) {
	first := step("corp", 1, 1)
	s.commit(first)
	// The same id with other bytes, from another endpoint.
	other := step("partner", 1, 1)
	other.Events[0].ID = first.Events[0].ID
	refused(t, s.Commit(t.Context(), other))
	s.sameRecord(s.latest("partner"), state.Record{})
	// The same event is there already, and stays one.
	again := step("partner", 1, 1)
	again.Events = append(again.Events, first.Events[0])
	s.commit(again)
	s.sameEvents(s.events(""), []state.Entry{first.Events[0], again.Events[0]})
	// Twice in one step.
	twice := step("corp", 2, 1)
	twice.Events = append(twice.Events, twice.Events[0])
	refused(t, s.Commit(t.Context(), twice))
}

func testRefusedContext(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mustBe(t, s.Commit(ctx, step("corp", 1, 1)), context.Canceled)
	mustBe(t, s.Seen(ctx, map[string]time.Time{"corp": begin()}), context.Canceled)
	mustBe(t, s.SetCursor(ctx, "siem", ""), context.Canceled)
	_, err := s.Latest(ctx, "corp")
	mustBe(t, err, context.Canceled)
	for _, err = range s.Events(ctx, "") {
		mustBe(t, err, context.Canceled)
	}
	mustBe(t, err, context.Canceled)
	for _, err = range s.Snapshots(ctx, "corp") {
		mustBe(t, err, context.Canceled)
	}
	testEmpty(t, s)
}

func testEndpointsApart(_ *testing.T, s *suite) {
	// Names that are prefixes of each other, and the agent's own stream.
	names := []string{"a", "aa", "a-b", "a_b", "_agent", "a0"}
	for revision := range uint64(3) {
		for _, name := range names {
			s.commit(step(name, revision+1, 1))
		}
	}
	agent := step("_agent", 4, 1)
	agent.Events[0].Endpoint = ""
	s.commit(agent)
	for _, name := range names[:4] {
		s.sameRecord(s.latest(name), step(name, 3, 1).Next)
		for i, r := range s.snapshots(name) {
			want := step(name, uint64(3-i), 1).Next
			want.Memory = nil
			s.sameRecord(r, want)
		}
	}
	if all := s.events(""); len(all) != 19 || all[18].Endpoint != "" {
		s.t.Fatalf("%d entries", len(all))
	}
}

func testSnapshotsStop(t *testing.T, s *suite) {
	const n = 200 // more than one batch of any engine
	for revision := range uint64(n) {
		s.commit(step("corp", revision+1, 0))
	}
	if got := s.snapshots("corp"); len(got) != n || got[n-1].Revision != 1 {
		t.Fatalf("%d snapshots", len(got))
	}
	seen := 0
	for r, err := range s.Snapshots(t.Context(), "corp") {
		if err != nil || r.Revision != uint64(n-seen) {
			t.Fatal(r.Revision, err)
		}
		// The caller may write to the store from within.
		if seen == 0 {
			s.commit(step("corp", n+1, 1))
		}
		if seen++; seen == n/2 {
			break
		}
	}
}
