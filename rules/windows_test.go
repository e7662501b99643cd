package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// opens gives the endpoint a weekly window around now: it opened an hour ago.
func opens(lasts time.Duration) play {
	return func(s *sim) {
		from := s.now.Add(-time.Hour)
		minute := from.Hour()*60 + from.Minute()
		w := rules.Window{Name: "iam-change", From: minute, To: (minute + int(lasts/time.Minute)) % (24 * 60)}
		w.Days[from.Weekday()] = true
		s.policy.Windows = []rules.Window{w}
	}
}

// shut gives it a window that is open on the day after tomorrow.
func shut(s *sim) {
	w := rules.Window{Name: "iam-change", From: 0, To: 60}
	w.Days[s.now.Add(48*time.Hour).Weekday()] = true
	s.policy.Windows = []rules.Window{w}
}

func critical(s *sim) { s.policy.Tier = "critical" }

// TestWindows holds what a change window lowers, what it raises outside of it, and
// what it never touches.
func TestWindows(t *testing.T) {
	t.Parallel()
	a, ab := polls(doc("A:a")), polls(doc("A:a", "B:b"))
	for name, tt := range map[string]struct {
		before, then play
		typ          event.Type
		want         event.Severity
		verdict      event.Verdict
		reason       string // "" for neither
	}{
		"inside":              {opens(2 * time.Hour), ab, event.KeyAdded, event.SeverityLow, event.Expected, "in_change_window"},
		"inside, critical":    {scene(critical, opens(2*time.Hour)), ab, event.KeyAdded, event.SeverityLow, event.Expected, "in_change_window"},
		"outside":             {shut, ab, event.KeyAdded, event.SeverityHigh, event.Unexpected, "outside_change_window"},
		"no window":           {func(*sim) {}, ab, event.KeyAdded, event.SeverityLow, event.Informational, ""},
		"outside, encryption": {shut, polls(doc("A:a", "B:b:use=enc")), event.KeyAdded, event.SeverityLow, event.Informational, ""},
		"behind encryption":   {shut, polls(doc("A:a", "B:b:use=enc", "B:c:use=sig")), event.KeyAdded, event.SeverityHigh, event.Unexpected, "outside_change_window"},
		"just over":           {opens(time.Hour + time.Minute), ab, event.KeyAdded, event.SeverityLow, event.Expected, "in_change_window"},
		"over":                {opens(time.Hour), ab, event.KeyAdded, event.SeverityHigh, event.Unexpected, "outside_change_window"},
		"all replaced":        {opens(2 * time.Hour), polls(doc("B:b", "C:c")), event.SetReplaced, event.SeverityLow, event.Expected, "in_change_window"},
		"replaced outside":    {shut, polls(doc("B:b", "C:c")), event.SetReplaced, event.SeverityHigh, event.Unexpected, "outside_change_window"},
		"never an exchange":   {opens(2 * time.Hour), polls(doc("R:a")), event.KeyMutated, event.SeverityCritical, event.Unexpected, ""},
		"never private":       {opens(2 * time.Hour), polls(doc("A:a", "B:b:d=AQAB")), event.KeyPrivate, event.SeverityCritical, event.Unexpected, ""},
		"beside an exchange":  {opens(2 * time.Hour), polls(doc("R:a", "B:b")), event.KeyAdded, event.SeverityLow, event.Informational, ""},
		"approved outside":    {scene(shut, announces("B:b", day, nil)), ab, event.KeyAdded, event.SeverityInformational, event.Expected, "outside_change_window"},
	} {
		s := newSim(t)
		scene(a, tt.before, tt.then)(s)
		f := s.only(tt.typ)
		if f.Severity != tt.want || f.Verdict != tt.verdict {
			t.Errorf("%s: %s %s, want %s %s (%q)", name, f.Severity, f.Verdict, tt.want, tt.verdict, f.Reasons)
		}
		if told := strings.Contains(f.Message, "a change window was open"); tt.typ == event.KeyAdded && name != "beside an exchange" && told != (tt.reason == "in_change_window") {
			t.Errorf("%s: %s", name, f.Message)
		}
		for _, r := range []string{"in_change_window", "outside_change_window"} {
			if slices.Contains(f.Reasons, r) != (r == tt.reason) {
				t.Errorf("%s: reasons %q", name, f.Reasons)
			}
		}
	}
}

