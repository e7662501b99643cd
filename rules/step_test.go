package rules_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

var _ diff.Past = history.Past{}

const html = "<!doctype html><title>Sign in</title>"

func TestFirstSightIsABaseline(t *testing.T) {
	s := newSim(t)
	s.expect(s.poll(doc("A:a", "B:b")), "informational baseline.established once")
	s.expect(s.poll(doc("A:a", "B:b")))
	s.expect(s.poll(doc("B:b", "A:a"))) // order is no change
	if s.accepted {
		t.Error("a set in another order was stored again")
	}
}

func TestOrderlyRotation(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	s.expect(s.poll(doc("A:a", "B:b", "C:c")), "low key.added c")
	s.expect(s.poll(doc("B:b", "C:c")), "informational key.removed a", "informational rotation.completed")
	f := s.findings[0]
	d := f.Details.(*event.KeyRemovedDetails)
	if d.TrustedUntil == nil || !d.TrustedUntil.Equal(f.After.Add(time.Hour)) {
		t.Errorf("trusted until %v, want an hour after %v", d.TrustedUntil, f.After)
	}
	if d.Confirmation.Attempts != 2 || d.Confirmation.Agreed != 2 {
		t.Errorf("confirmation %+v", d.Confirmation)
	}
}

func TestAbsenceNeedsASecondLook(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	s.wait(time.Minute)
	s.expect(s.answer(doc("A:a")))
	if s.look == 0 || !s.pending {
		t.Fatal("no second look was asked for")
	}
	s.wait(s.look)
	s.expect(s.answer(doc("A:a", "B:b")))
	m, _ := history.Decode(s.stored)
	if m.FlipCount != 1 {
		t.Errorf("%d flips, want 1", m.FlipCount)
	}
	s.expect(s.poll(doc("A:a", "B:b")))
}

func TestSecondLookThatFails(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	s.wait(time.Minute)
	s.expect(s.answer(doc("A:a", "C:c")))
	s.wait(s.look)
	s.expect(s.fail(), "low key.added c once") // presence at once, absence not yet
	s.wait(5 * time.Second)
	s.expect(s.answer(doc("A:a", "C:c")), "informational key.removed b")
	s.expect(s.poll(doc("A:a", "C:c")))
}

func TestMutationToldWhileTheSecondLookFails(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	s.wait(time.Minute)
	s.expect(s.answer(doc("R:a", "B:b")))
	s.wait(s.look)
	s.expect(s.fail(), "critical key.mutated a once")
	s.wait(5 * time.Second)
	s.expect(s.answer(doc("R:a", "B:b"))) // its removal is explained
	s.expect(s.poll(doc("R:a", "B:b")))
}

func TestReplacementSurvivesAFailedSecondLook(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	s.wait(time.Minute)
	s.answer(doc("C:c", "D:d"))
	s.wait(s.look)
	s.expect(s.fail(), "low key.added c once", "low key.added d once")
	s.wait(5 * time.Second)
	s.expect(s.answer(doc("C:c", "D:d")),
		"high set.replaced", "informational key.removed a", "informational key.removed b")
}

func TestJunkCannotStarveAVerdict(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	s.wait(time.Minute)
	s.expect(s.answer(doc("J1:j1", "R:r")))
	s.wait(s.look)
	s.expect(s.answer(doc("J2:j2", "R:r")), "high set.replaced",
		"low key.added j2 once", "low key.added r", "low key.added j1 once",
		"informational key.removed a", "informational key.removed b")
	s.expect(s.poll(doc("J3:j3", "R:r")), "low key.added j3 once", "informational key.removed j1", "informational key.removed j2")
	s.expect(s.poll(doc("J3:j3", "R:r")))
}

func TestJunkBeforeTheCutOverHidesNothing(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b"))
	for n := range 5 { // junk beside the real keys, new in each answer
		s.wait(s.policy.Interval)
		s.answer(doc("A:a", "B:b", fmt.Sprintf("J%d:j%d", n, n)))
	}
	var got []string
	for n := range 4 {
		s.wait(s.policy.Interval)
		got = append(got, s.answer(doc(fmt.Sprintf("K%d:k%d", n, n)))...)
	}
	if count(got, "high set.replaced") == 0 { // and again, as long as each answer replaces the one before
		t.Errorf("set.replaced was not told: %q", got)
	}
}

func count(list []string, s string) int {
	n := 0
	for _, v := range list {
		if v == s {
			n++
		}
	}
	return n
}

