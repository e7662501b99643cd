package bolt_test

import "testing"

// What retention took from a cursor is counted, once it had a place at all.
func TestDropped(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	commit(t, db, step("corp", 1, 2), step("corp", 2, 2), step("corp", 3, 1))
	is := func(sink string, want uint64) (upTo string) {
		t.Helper()
		n, upTo, err := db.Dropped(t.Context(), sink)
		if err != nil || n != want || (upTo == "") != (want == 0) {
			t.Fatalf("%s lacks %d up to %q, %v; want %d", sink, n, upTo, err, want)
		}
		return upTo
	}
	if err := db.SetCursor(t.Context(), "siem", "0000000000000001"); err != nil {
		t.Fatal(err)
	}
	is("siem", 0)
	prune(t, db, at(3)) // nobody names the sink: it is not configured
	upTo := is("siem", 3)
	is("nobody", 0)
	if err := db.SetCursor(t.Context(), "siem", upTo); err != nil {
		t.Fatal(err)
	}
	is("siem", 0)
	if n, _, err := db.Pending(t.Context(), "siem"); n != 1 || err != nil {
		t.Errorf("%d wait, %v", n, err)
	}
}
