package rules_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// TestBecomesASigningKey holds that a key which first stood for something else is
// told as what it becomes, by whatever way it does.
func TestBecomesASigningKey(t *testing.T) {
	t.Parallel()
	planted := scene(polls(doc("A:a", "B:b")), shut, polls(doc("A:a", "B:b", "R:x:use=enc")))
	gone := scene(planted, later(time.Hour), polls(doc("A:a", "B:b")), later(time.Hour))
	limited := scene(polls(doc("A:a", "B:b")), shut, polls(doc("A:a", "B:b", "R:x:key_ops=[\"encrypt\"]")), later(time.Hour), polls(doc("A:a", "B:b")), later(time.Hour))
	for name, c := range map[string]struct {
		before, then play
		typ          event.Type
		reason       string
	}{
		"another use":            {planted, polls(doc("A:a", "B:b", "R:x:use=sig")), event.KeyAltered, "became_signing_key"},
		"a second entry":         {planted, polls(doc("A:a", "B:b", "R:x:use=enc", "R:y:use=sig")), event.KeyRelabelled, "became_signing_key"},
		"it comes back as one":   {gone, polls(doc("A:a", "B:b", "R:x:use=sig")), event.KeyAdded, "outside_change_window"},
		"and under another name": {gone, polls(doc("A:a", "B:b", "R:y")), event.KeyAdded, "outside_change_window"},
		"once limited by ops":    {limited, polls(doc("A:a", "B:b", "R:x")), event.KeyAdded, "outside_change_window"},
	} {
		s := newSim(t)
		c.before(s)
		s.all = nil
		c.then(s)
		if f := s.only(c.typ); f.Severity != event.SeverityHigh || !slices.Contains(f.Reasons, c.reason) {
			t.Errorf("%s: %s %q", name, f.Severity, f.Reasons)
		}
	}
	// In a window no less.
	s := newSim(t)
	scene(polls(doc("A:a")), polls(doc("A:a", "R:x:use=enc")), opens(2*time.Hour), polls(doc("A:a", "R:x:use=enc", "R:y:use=sig")))(s)
	if f := s.only(event.KeyRelabelled); f.Severity != event.SeverityHigh {
		t.Errorf("in a window: %s %q", f.Severity, f.Reasons)
	}
}

// TestBecomesASigningKeyWhileUnstable holds that answers which alternate hide no key
// that comes back as what it never was.
func TestBecomesASigningKeyWhileUnstable(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	one, two := polls(doc("A:a", "B:b")), polls(doc("A:a", "C:c"))
	hour := later(time.Hour)
	scene(one, two, hour, one, hour, two, hour, one)(s)
	s.only(event.SetUnstable)
	s.all = nil
	scene(hour, polls(doc("A:a", "B:b", "R:x:use=enc")), hour, one, hour, polls(doc("A:a", "B:b", "R:y:use=sig")), hour, one, hour, polls(doc("A:a", "B:b", "R:y:use=sig")))(s)
	var classes []string
	for _, f := range s.openings(event.KeyAdded) {
		classes = append(classes, f.Details.(*event.KeyAddedDetails).Class)
	}
	if !slices.Equal(classes, []string{"enc", "sig"}) { // and once only
		t.Errorf("told %q", tell(s.all))
	}
}