// TestLeakInAnAnswerThatIsNoSet serves a bare private JWK, once.
func TestLeakInAnAnswerThatIsNoSet(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.wait(time.Minute)
	s.expect(s.answer([]byte(entry("B:b:d=secret"))))
	s.wait(s.look)
	s.expect(s.answer(doc("A:a")), "medium document.invalid once", "critical key.private once")
	s.wait(time.Minute)
	s.expect(s.poll(doc("A:a")), "informational document.invalid closed", "informational key.private closed")
}

// TestManyKeysUnderOneKid holds that an unchanged set of more keys under one kid
// than are remembered is no news.
func TestManyKeysUnderOneKid(t *testing.T) {
	s := newSim(t)
	var words []string
	for i := range history.MaxPerKid + 4 {
		words = append(words, fmt.Sprintf("A%d:a", i))
	}
	s.poll(doc(words...))
	s.expect(s.poll(doc(words...)))
	s.expect(s.poll(doc(words...)))
}

// TestLeakBesideAnEmptySet serves a private key outside an empty array, once.
func TestLeakBesideAnEmptySet(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.wait(time.Minute)
	s.expect(s.answer([]byte(`{"keys":[],"backup":`+entry("B:b:d=x")+`}`)), "critical key.private once")
}

// TestOldAmbiguityHidesNoRepeatedKeys opens a harmless ambiguity first.
func TestOldAmbiguityHidesNoRepeatedKeys(t *testing.T) {
	s := newSim(t)
	s.poll([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","x-note":1,"x-note":1}]}`))
	s.expect(s.poll([]byte(`{"keys":[],"keys":[]}`)), "high set.ambiguous")
}

// TestLeakBeforeTheBaseline serves a bare private JWK before the first set.
func TestLeakBeforeTheBaseline(t *testing.T) {
	s := newSim(t)
	s.expect(s.answer([]byte(entry("B:b:d=x"))))
	s.wait(s.look)
	got := s.answer(doc("A:a"))
	if count(got, "critical key.private once") != 1 {
		t.Errorf("told %q", got)
	}
}

func TestAllSigningKeysGone(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "B:b", "E:e:use=enc"))
	s.expect(s.poll(doc("E:e:use=enc")), "high set.replaced", "low set.no_signing_keys", "informational key.removed a", "informational key.removed b")
}

func TestRogueKeyUnderATrustedLabel(t *testing.T) {
	t.Run("beside", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a"))
		s.expect(s.poll(doc("A:a", "R:a")), "high set.ambiguous", "critical key.mutated a")
	})
	t.Run("in two steps", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a"))
		s.expect(s.poll(doc("A:a", "R:x")), "low key.added x")
		s.expect(s.poll(doc("R:a")), "critical key.mutated a")
	})
	t.Run("after a pause", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		s.expect(s.poll(doc("B:b")), "informational key.removed a")
		s.wait(6 * 24 * time.Hour)
		s.expect(s.poll(doc("B:b", "R:a")), "critical key.mutated a")
	})
	t.Run("seen in one answer only", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		s.wait(time.Minute)
		s.answer(doc("R:a", "B:b"))
		s.wait(s.look)
		s.expect(s.answer(doc("A:a", "B:b")), "critical key.mutated a once")
		s.expect(s.poll(doc("A:a", "B:b")), "informational key.removed a")
	})
	t.Run("undecodable", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		s.expect(s.poll(doc("!R:a", "B:b")), "critical key.mutated a", "high key.unparseable a")
	})
}

func TestKidReused(t *testing.T) {
	for days, want := range map[int]string{8: "critical key.kid_reused a", 40: "high key.kid_reused a"} {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		s.poll(doc("B:b"))
		s.wait(time.Duration(days) * 24 * time.Hour)
		s.good = s.now
		s.expect(s.poll(doc("B:b", "R:a")), want)
	}
}

func TestReappearance(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.expect(s.poll(doc("B:b")), "high set.replaced", "low key.added b", "informational key.removed a")
	s.wait(24 * time.Hour)
	s.expect(s.poll(doc("A:a"))) // a lagging node, or a roll-back: time tells
	s.wait(2 * time.Hour)
	s.expect(s.poll(doc("A:a")), "medium set.rolled_back a once")
	s.wait(10 * 24 * time.Hour)
	s.good = s.now
	s.poll(doc("A:a", "C:c"))
	s.poll(doc("C:c"))
	s.wait(30 * 24 * time.Hour)
	s.good = s.now
	s.expect(s.poll(doc("A:a", "C:c")), "high set.rolled_back a") // published ten days, gone thirty
	s.poll(doc("C:c"))
	s.wait(30 * 24 * time.Hour)
	s.good = s.now
	s.expect(s.poll(doc("A:a", "C:c", "D:d")), "low key.added d", "high key.reappeared a") // no set that ever was
}

