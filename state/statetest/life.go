package statetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// testConcurrent commits to many endpoints at once while others read.
func testConcurrent(t *testing.T, s *suite) {
	const endpoints, revisions = 32, 12
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				name := fmt.Sprintf("ep-%d", i%endpoints)
				r, err := s.Latest(t.Context(), name)
				if err == nil && r.Revision > 0 && string(r.Memory) != fmt.Sprintf("memory %s-%d", name, r.Revision) {
					err = fmt.Errorf("revision %d of %s with memory %q", r.Revision, name, r.Memory)
				}
				for _, e := range s.Events(t.Context(), "") {
					err = errors.Join(err, e)
				}
				for _, e := range s.Snapshots(t.Context(), name) {
					err = errors.Join(err, e)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range endpoints {
		writers.Go(func() {
			name := fmt.Sprintf("ep-%d", i)
			for revision := range uint64(revisions) {
				err := s.Commit(t.Context(), step(name, revision+1, 2))
				if err == nil && revision%4 == 0 {
					err = s.Seen(t.Context(), map[string]time.Time{name: begin()})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	if t.Failed() {
		return
	}
	s.reopen()
	// Each endpoint's events are in order and without a gap.
	next := map[string]int{}
	for _, e := range s.events("") {
		n := next[e.Endpoint]
		if want := fmt.Sprintf("jw1-%s-%d-%d", e.Endpoint, n/2+1, n%2); e.ID != want {
			t.Fatalf("entry is %s, want %s", e.ID, want)
		}
		next[e.Endpoint]++
	}
	for i := range endpoints {
		name := fmt.Sprintf("ep-%d", i)
		if next[name] != 2*revisions {
			t.Fatalf("%s has %d entries", name, next[name])
		}
		s.sameRecord(s.latest(name), step(name, revisions, 2).Next)
	}
}

// testOneWinner lets many decide on the same revision.
func testOneWinner(t *testing.T, s *suite) {
	const rivals = 16
	for revision := range uint64(10) {
		results := make(chan error, rivals)
		for i := range rivals {
			txn := step("corp", revision+1, 1)
			txn.Next.Head.Hash[0] = byte(i)
			txn.Events[0].ID = fmt.Sprintf("jw1-%d-%d", revision, i)
			go func() { results <- s.Commit(t.Context(), txn) }()
		}
		won := 0
		for range rivals {
			if err := <-results; err == nil {
				won++
			} else {
				mustBe(t, err, state.ErrConflict)
			}
		}
		if won != 1 {
			t.Fatalf("%d rivals have won revision %d", won, revision+1)
		}
	}
	if n := len(s.events("")); n != 10 {
		t.Fatalf("%d entries", n)
	}
}

func testReopen(_ *testing.T, s *suite) {
	var all []state.Txn
	for revision := range uint64(5) {
		txn := step("corp", revision+1, 2)
		s.commit(txn)
		all = append(all, txn)
		s.reopen()
		s.sameRecord(s.latest("corp"), txn.Next)
		s.sameEvents(s.events(""), join(all...))
		if n := len(s.snapshots("corp")); n != len(all) {
			s.t.Fatalf("%d snapshots", n)
		}
	}
}

func testClosed(t *testing.T, s *suite) {
	s.commit(step("corp", 1, 1))
	waiting := make(chan error, 1)
	head := s.head()
	go func() { waiting <- s.Wait(t.Context(), head) }()
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustBe(t, <-waiting, state.ErrUnavailable)
	ctx := t.Context()
	_, err := s.Latest(ctx, "corp")
	mustBe(t, err, state.ErrUnavailable)
	_, err = s.LastSeen(ctx, "corp")
	mustBe(t, err, state.ErrUnavailable)
	_, _, err = s.Cursor(ctx, "siem")
	mustBe(t, err, state.ErrUnavailable)
	_, err = s.Head(ctx)
	mustBe(t, err, state.ErrUnavailable)
	mustBe(t, s.Commit(ctx, step("corp", 2, 1)), state.ErrUnavailable)
	mustBe(t, s.Seen(ctx, map[string]time.Time{"corp": begin()}), state.ErrUnavailable)
	mustBe(t, s.SetCursor(ctx, "siem", ""), state.ErrUnavailable)
	mustBe(t, s.SetNoted(ctx, "siem", "", nil), state.ErrUnavailable)
	_, err = s.Note(ctx, "siem")
	mustBe(t, err, state.ErrUnavailable)
	mustBe(t, s.Wait(ctx, ""), state.ErrUnavailable)
	err = nil
	for _, err = range s.Events(ctx, "") {
		mustBe(t, err, state.ErrUnavailable)
	}
	mustBe(t, err, state.ErrUnavailable)
	err = nil
	for _, err = range s.Snapshots(ctx, "corp") {
		mustBe(t, err, state.ErrUnavailable)
	}
	mustBe(t, err, state.ErrUnavailable)
}
