package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// kinds are the severities and types of what was told, in order.
func kinds(list []rules.Finding, types ...event.Type) []string {
	var out []string
	for _, f := range list {
		if len(types) == 0 || slices.Contains(types, f.Type) {
			s := f.Severity.String() + " " + string(f.Type)
			if f.Closing {
				s += " closed"
			}
			out = append(out, s)
		}
	}
	return out
}

func TestAKeyThatGoesTooEarly(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.poll(doc("A:a", "B:b"))
	s.wait(13 * time.Minute)
	s.good = s.now
	s.expect(s.poll(doc("B:b")), "informational key.removed a", "informational rotation.completed", "high rotation.removed_early a")
	f := s.findings[2]
	d := f.Details.(*event.RotationRemovedEarlyDetails)
	if d.Code != "early" || *d.OverlapMinS > 15*60 || *d.OverlapMaxS < 13*60 || d.Floor != "default" || d.FloorS != 86400 || d.Survivor == nil {
		t.Errorf("%+v", d)
	}
	if d.TrustedUntil == nil || !d.TrustedUntil.Equal(f.After.Add(time.Hour)) {
		t.Errorf("trusted until %v", d.TrustedUntil)
	}
	done := s.findings[1].Details.(*event.RotationCompletedDetails)
	if len(done.Added) != 1 || len(done.Removed) != 1 || done.OverlapMinS != *d.OverlapMinS || done.OverlapMaxS != *d.OverlapMaxS {
		t.Errorf("%+v", done)
	}
	s.expect(s.poll(doc("B:b")))
}

// TestTheIntervalDecidesNothing plays a removal after ten hours to polls that can
// tell it was early and to such that cannot: none says more than the finer one.
func TestTheIntervalDecidesNothing(t *testing.T) {
	for interval, want := range map[time.Duration][]string{
		time.Minute: {"high rotation.removed_early"}, time.Hour: {"high rotation.removed_early"},
		5 * time.Hour: {"informational rotation.removed_early"}, 24 * time.Hour: nil,
	} {
		s := newSim(t)
		s.policy.Interval = interval
		start := s.now
		for s.now.Before(start.Add(20 * aDay)) {
			switch d := s.now.Sub(start) + interval; { // of the poll to come
			case d < 10*aDay:
				s.poll(doc("A:a"))
			case d < 10*aDay+10*time.Hour:
				s.poll(doc("A:a", "B:b"))
			default:
				s.poll(doc("B:b"))
			}
			if interval < time.Hour && len(s.all) != 1 && s.now.Sub(start) > 11*aDay {
				break
			}
		}
		if got := kinds(s.all, event.RotationRemovedEarly); !slices.Equal(got, want) {
			t.Errorf("every %v: %q, want %q", interval, got, want)
		}
	}
}

// TestOverdueOpensAndCloses lives through a rhythm that stops and goes on.
func TestOverdueOpensAndCloses(t *testing.T) {
	s := newSim(t)
	turning(5, 10*aDay)(s)
	s.all = nil
	later(16 * aDay)(s)
	s.expect(s.poll(slid(5)), "medium rotation.overdue once")
	d := s.findings[0].Details.(*event.RotationOverdueDetails)
	if d.Rhythm != "learned" || d.Rotations != 5 || d.LastRotation == nil || s.findings[0].Condition == nil {
		t.Errorf("%+v", d)
	}
	later(10 * aDay)(s)
	s.expect(s.poll(slid(5))) // once
	s.expect(s.poll(slid(6)), "low key.added k7", "informational key.removed k5", "informational rotation.completed", "informational rotation.overdue closed")
}

