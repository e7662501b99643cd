package bolt_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func TestEndpointsAndHeads(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	if names, err := db.Endpoints(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("names are %v (%v)", names, err)
	}
	if heads, err := collect(db.Heads(t.Context())); err != nil || len(heads) != 0 {
		t.Errorf("heads are %v (%v)", heads, err)
	}
	var names []string
	var heads []bolt.NamedHead
	for i := range 300 { // more than one batch
		name := fmt.Sprintf("ep-%03d", i)
		if i == 0 {
			name = "_agent" // before all lower-case letters
		}
		names = append(names, name)
		last := step(name, 2, 1)
		heads = append(heads, bolt.NamedHead{Endpoint: name, Revision: 2, At: last.Next.At, Head: last.Next.Head})
		if i%100 == 0 {
			commit(t, db, step(name, 1, 1), last)
			continue
		}
		last.Prev, last.Next.Revision, last.Events = 0, 1, nil
		heads[i].Revision = 1
		commit(t, db, last)
	}
	if err := db.Seen(t.Context(), map[string]time.Time{"never-committed": at(1)}); err != nil {
		t.Fatal(err)
	}
	if got, err := db.Endpoints(t.Context()); err != nil || !slices.Equal(got, names) {
		t.Errorf("names are %v (%v)", got, err)
	}
	if got, err := collect(db.Heads(t.Context())); err != nil || !slices.Equal(got, heads) {
		t.Errorf("heads are %v (%v), want %v", got, err, heads)
	}
	for h := range db.Heads(t.Context()) { // may end early
		if h.Endpoint != "_agent" {
			t.Errorf("first is %s", h.Endpoint)
		}
		break
	}
	if names, err := db.Cursors(t.Context()); err != nil || len(names) != 0 {
		t.Errorf("cursors are %v (%v)", names, err)
	}
	if err := errors.Join(db.SetCursor(t.Context(), "siem", ""), db.SetCursor(t.Context(), "log", "")); err != nil {
		t.Fatal(err)
	}
	if names, err := db.Cursors(t.Context()); err != nil || !slices.Equal(names, []string{"log", "siem"}) {
		t.Errorf("cursors are %v (%v)", names, err)
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	check := func(what, sink string, want uint64, since time.Time) {
		t.Helper()
		if n, oldest, err := db.Pending(t.Context(), sink); err != nil || n != want || !oldest.Equal(since) {
			t.Errorf("%s: %d since %v (%v), want %d since %v", what, n, oldest, err, want, since)
		}
	}
	check("empty journal", "siem", 0, time.Time{})
	for revision := range uint64(10) {
		commit(t, db, beat(revision+1))
	}
	check("no cursor", "siem", 10, at(1))
	set := func(name, position string) {
		t.Helper()
		if err := db.SetCursor(t.Context(), name, position); err != nil {
			t.Fatal(err)
		}
	}
	set("siem", "")
	check("at the beginning", "siem", 10, at(1))
	set("siem", "0000000000000007")
	check("in the middle", "siem", 3, at(8))
	set("done", "000000000000000a")
	check("at the head", "done", 0, time.Time{})
	thin(t, db, at(1000), "siem", "done")
	check("after marks", "siem", 3, at(8))
	check("before marks, of which none counts", "new", 3, at(1))
	prune(t, db, at(3))
	check("before what was dropped", "new", 3, at(3))
	prune(t, db, at(1000))
	check("all dropped", "new", 0, time.Time{})
	if n := db.Written(); n != 10 {
		t.Errorf("%d entries were written", n)
	}
	check("cursor before what was dropped", "siem", 0, time.Time{})
	commit(t, db, beat(11))
	check("one more", "siem", 1, at(11))
	if _, _, err := db.Pending(t.Context(), "a b"); err == nil {
		t.Error("a name with a space has a number")
	}
}

func TestEventsBackwards(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	if got, err := collect(db.EventsBackwards(t.Context(), "")); err != nil || len(got) != 0 {
		t.Errorf("%v (%v)", got, err)
	}
	var batch []state.Txn
	for revision := range uint64(600) { // more than one batch
		batch = append(batch, beat(revision+1))
	}
	commitTogether(t, db, batch)
	same := func(what string) {
		t.Helper()
		forwards, err := collect(db.Events(t.Context(), ""))
		if err != nil {
			t.Fatal(err)
		}
		backwards, err := collect(db.EventsBackwards(t.Context(), ""))
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(backwards)
		if len(forwards) == 0 || !reflect.DeepEqual(forwards, backwards) {
			t.Errorf("%s: %d forwards, %d backwards", what, len(forwards), len(backwards))
		}
		middle := forwards[len(forwards)/2]
		got, err := collect(db.EventsBackwards(t.Context(), middle.Position))
		if err != nil || len(got) != len(forwards)/2 || len(got) > 0 && got[0].ID != forwards[len(forwards)/2-1].ID {
			t.Errorf("%s: %d before the middle of %d (%v)", what, len(got), len(forwards), err)
		}
		if got, err := collect(db.EventsBackwards(t.Context(), forwards[0].Position)); err != nil || len(got) != 0 {
			t.Errorf("%s: %d before the first (%v)", what, len(got), err)
		}
	}
	same("all")
	prune(t, db, at(100))
	same("pruned")
	thin(t, db, at(550))
	same("thinned")
	prune(t, db, at(590))
	same("pruned again")
	for range db.EventsBackwards(t.Context(), "") { // may end early
		break
	}
	for _, err := range db.EventsBackwards(t.Context(), "x") {
		if err == nil {
			t.Error("x is a position")
		}
	}
	// A position ahead of the journal is the head: backwards nothing is missed.
	if got, err := collect(db.EventsBackwards(t.Context(), "00000000ffffffff")); err != nil || len(got) != 11 {
		t.Errorf("%d before a position that is not yet (%v)", len(got), err)
	}
}

func TestWritable(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	commit(t, db, step("corp", 1, 1))
	before := db.Stats().Writes
	if err := db.Writable(t.Context()); err != nil || db.Stats().Writes != before+1 {
		t.Errorf("%d writes (%v)", db.Stats().Writes-before, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Writable(t.Context()); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
	if got := ids(t, open(t, path), ""); len(got) != 1 {
		t.Errorf("events are %v", got)
	}
}
