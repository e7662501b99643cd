package rules_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// thumbprint is that of the first entry of the words.
func thumbprint(words ...string) string { return jwks.Parse(doc(words...)).Keys[0].ID.String() }

// announces adds an approval for the key of a word, from an hour ago for so long.
func announces(word string, lasts time.Duration, change func(*rules.Approval)) play {
	return func(s *sim) {
		a := rules.Approval{
			ID: "ap-1", Thumbprint: thumbprint(word), From: s.now.Add(-time.Hour), Until: s.now.Add(lasts), Reason: "CHG-1", By: "iam",
		}
		if change != nil {
			change(&a)
		}
		s.policy.Approvals = append(s.policy.Approvals, a)
	}
}

func declaredScenes() map[string]struct{ fires, quiet play } {
	a := polls(doc("A:a"))
	return map[string]struct{ fires, quiet play }{
		"rotation-approved-change": {
			scene(a, announces("B:b", day, nil), polls(doc("A:a", "B:b"))),
			scene(a, announces("C:c", day, nil), polls(doc("A:a", "B:b"))),
		},
		"rotation-missed": {
			scene(a, announces("B:b", day, nil), a, later(day), a),
			scene(a, announces("B:b", day, nil), a, polls(doc("A:a", "B:b")), later(day), polls(doc("A:a", "B:b"))),
		},
	}
}

// TestApprovals holds what an approval by thumbprint lowers, and what it never does.
func TestApprovals(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before, then play
		typ          event.Type
		want         event.Severity
	}{
		"announced":           {announces("B:b", day, nil), polls(doc("A:a", "B:b")), event.KeyAdded, event.SeverityInformational},
		"another key":         {announces("C:c", day, nil), polls(doc("A:a", "B:b")), event.KeyAdded, event.SeverityLow},
		"another kid":         {announces("B:b", day, func(a *rules.Approval) { a.Kid = "x" }), polls(doc("A:a", "B:b")), event.KeyAdded, event.SeverityLow},
		"the kid":             {announces("B:b", day, func(a *rules.Approval) { a.Kid = "b" }), polls(doc("A:a", "B:b")), event.KeyAdded, event.SeverityInformational},
		"another use":         {announces("B:b:use=sig", day, func(a *rules.Approval) { a.Use = "enc" }), polls(doc("A:a", "B:b:use=sig")), event.KeyAdded, event.SeverityLow},
		"another alg":         {announces("B:b:alg=RS256", day, func(a *rules.Approval) { a.Alg = "PS256" }), polls(doc("A:a", "B:b:alg=RS256")), event.KeyAdded, event.SeverityLow},
		"and a signing key":   {announces("B:b:use=enc", day, func(a *rules.Approval) { a.Use = "enc" }), polls(doc("A:a", "B:b:use=enc", "B:c:use=sig")), event.KeyAdded, event.SeverityLow},
		"and another kid":     {announces("B:b", day, func(a *rules.Approval) { a.Kid = "b" }), polls(doc("A:a", "B:b", "B:c")), event.KeyAdded, event.SeverityLow},
		"another kid for it":  {announces("A:x", day, func(a *rules.Approval) { a.Kid = "x" }), polls(doc("A:x", "A:a")), event.KeyRelabelled, event.SeverityInformational},
		"over":                {announces("B:b", 0, nil), polls(doc("A:a", "B:b")), event.KeyAdded, event.SeverityLow},
		"not yet":             {announces("B:b", day, func(a *rules.Approval) { a.From = a.Until.Add(-time.Hour) }), polls(doc("A:a", "B:b")), event.KeyAdded, event.SeverityLow},
		"all replaced":        {announces("B:b", day, nil), polls(doc("B:b")), event.SetReplaced, event.SeverityInformational},
		"replaced and more":   {announces("B:b", day, nil), polls(doc("B:b", "C:c")), event.SetReplaced, event.SeverityHigh},
		"never an exchange":   {announces("R:a", day, nil), polls(doc("R:a")), event.KeyMutated, event.SeverityCritical},
		"never a private key": {announces("B:b:d=AQAB", day, nil), polls(doc("A:a", "B:b:d=AQAB")), event.KeyPrivate, event.SeverityCritical},
	} {
		s := newSim(t)
		scene(polls(doc("A:a")), tt.before, tt.then)(s)
		f := s.only(tt.typ)
		if f.Severity != tt.want {
			t.Errorf("%s: %s", name, f.Severity)
		}
		if announced := tt.want == event.SeverityInformational; tt.typ == event.KeyAdded && strings.Contains(f.Message, "nothing announced it") == announced {
			t.Errorf("%s: %s", name, f.Message)
		}
		approved := slices.Contains(f.Reasons, "approved")
		if lowered := tt.want == event.SeverityInformational; approved != lowered || lowered != (f.Verdict == event.Expected) {
			t.Errorf("%s: %s, %q", name, f.Verdict, f.Reasons)
		}
		if approved && (len(f.Adjusted) != 1 || f.Adjusted[0].Kind != "approval" || *f.Adjusted[0].By != "iam" || f.Adjusted[0].Expires == nil) {
			t.Errorf("%s: %+v", name, f.Adjusted)
		}
		for _, a := range s.all {
			if strings.Contains(a.Message, "CHG-1") {
				t.Errorf("%s: a pending approval stands in %q", name, a.Message)
			}
		}
	}
}

// TestMissedOnce holds that a change which did not come is told once, and not when
// its approval was revoked or over before it was known.
func TestMissedOnce(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	s := newSim(t)
	scene(a, announces("B:b", day, nil), a, later(day), a, a, later(day), a)(s)
	s.only(event.RotationMissed)
	s = newSim(t)
	scene(a, announces("B:b", day, nil), a, func(s *sim) { s.policy.Approvals = nil }, later(2*day), a)(s)
	if n := len(s.openings(event.RotationMissed)); n != 0 {
		t.Errorf("told %d times of what was revoked", n)
	}
	s = newSim(t)
	scene(a, announces("B:b", -time.Minute, nil), a, later(day), a)(s)
	if n := len(s.openings(event.RotationMissed)); n != 0 {
		t.Errorf("told %d times of what was over before", n)
	}
}

// TestAnotherKeyIsNotWhatWasAnnounced holds that a key which is not what its
// approval names leaves it unused, and that another kid is a change that came.
func TestAnotherKeyIsNotWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	named := func(kid string) func(*rules.Approval) { return func(a *rules.Approval) { a.Kid = kid } }
	for name, c := range map[string]struct {
		play play
		want int // of rotation.missed
	}{
		"under another kid": {scene(a, announces("B:b", day, named("x")), polls(doc("A:a", "B:b")), later(day), polls(doc("A:a", "B:b"))), 1},
		"under its kid":     {scene(a, announces("B:b", day, named("b")), polls(doc("A:a", "B:b")), later(day), polls(doc("A:a", "B:b"))), 0},
		"only another kid":  {scene(a, announces("A:x", day, named("x")), polls(doc("A:x")), later(day), polls(doc("A:x"))), 0},
	} {
		s := newSim(t)
		c.play(s)
		if n := len(s.openings(event.RotationMissed)); n != c.want {
			t.Errorf("%s: told %d times that it was missed, want %d", name, n, c.want)
		}
	}
}
