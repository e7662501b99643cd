package rules_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// documents are what the fuzzer deals from: each octet of its input is a poll.
func documents() [][]byte {
	return [][]byte{
		doc("A:a", "B:b"), doc("A:a"), doc("B:b"), doc("A:a", "B:b", "C:c"), doc("C:a", "B:b"), doc("A:b", "B:a"),
		doc("A:a", "R:a"), doc("A:a:use=enc", "B:b"), doc("A:a:d=x", "B:b"), doc(), doc("A:"), doc("A:", "B:"), doc("C:c", "D:d"),
		doc("!A:a", "B:b"), doc("#A:a", "B:b"), doc("A:a", "A:a2"), []byte(html), []byte(`{"keys":[],"keys":[]}`), []byte("null"),
		doc("1:1", "2:2", "3:3", "4:4", "5:5", "6:6", "7:7", "8:8", "9:9", "10:10"),
		doc("!1:1", "!2:2", "!3:3", "!4:4", "!5:5", "!6:6", "!7:7", "!8:8", "!9:9", "!10:10"),
	}
}

// FuzzStep plays any sequence of answers, failures and pauses. Whatever comes,
// each step ends, is what a memory read back from storage makes of it, tells
// every identity that is served, and removes none by an answer that is no set.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 3, 2, 4, 9, 9, 9, 0, 16, 0, 12})
	f.Add([]byte{0, 0, 44, 44, 44, 88, 3, 199, 222, 223, 1})
	f.Add([]byte{1, 200, 200, 200, 200, 1, 1, 220, 0, 6})
	f.Fuzz(func(t *testing.T, input []byte) {
		docs := documents()
		s := newSim(t)
		s.book = wayBook()
		ways := []*rules.Facts{
			nil, led("https://a.example/", "usual"), led("https://b.example/", "other"), facts("https://c.example/", "text/html"),
			{Discovery: &rules.Discovery{Failure: &rules.Failure{Phase: "dial", Count: 3, Since: s.now}}},
		}
		told := map[jwks.Identity]bool{}
		for _, b := range input[:min(len(input), 200)] {
			s.wait(20 * time.Second)
			switch {
			case b >= 240:
				s.wait(time.Duration(b-239) * 24 * time.Hour)
				continue
			case b >= 220:
				s.failWith(refused([]string{"expired", "wrong_name"}[b%2]))
			case b >= 200:
				s.fail()
			default:
				s.facts = ways[int(b)%len(ways)]
				body := docs[int(b)%len(docs)]
				s.answer(body)
				usable := jwks.Parse(body).Usable()
				for i := range s.findings {
					if typ := s.findings[i].Type; !usable && slices.Contains([]event.Type{event.KeyRemoved, event.SetReplaced, event.SetEmptied}, typ) {
						t.Fatalf("%s by an answer that is no set", typ)
					}
				}
			}
			note(told, s.findings)
			if m := s.memory(); slices.ContainsFunc(s.findings, func(f rules.Finding) bool { return f.Type == event.BaselineEstablished }) {
				for _, k := range m.Live {
					// Known from the start: whether its return is told is for the tests of
					// stability to say.
					told[k.ID] = true
				}
			}
		}
		settle(t, s, told)
	})
}

// settle serves one set until nothing is pending, and then holds that every
// identity in it was told at some time, and that the memory stands on it.
func settle(t *testing.T, s *sim, told map[jwks.Identity]bool) {
	t.Helper()
	final := doc("A:a", "B:b", "Z:z")
	s.facts = led("https://final.example/", "usual")
	for range 12 {
		s.wait(time.Minute)
		s.answer(final)
		note(told, s.findings)
	}
	m, err := history.Decode(s.stored)
	if err != nil {
		t.Fatal(err)
	}
	// What the state machine ends in its own time may stand: minutes are none.
	open := slices.DeleteFunc(slices.Clone(m.Conditions), func(c *history.Condition) bool {
		return slices.Contains([]event.Type{event.SetUnstable, event.RotationNoOverlap, event.EndpointNoisy, event.KeyOverage, event.RotationOverdue}, event.Type(c.Type))
	})
	if m.Pending != nil || len(open) > 0 {
		t.Fatalf("not settled: pending %+v, %d conditions open", m.Pending, len(open))
	}
	var live []string
	for _, k := range m.Live {
		live = append(live, k.Kid)
		if !told[k.ID] && !m.Sightings[k.ID].FirstAfter.IsZero() {
			t.Errorf("%s is served and was never told", k.Kid)
		}
	}
	slices.Sort(live)
	if fmt.Sprint(slices.Compact(live)) != "[a b z]" {
		t.Errorf("the baseline is %q", live)
	}
	again, err := m.Encode()
	if err != nil || !bytes.Equal(again, s.stored) {
		t.Errorf("the memory does not survive storage: %v", err)
	}
}

func note(told map[jwks.Identity]bool, findings []rules.Finding) {
	for _, f := range findings {
		switch f.Type {
		case event.KeyAdded, event.KeyMutated, event.KeyKidReused, event.KeyReappeared, event.SetRolledBack:
			if f.Key != nil {
				told[f.Key.Key.ID] = true
			}
			for _, k := range f.Keys {
				told[k.Key.ID] = true
			}
		}
	}
}
