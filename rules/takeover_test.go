package rules_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// TestTrueKeysFirst holds that who takes a host over gains nothing by serving the
// true keys at first: for an hour after a certificate of an issuer never seen, other
// keys are high, in a change window too.
func TestTrueKeysFirst(t *testing.T) {
	t.Parallel()
	true2 := polls(doc("A:a", "B:b"))
	other := scene(leaf("00", "CN=One", year), true2, later(40*aDay), true2, leaf("22", "CN=Two", year), true2)
	for name, c := range map[string]struct {
		between, then play
		typ           event.Type
		want          event.Severity
	}{
		"a key added":       {later(50 * time.Minute), polls(doc("A:a", "B:b", "R:r")), event.KeyAdded, event.SeverityHigh},
		"long after":        {later(2 * time.Hour), polls(doc("A:a", "B:b", "R:r")), event.KeyAdded, event.SeverityLow},
		"added in a window": {opens(2 * time.Hour), polls(doc("A:a", "B:b", "R:r")), event.KeyAdded, event.SeverityHigh},
		"all in a window":   {opens(2 * time.Hour), polls(doc("R:r", "S:s")), event.SetReplaced, event.SeverityHigh},
		"in one later":      {scene(later(2*time.Hour), opens(2*time.Hour)), polls(doc("R:r", "S:s")), event.SetReplaced, event.SeverityLow},
	} {
		s := newSim(t)
		scene(other, c.between, c.then)(s)
		if f := s.only(event.EndpointCertificateChanged); f.Severity != event.SeverityMedium {
			t.Errorf("%s: the certificate is %s", name, f.Severity)
		}
		f := s.only(c.typ)
		if novel := slices.Contains(f.Reasons, "transport_novel"); f.Severity != c.want || novel != (c.want == event.SeverityHigh) {
			t.Errorf("%s: %s %q", name, f.Severity, f.Reasons)
		}
		if f.Severity == event.SeverityHigh && f.Verdict != event.Unexpected {
			t.Errorf("%s: %s", name, f.Verdict)
		}
	}
}

// TestReturnedAsAnotherInItsRhythm holds that an issuer which exchanges its keys
// daily, and so may have exchanged all of them while it was away, is told as high
// all the same when it returns over a certificate of somebody else.
func TestReturnedAsAnotherInItsRhythm(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string]event.Severity{"CN=One": event.SeverityMedium, "CN=Two": event.SeverityHigh} {
		s := newSim(t)
		s.policy.Interval = time.Hour
		leaf("00", "CN=One", year)(s)
		for i := range 160 { // a rotation each day
			s.poll(slid(10 + i/4))
			later(6*time.Hour - time.Minute)(s)
		}
		s.all = nil
		fails(20, rules.Failure{Phase: "timeout", Error: "no answer"})(s)
		s.wait(5 * aDay)
		fails(3, rules.Failure{Phase: "timeout", Error: "no answer"})(s)
		leaf("22", issuer, year)(s)
		polls(doc("K90:k90", "K91:k91"))(s)
		f := s.only(event.SetReplaced)
		if another := slices.Contains(f.Reasons, "returned_as_another"); f.Severity != want || another != (want == event.SeverityHigh) {
			t.Errorf("%s: %s %q", issuer, f.Severity, f.Reasons)
		}
		if !slices.Contains(f.Reasons, "uncertain_time") {
			t.Errorf("%s: nothing says that rotations may have been missed: %q", issuer, f.Reasons)
		}
	}
}
