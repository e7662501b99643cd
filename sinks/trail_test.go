package sinks

import (
	"fmt"
	"testing"
	"time"
)

// However many events were acknowledged, a tail that is lost begins at most its
// own length after something that is remembered, and the note stays small.
func TestTrail(t *testing.T) {
	t.Parallel()
	at := func(i int) string { return fmt.Sprintf("%016x", i) }
	tr := readTrail(nil, "JWKS a", at(0))
	const n = 100_000
	for i := 1; i <= n; i++ {
		tr.add(at(i), fmt.Sprintf("jw1-%026d", i), uint64(2*i), time.Now())
		if i%10_000 != 0 {
			continue
		}
		note := tr.note()
		if len(note) > 8<<10 {
			t.Fatalf("a note of %d octets after %d events", len(note), i)
		}
		if again := readTrail(note, "JWKS a", ""); len(again.Acks) != len(tr.Acks) || again.Top != tr.Top || again.Origin != at(0) {
			t.Fatalf("read back as %+v", again)
		}
		for lost := 1; lost < i; lost *= 2 {
			j := len(tr.Acks) - 1
			for j >= 0 && tr.Acks[j].Number > uint64(i-lost) {
				j--
			}
			if j < 0 {
				if lost < i/2 {
					t.Fatalf("after %d events a loss of %d leaves nothing that is known", i, lost)
				}
				continue
			}
			if back := i - lost - int(tr.Acks[j].Number); back > lost+1 {
				t.Fatalf("after %d events a loss of %d goes back %d more", i, lost, back)
			}
		}
	}
	// What is sent again takes the place of what was known of it.
	tr.add(at(n-10), "again", 5, time.Now())
	if last := tr.Acks[len(tr.Acks)-1]; last.ID != "again" || tr.Top != 2*n {
		t.Errorf("%+v, top %d", last, tr.Top)
	}
	if p := tr.keep(-1); p != at(0) || len(tr.Acks) != 0 {
		t.Errorf("%s, %d left", p, len(tr.Acks))
	}
	// Another stream owes us nothing.
	if other := readTrail(tr.note(), "JWKS b", at(7)); other.Top != 0 || other.Origin != at(7) {
		t.Errorf("%+v", other)
	}
}