func TestOverdueByDeclaration(t *testing.T) {
	s := newSim(t)
	s.policy.Expect.Cadence = 90 * aDay
	s.poll(doc("A:a"))
	later(99*aDay - time.Minute)(s)
	s.expect(s.poll(doc("A:a")))
	s.expect(s.poll(doc("A:a")), "medium rotation.overdue once")
	if d := s.findings[0].Details.(*event.RotationOverdueDetails); d.Rhythm != "declared" || d.LastRotation != nil || d.WatchedSince == nil {
		t.Errorf("%+v", d)
	}
	t.Run("not while the agent is in trouble", func(t *testing.T) {
		s := newSim(t)
		s.policy.Expect.Cadence = 90 * aDay
		s.poll(doc("A:a"))
		s.policy.Degraded = true
		later(100 * aDay)(s)
		s.expect(s.poll(doc("A:a")))
		s.policy.Degraded = false
		s.expect(s.poll(doc("A:a")), "medium rotation.overdue once")
		s.policy.Degraded = true
		s.expect(s.poll(doc("A:a"))) // no verdict: it does not close either
	})
}

// TestReviewIsWhenTimeTells holds that an answer which shows nothing new is asked
// for when something comes due.
func TestReviewIsWhenTimeTells(t *testing.T) {
	exp := fmt.Sprint(newSim(t).now.Add(50 * aDay).Unix())
	for name, tt := range map[string]struct {
		expect rules.Expect
		set    []byte
		want   time.Duration // after the first poll
	}{
		"overdue": {rules.Expect{Cadence: 30 * aDay}, doc("A:a"), 33 * aDay},
		"age":     {rules.Expect{MaxKeyAge: 20 * aDay}, doc("A:a"), 20 * aDay},
		"exp":     {rules.Expect{}, doc("A:a:exp=" + exp), 51*aDay - time.Minute},
		"nothing": {rules.Expect{}, doc("A:a"), 0},
		"count":   {rules.Expect{KeysMin: 2, KeysMax: 3}, doc("A:a"), 2 * time.Hour},
	} {
		m, _ := history.Decode(nil)
		at := newSim(t).now.Add(time.Minute)
		p := rules.Policy{Endpoint: "corp-idp", URL: "https://idp.example/jwks", Interval: time.Minute, Expect: tt.expect}
		out := rules.Step(rules.Book(), m, rules.Observation{At: at, Set: jwks.Parse(tt.set), MaxAge: time.Hour}, p)
		want := time.Time{}
		if tt.want > 0 {
			want = at.Add(tt.want)
		}
		if !out.Review.Equal(want) {
			t.Errorf("%s: review at %v, want %v", name, out.Review, want)
		}
	}
}

func TestOverage(t *testing.T) {
	stamp := func(s *sim, d time.Duration) string { return fmt.Sprint(s.now.Add(d).Unix()) }
	t.Run("past its own exp", func(t *testing.T) {
		s := newSim(t)
		set := doc("A:a:exp=" + stamp(s, 10*aDay))
		s.poll(set)
		later(11*aDay - time.Minute - time.Minute)(s)
		s.expect(s.poll(set))
		s.wait(time.Minute)
		s.expect(s.poll(set), "medium key.overage a once")
		if d := s.findings[0].Details.(*event.KeyOverageDetails); d.Code != "past_exp" || d.Exp == nil {
			t.Errorf("%+v", d)
		}
		s.expect(s.poll(doc("B:b")), "high set.replaced", "low key.added b", "informational key.removed a", "informational key.overage a closed")
	})
	t.Run("of many keys at once", func(t *testing.T) {
		s := newSim(t)
		s.policy.Expect.MaxKeyAge = aDay
		set := many(20, 0, "")
		s.poll(set)
		later(2 * aDay)(s)
		s.expect(s.poll(set), "medium key.overage x20 once")
		s.expect(s.poll(set))
	})
	t.Run("outlives all others", func(t *testing.T) {
		for lives, want := range map[int][]string{4: nil, 5: {"low key.overage"}} {
			s := newSim(t)
			s.poll(doc("A:a", "B:b"))
			for i := range lives { // each for ten days beside the two of unknown age
				later(aDay)(s)
				s.poll(doc("A:a", "B:b", fmt.Sprintf("L%d:l%d", i, i)))
				later(10 * aDay)(s)
				s.poll(doc("A:a", "B:b"))
			}
			s.poll(doc("A:a", "B:b", "C:c"))
			s.all = nil
			later(29 * aDay)(s)
			s.poll(doc("B:b", "C:c"))
			if got := kinds(s.all, event.KeyOverage); len(got) != len(want) { // B: 60 days and more
				t.Errorf("%d lives: %q", lives, got)
			}
		}
	})
}

