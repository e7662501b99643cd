package rules_test

import (
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// way are the facts of an answer over this certificate, after discovery led to
// this key set.
func way(mark, spki, uri string) *rules.Facts {
	f := facts(mark, "application/json")
	f.LeafSPKI, f.LeafIssuer = spki, "CN=Example CA"
	f.LeafNotBefore = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.LeafNotAfter = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	if uri != "" {
		f.Discovery = &rules.Discovery{
			Document: "https://idp.example/.well-known/openid-configuration", Issuer: "https://idp.example", JWKSURI: uri, Shown: uri,
			Host: "idp.example", Site: "idp.example", Algs: []string{"RS256"},
		}
	}
	return f
}

func newIssuer(t *testing.T) *sim {
	s := newSim(t)
	s.policy.URL, s.policy.Issuer, s.policy.Site = "https://idp.example", "https://idp.example", "idp.example"
	s.facts = way("https://old.example/", "aa", "https://idp.example/old")
	return s
}

func (s *sim) memory() *history.Memory {
	s.t.Helper()
	m, err := history.Decode(s.stored)
	if err != nil {
		s.t.Fatal(err)
	}
	return m
}

func TestWhatIsLearnedIsToldOnce(t *testing.T) {
	s := newIssuer(t)
	s.expect(s.poll(doc("A:a")), "informational baseline.established once")
	s.facts = way("https://new.example/", "aa", "https://idp.example/new")
	s.expect(s.poll(doc("A:a")), "medium discovery.moved")
	s.expect(s.poll(doc("A:a")))
	s.facts = way("https://old.example/", "aa", "https://idp.example/old")
	s.expect(s.poll(doc("A:a"))) // known
	if got := history.Newest(s.memory().Learned.URIs); got != "https://idp.example/old" {
		t.Errorf("after a restart %s would be asked", got)
	}

	t.Run("the second look fails", func(t *testing.T) {
		s := newIssuer(t)
		s.poll(doc("A:a"))
		s.facts = way("https://new.example/", "aa", "https://idp.example/new")
		s.wait(time.Minute)
		s.expect(s.answer(doc("A:a")))
		if n := len(s.memory().Learned.URIs); n != 1 || !s.pending {
			t.Errorf("%d values learned before anything was told", n)
		}
		s.wait(s.look)
		s.expect(s.fail(), "medium discovery.moved once")
		if f := s.findings[0]; f.Evidence == nil || f.Evidence.URL != "https://new.example/" {
			t.Errorf("stands on %v", f.Evidence)
		}
		s.expect(s.poll(doc("A:a")))
	})
	t.Run("the second look is no set", func(t *testing.T) {
		s := newIssuer(t)
		s.poll(doc("A:a"))
		s.facts = way("https://new.example/", "aa", "https://idp.example/new")
		s.wait(time.Minute)
		s.expect(s.answer([]byte(html)))
		s.wait(s.look)
		s.expect(s.answer([]byte(html)), "medium discovery.moved", "medium document.invalid")
		s.expect(s.poll([]byte(html)))
	})
	t.Run("the set is empty", func(t *testing.T) {
		s := newIssuer(t)
		s.poll(doc("A:a"))
		s.facts = way("https://new.example/", "bb", "https://idp.example/new")
		s.expect(s.poll(doc()), "low endpoint.certificate_changed once", "medium discovery.moved once", "critical set.emptied")
		s.facts = way("https://next.example/", "bb", "https://idp.example/next")
		s.expect(s.poll(doc()), "medium discovery.moved once")
	})
	t.Run("at a new baseline", func(t *testing.T) {
		s := newIssuer(t)
		s.poll(doc("A:a"))
		s.policy.URL, s.policy.Issuer = "https://idp.example/next", "https://idp.example/next"
		s.facts = way("https://new.example/", "bb", "https://idp.example/new")
		s.facts.Discovery.Issuer = s.policy.Issuer
		s.expect(s.poll(doc("A:a")), "medium baseline.established once")
		if l := s.memory().Learned; len(l.URIs) != 1 || len(l.SPKIs) != 1 {
			t.Errorf("still knows of another issuer: %+v", l)
		}
	})
}

func TestTakeoverIsToldInOneStep(t *testing.T) {
	s := newIssuer(t)
	s.poll(doc("A:a", "B:b"))
	s.facts = way("https://new.example/", "aa", "https://keys.other.test/jwks")
	s.facts.Discovery.Host, s.facts.Discovery.Site = "keys.other.test", "other.test"
	s.wait(time.Minute)
	s.expect(s.answer(doc("C:c")))
	s.wait(s.look)
	s.expect(s.answer(doc("C:c")), "critical discovery.moved", "high set.replaced",
		"low key.added c", "informational key.removed a", "informational key.removed b")
	if r := s.findings[1].Reasons; !slices.Contains(r, "discovery_novel") {
		t.Errorf("set.replaced says nothing of the move: %q", r)
	}
}

// TestKnownWaysCostNoWrite lets two certificates and an unchanged document take
// turns: what is counted is not worth a write a poll.
func TestKnownWaysCostNoWrite(t *testing.T) {
	s := newIssuer(t)
	a, b := way("https://a.example/", "aa", "https://idp.example/jwks"), way("https://b.example/", "bb", "https://idp.example/jwks")
	s.facts = a
	s.poll(doc("A:a"))
	s.facts = b
	s.poll(doc("A:a"))
	before := string(s.stored)
	for i := range 60 {
		s.facts = []*rules.Facts{a, b}[i%2]
		s.expect(s.poll(doc("A:a")))
	}
	if string(s.stored) != before {
		t.Error("the memory was written though nothing was new")
	}
	s.facts = a
	for range 30 { // the old one is gone for good
		s.wait(time.Hour)
		s.expect(s.poll(doc("A:a")))
	}
	if got := s.memory().Learned.LeafSPKI; got != "aa" {
		t.Errorf("after a day %s still counts as the certificate before", got)
	}
	s.facts = way("https://a.example/", "aa", "https://idp.example/jwks")
	s.facts.LeafNotAfter = s.facts.LeafNotAfter.AddDate(1, 0, 0)
	s.expect(s.poll(doc("A:a")))
	if got := s.memory().Learned.LeafNotAfter; !got.Equal(s.facts.LeafNotAfter) {
		t.Error("a renewal with the same key was not remembered")
	}
}

func TestAFailureSaysWhenTheLastGoodPollWas(t *testing.T) {
	s := newSim(t)
	s.poll(doc("A:a"))
	good := s.now
	s.wait(time.Minute)
	s.expect(s.failWith(refused("expired")), "medium endpoint.tls_invalid once")
	if d := s.findings[0].Details.(*event.EndpointTLSInvalidDetails); d.LastGood == nil || !d.LastGood.Equal(good) {
		t.Errorf("last good %v, want %v", d.LastGood, good)
	}
}
