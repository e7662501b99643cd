package rules_test

import (
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/rules"
)

// fellWith is one failed poll whose discovery before was good.
func (s *sim) fellWith(f rules.Failure) []string {
	s.t.Helper()
	s.goods = 0
	if s.row++; s.row == 1 {
		s.since = s.now
	}
	f.Count, f.Since = s.row, s.since
	return s.step(rules.Observation{Failure: &f, Facts: s.facts})
}

// TestAMoveIsToldThoughNothingIsThere holds that a discovery document which
// leads elsewhere is told at once and once, also when the watcher, unlike its
// victims, gets no key set there.
func TestAMoveIsToldThoughNothingIsThere(t *testing.T) {
	s := newSim(t)
	discovers("https://idp.example", "https://idp.example/keys")(s)
	s.expect(s.poll(doc("A:a")), "informational baseline.established once")
	discovers("https://idp.example", "https://keys.other.test/jwks")(s)
	s.wait(time.Minute)
	s.expect(s.fellWith(rules.Failure{Phase: "status", Error: "HTTP status 403"}), "critical discovery.moved once")
	s.wait(time.Minute)
	s.expect(s.fellWith(rules.Failure{Phase: "status", Error: "HTTP status 403"}))
	s.expect(s.poll(doc("A:a")))
}

// TestNewsAtARecoveryIsToldOnce holds that the answer which ends an outage is
// judged once: its news is told with its keys, and as surely as it was seen.
func TestNewsAtARecoveryIsToldOnce(t *testing.T) {
	s := newSim(t)
	discovers("https://idp.example", "https://idp.example/keys")(s)
	s.poll(doc("A:a"))
	fails(3, rules.Failure{Phase: "dial", Error: "connection refused"})(s)
	discovers("https://idp.example", "https://idp.example/keys2")(s)
	s.expect(s.poll(doc("A:a", "B:b")),
		"informational endpoint.unreachable closed", "high discovery.moved", "high key.added b")
}