func TestCountAndAlgorithmsAsDeclared(t *testing.T) {
	s := newSim(t)
	s.policy.Expect = rules.Expect{KeysMin: 1, KeysMax: 2, Algs: []string{"RS256", "ES256"}}
	s.expect(s.poll(doc("A:a:alg=RS256", "B:b")), "informational baseline.established once") // none is no other
	s.expect(s.poll(doc("A:a:alg=RS256", "B:b", "E:e:use=enc:alg=RSA-OAEP")), "low key.added e")
	s.expect(s.poll(doc("A:a:alg=RS256", "C:c:alg=none")), "high set.count_unexpected once",
		"low key.added c", "informational key.removed b", "informational key.removed e", "critical key.weak c")
	if d := s.findings[0].Details.(*event.SetCountUnexpectedDetails); d.Code != "algs" || !slices.Equal(d.Algs, []string{"none"}) || d.Keys != 2 {
		t.Errorf("%+v", d)
	}
	got := s.poll(doc("A:a:alg=RS256", "C:c:alg=none", "D:d:alg=HS1"))
	if count(got, "high set.count_unexpected once") != 1 { // another one is news
		t.Errorf("told %q", got)
	}
	got = s.poll(doc("A:a:alg=RS256"))
	if count(got, "informational set.count_unexpected closed") != 2 {
		t.Errorf("told %q", got)
	}
}

// TestKeysOfTheFirstSightDeclareNoLaterOnes: to name the keys that stand must not
// make a later one of a critical endpoint less of a question.
func TestKeysOfTheFirstSightDeclareNoLaterOnes(t *testing.T) {
	s := newSim(t)
	s.policy.Tier, s.policy.Expect.Thumbprints = "critical", []string{jwks.Parse(doc("A:a")).Keys[0].ID.String()}
	s.poll(doc("A:a"))
	s.expect(s.poll(doc("A:a", "B:b")), "medium key.added b")
}

// TestSetsAreToldBeforeKeys lets one step tell by several cases: the addition, and
// what is declared of the set that came of it.
func TestSetsAreToldBeforeKeys(t *testing.T) {
	s := newSim(t)
	s.policy.Expect = rules.Expect{KeysMin: 1, KeysMax: 9, Algs: []string{"RS256"}}
	s.poll(doc("A:a:alg=RS256"))
	s.expect(s.poll(doc("A:a:alg=RS256", "B:b:alg=PS256")), "high set.count_unexpected once", "low key.added b")
}

func TestTierCriticalRaisesWhatHasAReason(t *testing.T) {
	rhythmic := func(tier string, e rules.Expect, last []byte, types ...event.Type) []string {
		s := newSim(t)
		s.policy.Tier, s.policy.Expect = tier, e
		turning(4, 10*aDay)(s)
		s.all = nil
		later(8 * aDay)(s)
		s.poll(last)
		return kinds(s.all, types...)
	}
	declared := rules.Expect{Algs: []string{"RS256"}}
	for _, tt := range []struct {
		tier   string
		expect rules.Expect
		want   string
	}{
		{"standard", rules.Expect{}, "[medium key.added medium rotation.off_cadence]"},
		{"critical", rules.Expect{}, "[high key.added high rotation.off_cadence]"},
		{"critical", declared, "[high key.added high rotation.off_cadence]"},
	} {
		if got := fmt.Sprint(rhythmic(tt.tier, tt.expect, slid(5), event.KeyAdded, event.RotationOffCadence)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.tier, got, tt.want)
		}
	}
	plain := newSim(t)
	plain.policy.Tier, plain.policy.Expect = "critical", declared
	plain.poll(doc("A:a"))
	plain.expect(plain.poll(doc("A:a", "B:b")), "low key.added b") // something is declared, and nothing broken
	ambiguous := newSim(t)
	ambiguous.policy.Tier = "critical"
	ambiguous.poll(doc("A:a"))
	ambiguous.expect(ambiguous.poll(doc("A:a", "B:a")), "critical set.ambiguous", "critical key.mutated a")
}