func TestSetReplacedIsJudgedPerPurpose(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a", "E:e:use=enc"))
	s.expect(s.poll(doc("B:b", "E:e:use=enc")), "high set.replaced", "low key.added b", "informational key.removed a")
	for _, f := range s.findings[1:] {
		if len(f.Reasons) != 1 || f.Reasons[0] != "explained_by:set.replaced" {
			t.Errorf("%s: reasons %v", f.Type, f.Reasons)
		}
	}
}

func TestNightlyMassRotationIsOneEventAKind(t *testing.T) {
	s := newSim(t)
	set := func(night int) []byte {
		var words []string
		for i := range 12 {
			words = append(words, fmt.Sprintf("N%d-%d:n%d-%d", night, i, night, i))
		}
		return doc(append(words, "S:stays")...)
	}
	s.poll(set(0))
	s.expect(s.poll(set(1)), "low key.added x12", "informational key.removed x12")
	if n := len(s.findings[0].Keys); n != 12 || s.findings[0].Key != nil {
		t.Errorf("%d keys in the rolled-up finding, key %v", n, s.findings[0].Key)
	}
}

func TestMutationsAreNeverRolledUp(t *testing.T) {
	s := newSim(t)
	var before, after []string
	for i := range 12 {
		before, after = append(before, fmt.Sprintf("A%d:k%d", i, i)), append(after, fmt.Sprintf("B%d:k%d", i, i))
	}
	s.poll(doc(before...))
	if got := s.poll(doc(after...)); len(got) != 13 { // set.replaced and each mutation
		t.Errorf("%d findings: %q", len(got), got)
	}
}

func TestEmptiedSet(t *testing.T) {
	emptied := func(t *testing.T) *sim {
		s := newSim(t)
		s.poll(doc("A:a", "B:b"))
		start := s.now.Add(s.policy.Interval)
		s.expect(s.poll(doc()), "critical set.emptied")
		if took := s.now.Sub(start); took < 30*time.Second || took > 2*time.Minute {
			t.Errorf("told after %v", took)
		}
		s.expect(s.poll(doc()))
		return s
	}
	t.Run("known keys return", func(t *testing.T) {
		s := emptied(t)
		s.expect(s.poll(doc("A:a", "B:b")), "informational set.emptied closed")
	})
	t.Run("some return", func(t *testing.T) {
		s := emptied(t)
		s.expect(s.poll(doc("A:a")), "informational set.emptied closed", "informational key.removed b")
	})
	t.Run("none known return", func(t *testing.T) {
		s := emptied(t)
		s.expect(s.poll(doc("C:c")), "informational set.emptied closed", "high set.replaced",
			"low key.added c", "informational key.removed a", "informational key.removed b")
	})
	t.Run("a hiccup", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a"))
		s.wait(time.Minute)
		s.expect(s.answer(doc()))
		s.wait(s.look)
		s.expect(s.answer(doc()))
		s.wait(s.look)
		s.expect(s.answer(doc("A:a")))
		s.expect(s.poll(doc("A:a")))
	})
	t.Run("a short interval", func(t *testing.T) {
		s := newSim(t)
		s.policy.Interval = time.Second
		s.poll(doc("A:a"))
		start := s.now.Add(s.policy.Interval)
		s.expect(s.poll(doc()), "critical set.emptied")
		if took := s.now.Sub(start); took > 7*time.Second {
			t.Errorf("told after %v, more than two intervals and five seconds", took)
		}
	})
	t.Run("empty at first sight", func(t *testing.T) {
		s := newSim(t)
		s.expect(s.poll(doc()), "informational baseline.established once", "critical set.emptied")
		s.expect(s.poll(doc("A:a")), "informational set.emptied closed", "low key.added a")
	})
}

func TestBrokenAnswersRemoveNothing(t *testing.T) {
	for name, body := range map[string]string{
		"html": html, "null": "null", "no keys": `{"error":"x"}`, "keys null": `{"keys":null}`, "case": `{"Keys":[]}`,
		"truncated": `{"keys":[{"kty":`, "trailing": `{"keys":[]}{}`, "bom": "\ufeff" + `{"keys":[]}`, "nothing": "",
	} {
		t.Run(name, func(t *testing.T) {
			s := newSim(t)
			s.poll(doc("A:a", "B:b"))
			s.expect(s.poll([]byte(body)), "medium document.invalid")
			s.expect(s.poll([]byte(body)))
			s.expect(s.poll(doc("A:a", "B:b")), "informational document.invalid closed")
		})
	}
	t.Run("once", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a"))
		s.wait(time.Minute)
		s.expect(s.answer([]byte(html)))
		s.wait(s.look)
		s.expect(s.answer(doc("A:a")), "medium document.invalid once")
		s.wait(time.Second)
		s.expect(s.poll(doc("A:a")), "informational document.invalid closed")
	})
	t.Run("keys twice", func(t *testing.T) {
		s := newSim(t)
		s.poll(doc("A:a"))
		s.expect(s.poll([]byte(`{"keys":[],"keys":[]}`)), "high set.ambiguous")
		s.expect(s.poll(doc("A:a")), "informational set.ambiguous closed")
	})
	t.Run("at first sight", func(t *testing.T) {
		s := newSim(t)
		s.expect(s.poll([]byte(html)), "medium document.invalid")
		s.expect(s.poll(doc("A:a")), "informational document.invalid closed", "informational baseline.established once")
	})
}