// TestOneRotationAnOpening holds that a second addition in one opening is judged as
// outside, and that what goes in it is not.
func TestOneRotationAnOpening(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(polls(doc("A:a")), opens(4*time.Hour), polls(doc("A:a", "B:b")), later(10*time.Minute), polls(doc("B:b")), polls(doc("B:b", "C:c")))(s)
	added := s.openings(event.KeyAdded)
	if len(added) != 2 || added[0].Severity != event.SeverityLow || added[1].Severity != event.SeverityHigh {
		t.Errorf("%v", tell(s.all))
	}
	if f := s.only(event.KeyRemoved); !slices.Contains(f.Reasons, "in_change_window") {
		t.Errorf("removed: %q", f.Reasons)
	}
	m, err := history.Decode(s.stored)
	if err != nil {
		t.Fatal(err)
	}
	if w := m.Windowed; len(w) != 1 || w[0].Name != "iam-change" || w[0].Steps != 2 || w[0].Changes != 3 ||
		!slices.Equal(w[0].Keys, []string{thumbprint("B:b"), thumbprint("C:c")}) {
		t.Errorf("remembered: %+v", w)
	}
	// What comes within a few minutes is the same rotation: nodes are not as one.
	s = newSim(t)
	scene(polls(doc("A:a")), opens(4*time.Hour), polls(doc("A:a", "B:b")), polls(doc("A:a", "B:b", "C:c")))(s)
	if added := s.openings(event.KeyAdded); len(added) != 2 || added[1].Severity != event.SeverityLow {
		t.Errorf("%v", tell(s.all))
	}
	// It is forgotten in time.
	scene(later(80*time.Hour), polls(doc("A:a", "B:b", "C:c")))(s)
	if m, err = history.Decode(s.stored); err != nil || len(m.Windowed) != 0 {
		t.Errorf("still remembered: %+v, %v", m.Windowed, err)
	}
}

// TestAfterAGap holds that a change which may have been made in a window, or not, is
// neither lowered nor raised by it.
func TestAfterAGap(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(polls(doc("A:a")), opens(2*time.Hour), func(s *sim) { s.wait(3 * time.Hour) }, polls(doc("A:a", "B:b")))(s)
	if f := s.only(event.KeyAdded); f.Severity != event.SeverityLow || f.Verdict != event.Informational {
		t.Errorf("%s %s %q", f.Severity, f.Verdict, f.Reasons)
	}
	s = newSim(t)
	scene(polls(doc("A:a")), shut, func(s *sim) { s.wait(3 * time.Hour) }, polls(doc("A:a", "B:b")))(s)
	if f := s.only(event.KeyAdded); f.Severity != event.SeverityHigh {
		t.Errorf("no window was open: %s %q", f.Severity, f.Reasons)
	}
}

// TestDatedWindowMissed holds that a dated window in which nothing came is told
// once, and not when it was called off, used or over before.
func TestDatedWindowMissed(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	today := func(s *sim) {
		s.policy.Windows = []rules.Window{{Name: "once", Date: s.now.Truncate(day), From: 11 * 60, To: 14 * 60}}
	}
	s := newSim(t)
	scene(a, today, a)(s)
	if want := time.Date(2026, 3, 1, 14, 0, 0, 0, time.UTC); !s.review.Equal(want) {
		t.Errorf("the next review is at %s", s.review)
	}
	scene(later(3*time.Hour), a, a, later(day), a, later(80*time.Hour), a, a)(s)
	if f := s.only(event.RotationMissed); f.Details.(*event.RotationMissedDetails).Code != "window" || f.Severity != event.SeverityMedium {
		t.Errorf("%+v", f.Details)
	}
	for name, then := range map[string]play{
		"used":       scene(a, today, polls(doc("A:a", "B:b")), later(day), polls(doc("A:a", "B:b"))),
		"called off": scene(a, today, a, func(s *sim) { s.policy.Windows = nil }, later(day), a),
		"over":       scene(a, later(day), func(s *sim) { s.now = s.now.Add(-day); today(s); s.now = s.now.Add(day) }, a, later(day), a),
	} {
		s := newSim(t)
		then(s)
		if n := len(s.openings(event.RotationMissed)); n != 0 {
			t.Errorf("%s: told %d times", name, n)
		}
	}
}