func TestBaselineThatNobodyVouchesFor(t *testing.T) {
	thumb := func(word string) string { return jwks.Parse(doc(word)).Keys[0].ID.String() }
	now := newSim(t).now
	approved := func(change func(*rules.Approval)) []rules.Approval {
		a := rules.Approval{Thumbprint: thumb("A:a"), From: now, Until: now.Add(aDay)}
		if change != nil {
			change(&a)
		}
		return []rules.Approval{a}
	}
	for _, tt := range []struct {
		name    string
		tier    string
		expect  rules.Expect
		list    []rules.Approval
		want    string
		verdict event.Verdict
		reasons string
	}{
		{"standard", "standard", rules.Expect{}, nil, "informational", event.Informational, "[]"},
		{"critical", "critical", rules.Expect{}, nil, "medium", event.Unexpected, "[unverified]"},
		{"critical, other things declared", "critical", rules.Expect{KeysMax: 2}, nil, "medium", event.Unexpected, "[unverified]"},
		{"declared", "critical", rules.Expect{Thumbprints: []string{thumb("A:a")}}, nil, "informational", event.Expected, "[verified]"},
		{"others declared", "standard", rules.Expect{Thumbprints: []string{thumb("B:b")}}, nil, "high", event.Unexpected, "[outside_thumbprints]"},
		{"approved", "critical", rules.Expect{}, approved(nil), "informational", event.Expected, "[verified]"},
		{"approved with its kid", "critical", rules.Expect{}, approved(func(a *rules.Approval) { a.Kid = "a" }), "informational", event.Expected, "[verified]"},
		{"approved with another kid", "critical", rules.Expect{}, approved(func(a *rules.Approval) { a.Kid = "b" }), "medium", event.Unexpected, "[unverified]"},
		{"approved with another use", "critical", rules.Expect{}, approved(func(a *rules.Approval) { a.Use = "sig" }), "medium", event.Unexpected, "[unverified]"},
		{"approved once", "critical", rules.Expect{}, approved(func(a *rules.Approval) { a.Until = now }), "medium", event.Unexpected, "[unverified]"},
		{"approved for later", "critical", rules.Expect{}, approved(func(a *rules.Approval) { a.From = now.Add(time.Hour) }), "medium", event.Unexpected, "[unverified]"},
	} {
		s := newSim(t)
		s.policy.Tier, s.policy.Expect, s.policy.Approvals = tt.tier, tt.expect, tt.list
		s.poll(doc("A:a", "E:e:use=enc"))
		f := s.findings[0]
		if f.Severity.String() != tt.want || f.Verdict != tt.verdict || fmt.Sprint(f.Reasons) != tt.reasons {
			t.Errorf("%s: %s %s %v", tt.name, f.Severity, f.Verdict, f.Reasons)
		}
		if tt.reasons == "[outside_thumbprints]" && (len(f.Keys) != 1 || f.Keys[0].Key.Kid != "a") {
			t.Errorf("%s: names %+v", tt.name, f.Keys)
		}
	}
}

// TestWhatIsLearnedStaysHere lives through a rhythm that is broken and holds that
// no event says when the next rotation is due, or how much may be off.
func TestWhatIsLearnedStaysHere(t *testing.T) {
	s := newSim(t)
	turning(8, 10*aDay)(s)
	later(3 * aDay)(s)
	s.poll(slid(9))
	later(30 * aDay)(s)
	s.poll(slid(9))
	if got := kinds(s.all, event.RotationOffCadence, event.RotationOverdue); fmt.Sprint(got) != "[high rotation.off_cadence medium rotation.overdue]" {
		t.Fatalf("told %q", got)
	}
	for _, f := range s.all {
		for _, bound := range []string{"10 d", "240 h", "864000", "9 d", "15 d"} { // the rhythm and its bounds
			if said := fmt.Sprintf("%s %+v", f.Message, f.Details); strings.Contains(said, bound) && f.Type != event.RotationCompleted {
				t.Errorf("%s says %s: %s", f.Type, bound, said)
			}
		}
	}
}
