package statetest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

func testSeen(t *testing.T, s *suite) {
	at := map[string]time.Time{}
	for i := range 500 {
		at[fmt.Sprintf("ep-%d", i)] = begin().Add(time.Duration(i) * time.Millisecond)
	}
	check := func() {
		t.Helper()
		for endpoint, want := range at {
			got, err := s.LastSeen(t.Context(), endpoint)
			if err != nil || !got.Equal(want) {
				t.Fatalf("%s was seen at %v, want %v (%v)", endpoint, got, want, err)
			}
		}
	}
	seen := func(m map[string]time.Time) {
		t.Helper()
		if err := s.Seen(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	seen(at)
	seen(nil)
	check()
	// The newest of all that were given; others keep theirs.
	at["ep-7"] = begin().Add(time.Hour)
	seen(map[string]time.Time{"ep-7": at["ep-7"], "ep-8": begin().Add(-time.Hour)})
	check()
	s.reopen()
	check()
	if got, err := s.LastSeen(t.Context(), "ep-500"); err != nil || !got.IsZero() {
		t.Fatal(got, err)
	}
}

func testCursors(t *testing.T, s *suite) {
	s.commit(step("corp", 1, 3))
	entries := s.events("")
	set := func(name, position string) {
		t.Helper()
		if err := s.SetCursor(t.Context(), name, position); err != nil {
			t.Fatal(err)
		}
	}
	is := func(name, want string, wantOK bool) {
		t.Helper()
		if p, ok, err := s.Cursor(t.Context(), name); p != want || ok != wantOK || err != nil {
			t.Fatalf("cursor %s is %q, %v, %v; want %q, %v", name, p, ok, err, want, wantOK)
		}
	}
	is("siem", "", false)
	set("siem", "") // the beginning is not the same as none
	is("siem", "", true)
	set("siem", entries[2].Position)
	set("archive", entries[1].Position)
	is("siem", entries[2].Position, true)
	is("archive", entries[1].Position, true)
	is("soar", "", false)
	set("siem", entries[0].Position) // back: a replay
	s.reopen()
	is("siem", entries[0].Position, true)
	is("archive", entries[1].Position, true)
	s.sameEvents(s.events(entries[0].Position), entries[1:])
}

func testNotes(t *testing.T, s *suite) {
	s.commit(step("corp", 1, 2))
	entries := s.events("")
	is := func(name, want string) {
		t.Helper()
		if note, err := s.Note(t.Context(), name); string(note) != want || err != nil {
			t.Fatalf("note of %s is %q, %v; want %q", name, note, err, want)
		}
	}
	is("siem", "")
	for _, note := range []string{"first", "second", "", "third"} { // also while the position stays
		if err := s.SetNoted(t.Context(), "siem", entries[1].Position, []byte(note)); err != nil {
			t.Fatal(err)
		}
		is("siem", note)
	}
	is("archive", "")
	if err := s.SetCursor(t.Context(), "siem", entries[0].Position); err != nil {
		t.Fatal(err)
	}
	s.reopen()
	is("siem", "third")
	if p, ok, err := s.Cursor(t.Context(), "siem"); p != entries[0].Position || !ok || err != nil {
		t.Fatal(p, ok, err)
	}
	refused(t, s.SetNoted(t.Context(), "siem", entries[1].Position, make([]byte, 1<<20)))
	refused(t, s.SetNoted(t.Context(), "siem", "no position", []byte("fourth")))
	is("siem", "third")
}

func testPositions(t *testing.T, s *suite) {
	var want []state.Entry
	for i := range uint64(40) { // past every digit of base 10, 16 and 32
		txn := step("corp", i+1, 3)
		txn.Events[0].Position = "given by the caller, who has no say in it"
		s.commit(txn)
		want = append(want, txn.Events...)
		if h := s.head(); h != s.events("")[len(want)-1].Position {
			t.Fatalf("head %q is not the newest entry's", h)
		}
	}
	all := s.events("")
	s.sameEvents(all, want)
	for i, e := range all {
		s.sameEvents(s.events(e.Position), want[i+1:])
	}
	s.reopen()
	next := step("corp", 41, 1)
	s.commit(next)
	s.sameEvents(s.events(""), append(want, next.Events...))
}

func testEventsEndAtHead(t *testing.T, s *suite) {
	first, second := step("corp", 1, 2), step("corp", 2, 2)
	s.commit(first)
	// The head is that of the call, not of the loop.
	sequence := s.Events(t.Context(), "")
	s.commit(second)
	var got []state.Entry
	for e, err := range sequence {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e)
	}
	s.sameEvents(got, first.Events)
	s.sameEvents(s.events(got[1].Position), second.Events)
	if n := len(s.events(s.head())); n != 0 {
		t.Fatalf("%d entries after the head", n)
	}
}

func testEventsAndCommits(t *testing.T, s *suite) {
	const n = 700 // more than one batch of any engine
	s.commit(step("corp", 1, n))
	seen, revision := 0, uint64(1)
	for e, err := range s.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf("jw1-corp-1-%d", seen); e.ID != want {
			t.Fatalf("entry %d is %s, want %s", seen, e.ID, want)
		}
		if seen++; seen%50 == 0 {
			revision++
			s.commit(step("corp", revision, 1))
			if err := s.SetCursor(t.Context(), "siem", e.Position); err != nil {
				t.Fatal(err)
			}
		}
	}
	if seen != n {
		t.Fatalf("%d entries, want %d", seen, n)
	}
	if all := s.events(""); len(all) != n+int(revision)-1 {
		t.Fatalf("%d entries, want %d", len(all), n+int(revision)-1)
	}
}

