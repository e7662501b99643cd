package history_test

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// unsteady is a memory in which all that is told of alternating answers is as
// large as it gets.
func unsteady() *history.Memory {
	m, _ := history.Decode(nil)
	m.Accept([]jwks.Key{key("A", "a"), key("B", "b")}, time.Time{}, day(0))
	m.Accept([]jwks.Key{key("A", "a")}, day(1), day(2))
	m.Sightings[id("B")].Untold = true
	st := &m.Stability
	st.Phase, st.Since, st.Newest, st.OlderAt = history.Unstable, day(1), [32]byte{1}, day(0)
	st.Flips, st.First, st.Last, st.Longest, st.Slow, st.Settled = 1<<63, day(1), day(2), 365*24*time.Hour, true, time.Hour
	for i := range 100 {
		st.Shown([32]byte{byte(i)}, 4096)
		st.Opened(day(float64(i)), 90*24*time.Hour)
		st.Missed(history.Span{From: day(float64(i)), To: day(float64(i) + 0.5)}, day(0))
		st.Place([8]byte{byte(i)})
		m.Habit.Replaced(history.Span{From: day(float64(i)), To: day(float64(i) + 0.5)})
	}
	for range 64 {
		st.Back = append(st.Back, id("B"))
	}
	for range history.MaxLives {
		m.Habit.Lives = append(m.Habit.Lives, 365*24*time.Hour)
	}
	for range history.MaxWaiting {
		m.Waiting = append(m.Waiting, history.Waiting{ID: id("B"), Due: day(3), Min: time.Hour, Max: 24 * time.Hour, Low: true})
	}
	m.Habit.Overlaps = 2
	return m
}

func TestStabilitySurvivesStorage(t *testing.T) {
	m := unsteady()
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := history.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(m, back) {
		t.Errorf("from %+v %+v\n  to %+v %+v", m.Stability, m.Habit, back.Stability, back.Habit)
	}
	if len(b) > 64<<10 {
		t.Errorf("%d octets", len(b))
	}
	m.Stability, m.Habit, m.Waiting = history.Stability{}, history.Habit{}, nil
	if b, _ := m.Encode(); bytes.Contains(b, []byte(`"stab`)) || bytes.Contains(b, []byte(`"habit`)) {
		t.Errorf("nothing is written as %s", b)
	}
}

func TestStabilityIsBounded(t *testing.T) {
	m := unsteady()
	if s := m.Stability; len(s.Shares) != 8 || len(s.Openings) != 8 || len(s.Gaps) != 16 || len(s.Places) != 64 || s.Places[63] != [8]byte{99} || len(m.Habit.Replacements) != 12 {
		t.Errorf("%d shares, %d openings, %d gaps, %d exchanges", len(s.Shares), len(s.Openings), len(s.Gaps), len(m.Habit.Replacements))
	}
	if last := m.Habit.Replacements[11]; !last.From.Equal(day(99)) {
		t.Errorf("the newest exchange was forgotten: %v", last)
	}
}

// TestRareSetsMakeRoom: of too many sets that alternate the one that was served
// least is forgotten.
func TestRareSetsMakeRoom(t *testing.T) {
	var s history.Stability
	for i := range 8 {
		for range i + 2 {
			s.Shown([32]byte{byte(i)}, i)
		}
	}
	s.Shown([32]byte{99}, 1)
	if slices.ContainsFunc(s.Shares, func(h history.Share) bool { return h.Sum == [32]byte{0} }) || s.Shares[7].Sum != [32]byte{99} || s.Shares[6].Count != 9 {
		t.Errorf("%v", s.Shares)
	}
}

func TestSettledForgetsThePhaseOnly(t *testing.T) {
	s := unsteady().Stability
	want := s
	want.Phase, want.Since, want.Back, want.OlderAt, want.Gaps = history.Stable, time.Time{}, nil, time.Time{}, nil
	if s.Settle(); !reflect.DeepEqual(s, want) {
		t.Errorf("%+v", s)
	}
}

func TestCloneOfStability(t *testing.T) {
	m := unsteady()
	want, _ := m.Encode()
	c := m.Clone()
	c.Stability.Shown(c.Stability.Shares[0].Sum, 1)
	c.Stability.Back[0], c.Stability.Openings[0], c.Stability.Gaps[0] = id("Z"), day(9), history.Span{}
	c.Habit.Replacements[0], c.Habit.Lives[0], c.Waiting[0].Low = history.Span{}, 0, false
	if got, _ := m.Encode(); !bytes.Equal(got, want) {
		t.Error("the original changed with its clone")
	}
}
