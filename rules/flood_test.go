package rules_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// floodScenes are those of what an endpoint has too much to tell of: 60 events have
// room at once and one more each minute. Four times eight keys that come, and
// three times eight that go, are 56.
var floodScenes = map[string]struct{ fires, quiet play }{
	"endpoint-noisy": {churn(6, 8), churn(4, 8)},
}

// churn exchanges keys at each poll: so many polls, of so many new keys beside
// one that stays.
func churn(times, keys int) play {
	return func(s *sim) {
		s.poll(doc("A:a"))
		for i := range times {
			words := []string{"A:a"}
			for j := range keys {
				words = append(words, fmt.Sprintf("K%d-%d:k%d-%d", i, j, i, j))
			}
			s.poll(doc(words...))
		}
	}
}

// TestAFloodIsCounted holds that what an hour has no room for is counted to the
// last event, that the count is told, and that what an attacker would hide in it
// is told all the same.
func TestAFloodIsCounted(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	shows(func(*rules.Facts) {})(s) // over a way that is known: no answer shows the flood
	churn(40, 8)(s)
	s.poll(doc("R:a"))
	if f := s.only(event.KeyMutated); f.Severity != event.SeverityCritical {
		t.Errorf("the substitution is %s", f.Severity)
	}
	told, withheld := 0, uint64(0)
	perHour := map[int]int{}
	start := s.all[0].At
	var noisy int
	for _, f := range s.all {
		if f.Type != event.EndpointNoisy {
			told++
			perHour[int(f.At.Sub(start)/time.Hour)]++
			continue
		}
		d := f.Details.(*event.EndpointNoisyDetails)
		if !f.Closing {
			noisy++
			continue
		}
		for _, n := range d.Types {
			withheld += n.Count
			if n.First == nil || n.Last == nil || n.Severity == 0 {
				t.Errorf("%+v", n)
			}
		}
	}
	s.wait(time.Hour)
	s.poll(doc("R:a"))
	for _, f := range s.findings {
		if d, ok := f.Details.(*event.EndpointNoisyDetails); ok && f.Closing {
			for _, n := range d.Types {
				withheld += n.Count
			}
		}
	}
	// 40 times 8 additions and 39 times 8 removals, the last of them in a step
	// of their own, one mutation, one baseline.
	if total := uint64(told) + withheld; total < 320+300 {
		t.Errorf("%d told and %d counted: events are lost", told, withheld)
	}
	if most := perHour[0]; most > 60+60+10+1 {
		t.Errorf("%d events in an hour", most)
	}
	if noisy < 3 || noisy > 8 {
		t.Errorf("endpoint.noisy opened %d times in 40 minutes", noisy)
	}
}

// ambiguous is a set with so many flaws of high severity.
func ambiguous(flaws int) []byte {
	words := []string{"A:a"}
	for i := range flaws {
		words = append(words, fmt.Sprintf("X%d:x%d", i, i), fmt.Sprintf("Y%d:x%d", i, i))
	}
	return doc(words...)
}

// TestWhatStandsIsToldLate holds that a condition which opened in a flood is told
// when there is room, if it still stands, and then closes as any other.
func TestWhatStandsIsToldLate(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	churn(20, 8)(s)
	s.poll(ambiguous(8))
	s.poll(ambiguous(16))
	if n := len(s.openings(event.SetAmbiguous)); n < 10 || n > 13 {
		t.Fatalf("told %d of 16: the severe have room for ten", n)
	}
	s.wait(time.Hour)
	s.poll(ambiguous(16))
	list := s.openings(event.SetAmbiguous)
	ids := map[string]bool{}
	for _, f := range list {
		ids[f.Condition.ID] = true
	}
	if len(list) != 16 || len(ids) != 16 || ids[""] {
		t.Errorf("told %d of 16, %d of them apart", len(list), len(ids))
	}
	late := list[len(list)-1]
	if late.Severity != event.SeverityHigh || len(late.Reasons) != 1 || late.Reasons[0] != "withheld_before" {
		t.Errorf("%s, %q", late.Severity, late.Reasons)
	}
	s.poll(doc("A:a"))
	closed := 0
	for _, f := range s.all {
		if f.Type == event.SetAmbiguous && f.Closing {
			closed += f.Count
		}
	}
	if closed != 16 {
		t.Errorf("closed %d of 16", closed)
	}
}

// TestWhatEndsUntoldStaysUntold holds that a closing never comes without its
// opening.
func TestWhatEndsUntoldStaysUntold(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	churn(20, 8)(s)
	s.poll(ambiguous(8))
	s.poll(ambiguous(16))
	s.poll(doc("A:a"))
	s.wait(2 * time.Hour)
	s.poll(doc("A:a"))
	opened, closed := len(s.openings(event.SetAmbiguous)), 0
	for _, f := range s.all {
		if f.Type == event.SetAmbiguous && f.Closing {
			closed += f.Count
		}
	}
	if opened >= 16 || opened != closed {
		t.Errorf("%d opened and %d closed", opened, closed)
	}
}