func testEventsStop(t *testing.T, s *suite) {
	s.commit(step("corp", 1, 10))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen := 0
	for _, err := range s.Events(ctx, "") {
		if err != nil {
			t.Fatal(err)
		}
		if seen++; seen == 3 {
			break
		}
	}
	if seen != 3 {
		t.Fatalf("%d entries after a break", seen)
	}
}

func testBadPosition(t *testing.T, s *suite) {
	s.commit(step("corp", 1, 1))
	const bad = "not a position"
	var failed error
	for _, err := range s.Events(t.Context(), bad) {
		failed = err
	}
	refused(t, failed)
	refused(t, s.Wait(t.Context(), bad))
	refused(t, s.SetCursor(t.Context(), "siem", bad))
	if _, ok, err := s.Cursor(t.Context(), "siem"); ok || err != nil {
		t.Fatal(ok, err)
	}
}

func testWait(t *testing.T, s *suite) {
	s.commit(step("corp", 1, 2))
	entries := s.events("")
	for _, after := range []string{"", entries[0].Position} {
		if err := s.Wait(t.Context(), after); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan error, 1)
	go func() { done <- s.Wait(t.Context(), entries[1].Position) }()
	s.commit(step("corp", 2, 0)) // no entry: nothing to wake for
	select {
	case err := <-done:
		t.Fatalf("woken without an entry: %v", err)
	case <-time.After(20 * time.Millisecond): // can only miss a fault, never make one
	}
	s.commit(step("corp", 3, 1))
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if n := len(s.events(entries[1].Position)); n != 1 {
		t.Fatalf("%d entries", n)
	}
}

func testWaitContext(t *testing.T, s *suite) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Wait(ctx, "") }()
	cancel()
	mustBe(t, <-done, context.Canceled)
	ctx, cancel = context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	mustBe(t, s.Wait(ctx, ""), context.DeadlineExceeded)
}

// testWaitManySinks lets sinks follow the journal by Wait and Events alone.
func testWaitManySinks(t *testing.T, s *suite) {
	const sinks, revisions = 8, 50
	done := make(chan error, sinks)
	for range sinks {
		go func() {
			after, seen := "", 0
			for seen < revisions {
				if err := s.Wait(t.Context(), after); err != nil {
					done <- err
					return
				}
				for e, err := range s.Events(t.Context(), after) {
					if want := fmt.Sprintf("jw1-corp-%d-0", seen+1); err != nil || e.ID != want {
						done <- fmt.Errorf("entry is %s, want %s: %w", e.ID, want, err)
						return
					}
					after = e.Position
					seen++
				}
			}
			done <- nil
		}()
	}
	for revision := range uint64(revisions) {
		s.commit(step("corp", revision+1, 1))
	}
	for range sinks {
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}