func TestFindingsAreConditions(t *testing.T) {
	s := newSim(t)
	s.expect(s.poll(doc("A:a:d=secret", "B:")), "informational baseline.established once",
		"medium set.ambiguous once", "critical key.private a once")
	opened := s.findings[2].Condition
	s.expect(s.poll(doc("A:a:d=other", "B:"))) // still open: no news
	s.expect(s.poll(doc("A:a", "B:")), "informational key.private a closed")
	closing := s.findings[0]
	if closing.Condition.ID != opened.ID || closing.Condition.Severity != uint8(event.SeverityCritical) {
		t.Errorf("closes %+v, opened %+v", closing.Condition, opened)
	}
	s.expect(s.poll(doc("A:a", "B:b")), "informational set.ambiguous closed", "medium key.relabelled b")
	s.expect(s.poll(doc("A:a:d=again", "B:b")), "critical key.private a")
	if again := s.findings[0].Condition; again.ID == opened.ID {
		t.Error("a condition that opens again is another one")
	}
}

func TestManyFlawsAreOneCondition(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	words := []string{"A:a"}
	for i := range 12 {
		words = append(words, fmt.Sprintf("!%d:k%d", i, i))
	}
	s.expect(s.poll(doc(words...)), "low key.added x12", "medium key.unparseable x12")
	s.expect(s.poll(doc("A:a")), "informational key.removed x12", "informational key.unparseable x12 closed")
}

func TestUnreachable(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	for _, at := range []time.Duration{time.Minute, 5 * time.Second, 30 * time.Second, time.Minute} {
		s.wait(at)
		s.expect(s.fail())
	}
	s.wait(time.Minute)
	s.expect(s.fail(), "medium endpoint.unreachable once")
	s.wait(time.Minute)
	s.expect(s.fail())
	s.expect(s.poll(doc("A:a")))
	s.expect(s.poll(doc("A:a")), "informational endpoint.unreachable closed")
}

func TestAnotherURLIsANewBaseline(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	s.policy.URL = "https://new.example/jwks"
	s.expect(s.poll(doc("C:c", "D:d")), "medium baseline.established once")
	if d := s.findings[0].Details.(*event.BaselineDetails); d.Reason != "url_changed" || d.Keys != 2 {
		t.Errorf("%+v", d)
	}
	s.expect(s.poll(doc("C:c", "D:d", "A:a", "E:e")), "low key.added e", "medium key.reappeared a") // the history stays
}

func TestTierCriticalRaises(t *testing.T) {
	s := newSim(t)
	s.policy.Tier = "critical"
	s.poll(doc("A:a"))
	s.expect(s.poll(doc("A:a", "B:b")), "medium key.added b")
	if f := s.findings[0]; f.Base != event.SeverityLow || len(f.Adjusted) != 1 || f.Adjusted[0].Reason != "tier_critical" {
		t.Errorf("base %s, adjusted %+v", f.Base, f.Adjusted)
	}
	s.expect(s.poll(doc("A:a", "B:c")), "high key.relabelled c")
}

// TestIntervalDoesNotChangeTheVerdict polls one history every minute and once a
// day.
func TestIntervalDoesNotChangeTheVerdict(t *testing.T) {
	days := [][]byte{doc("A:a"), doc("A:a", "B:b"), doc("A:a", "B:b"), doc("B:b"), doc("B:b:alg=RS256"), doc("B:b2:alg=RS256"), doc("C:c"), doc("R:c", "D:d")}
	told := func(interval time.Duration, polls int) []string {
		s := newSim(t)
		s.policy.Interval = interval
		for _, d := range days {
			for range polls {
				s.poll(d)
			}
		}
		return tell(s.all)
	}
	day, minute := told(24*time.Hour, 1), told(time.Hour, 24)
	if fmt.Sprint(day) != fmt.Sprint(minute) {
		t.Errorf("polled daily\n%q\npolled hourly\n%q", day, minute)
	}
}
