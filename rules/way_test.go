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

// wayBook is the built-in book with two rules of the way that are as plain as
// can be: any content type but JSON, any code of a failure.
func wayBook() []rules.Rule {
	book := slices.DeleteFunc(rules.Book(), func(r rules.Rule) bool {
		return r.Observe != nil || strings.HasPrefix(string(r.Type), "discovery.") || r.Type == event.EndpointCertificateChanged
	})
	return append(book, rules.Rule{
		ID: "endpoint-content-type", Type: event.EndpointContentType, Severity: event.SeverityLow, Verdict: event.Unexpected,
		Observe: func(s *rules.Sight) []rules.Flaw {
			if s.Facts == nil || s.Facts.ContentType == "application/json" {
				return nil
			}
			return []rules.Flaw{{
				ID: history.FlawID(string(event.EndpointContentType), s.Facts.ContentType), What: "served as something else",
				Details: &event.EndpointContentTypeDetails{ContentType: &s.Facts.ContentType},
			}}
		},
	}, rules.Rule{
		ID: "endpoint-tls-invalid", Type: event.EndpointTLSInvalid, Severity: event.SeverityHigh, Verdict: event.Unexpected,
		Observe: func(s *rules.Sight) []rules.Flaw {
			if s.Failure == nil || s.Failure.Code == "" {
				return nil
			}
			return []rules.Flaw{{
				ID: history.FlawID(string(event.EndpointTLSInvalid), s.Failure.Code), What: "the certificate is not valid",
				Details: &event.EndpointTLSInvalidDetails{Code: s.Failure.Code},
			}}
		},
	})
}

// movedBook tells of any jwks_uri but the usual, and learns none.
func movedBook() []rules.Rule {
	return append(wayBook(), rules.Rule{
		ID: "discovery-moved", Type: event.DiscoveryMoved, Severity: event.SeverityMedium, Verdict: event.Unexpected,
		Judge: func(c *rules.Case) []rules.Finding {
			if c.Facts == nil || c.Facts.Discovery == nil || c.Facts.Discovery.JWKSURI == "usual" {
				return nil
			}
			return []rules.Finding{{
				Confirmed: c.Seen.Agreed > 1, Message: "corp-idp: moved",
				Details: &event.DiscoveryMovedDetails{Code: "same_host", After: &c.Facts.Discovery.JWKSURI, Confirmation: c.Seen},
			}}
		},
	})
}

func led(mark, to string) *rules.Facts {
	f := facts(mark, "application/json")
	f.Discovery = &rules.Discovery{JWKSURI: to}
	return f
}

// TestNewsOfTheWayIsToldWithTheKeys holds that each answer's news is told once,
// with its own evidence and as surely as it was seen.
func TestNewsOfTheWayIsToldWithTheKeys(t *testing.T) {
	tell := func(t *testing.T, first, second *rules.Facts) *sim {
		s := newSim(t)
		s.book = movedBook()
		s.facts = led("https://quiet.example/", "usual")
		s.poll(doc("A:a"))
		s.facts = first
		s.wait(time.Minute)
		s.expect(s.answer(doc("A:a", "B:b")))
		s.facts = second
		s.wait(s.look)
		s.answer(doc("A:a", "B:b"))
		return s
	}
	usual, moved, other := led("https://u.example/", "usual"), led("https://m.example/", "moved"), led("https://o.example/", "other")
	s := tell(t, moved, led("https://again.example/", "moved"))
	s.expect(last(s), "high discovery.moved", "high key.added b")
	if f := s.findings[0]; f.Evidence.URL != "https://m.example/" || !slices.Contains(f.Reasons, "discovery_novel") || f.Base != event.SeverityMedium {
		t.Errorf("evidence %v, reasons %q, base %s", f.Evidence, f.Reasons, f.Base)
	}
	if d := s.findings[0].Details.(*event.DiscoveryMovedDetails); d.Confirmation.Attempts != 2 || d.Confirmation.Agreed != 2 {
		t.Errorf("confirmation %+v", d.Confirmation)
	}
	s = tell(t, moved, usual)
	s.expect(last(s), "high discovery.moved once", "high key.added b")
	s = tell(t, usual, moved)
	s.expect(last(s), "high discovery.moved once", "high key.added b")
	if f := s.findings[0]; f.Evidence.URL != "https://m.example/" || !f.At.Equal(s.now) {
		t.Errorf("evidence %v at %v", f.Evidence, f.At)
	}
	s = tell(t, moved, other)
	s.expect(last(s), "high discovery.moved once", "high discovery.moved once", "high key.added b")
	s = tell(t, usual, usual)
	s.expect(last(s), "low key.added b")

	s = newSim(t)
	s.book, s.facts = movedBook(), moved
	s.expect(s.poll(doc("A:a")), "informational baseline.established once")
}

func last(s *sim) []string { return tell(s.findings) }

// facts are those of an answer with this content type, with evidence that can
// be told apart.
func facts(mark, contentType string) *rules.Facts {
	return &rules.Facts{Evidence: &event.Transport{URL: mark}, ContentType: contentType}
}

func newWay(t *testing.T) *sim {
	s := newSim(t)
	s.book = wayBook()
	s.facts = facts("https://quiet.example/", "application/json")
	return s
}

func evidence(list []rules.Finding) []string {
	var out []string
	for _, f := range list {
		if f.Evidence == nil {
			out = append(out, "none")
			continue
		}
		out = append(out, f.Evidence.URL)
	}
	return out
}

func TestFlawOfTheWayIsACondition(t *testing.T) {
	s := newWay(t)
	s.poll(doc("A:a"))
	s.facts = facts("https://html.example/", "text/html")
	s.expect(s.poll(doc("A:a")), "low endpoint.content_type")
	s.expect(s.poll(doc("A:a")))
	s.facts = facts("https://good.example/", "application/json")
	s.wait(time.Minute)
	s.expect(s.answer(doc("A:a"))) // absence needs a second look
	if !s.pending {
		t.Fatal("nothing waits for a second look")
	}
	s.wait(s.look)
	s.expect(s.answer(doc("A:a")), "informational endpoint.content_type closed")

	t.Run("seen once", func(t *testing.T) {
		s := newWay(t)
		s.poll(doc("A:a"))
		s.facts = facts("https://html.example/", "text/html")
		s.wait(time.Minute)
		s.expect(s.answer(doc("A:a")))
		s.facts = facts("https://good.example/", "application/json")
		s.wait(s.look)
		s.expect(s.answer(doc("A:a")), "low endpoint.content_type once")
		if got := evidence(s.findings); got[0] != "https://html.example/" {
			t.Errorf("stands on the evidence of %s", got)
		}
		s.expect(s.poll(doc("A:a")), "informational endpoint.content_type closed")
	})
	t.Run("at first sight", func(t *testing.T) {
		s := newWay(t)
		s.facts = facts("https://html.example/", "text/html")
		s.expect(s.poll(doc("A:a")), "low endpoint.content_type once", "informational baseline.established once")
	})
}

func TestEvidenceIsThatOfTheAnswerThatFirstShowedIt(t *testing.T) {
	s := newWay(t)
	s.poll(doc("A:a", "B:b"))
	s.facts = facts("https://first.example/", "application/json")
	s.wait(time.Minute)
	s.expect(s.answer(doc("A:a", "R:r")))
	s.facts = facts("https://second.example/", "text/html")
	s.wait(s.look)
	s.expect(s.answer(doc("A:a", "R:r", "S:s")),
		"low endpoint.content_type once", "low key.added r", "low key.added s once", "informational key.removed b")
	want := []string{"https://second.example/", "https://first.example/", "https://second.example/", "https://first.example/"}
	if got := evidence(s.findings); !slices.Equal(got, want) {
		t.Errorf("evidence\n got %q\nwant %q", got, want)
	}

	t.Run("told after a failure", func(t *testing.T) {
		s := newWay(t)
		s.poll(doc("A:a"))
		s.facts = facts("https://first.example/", "application/json")
		s.wait(time.Minute)
		s.answer(doc("A:a", "R:r"))
		s.wait(s.look)
		s.expect(s.fail(), "low key.added r once")
		if got := evidence(s.findings); got[0] != "https://first.example/" {
			t.Errorf("stands on the evidence of %s", got)
		}
	})
	t.Run("of a set that became empty", func(t *testing.T) {
		s := newWay(t)
		s.poll(doc("A:a"))
		s.facts = facts("https://first.example/", "application/json")
		s.wait(time.Minute)
		s.answer(doc())
		s.facts = facts("https://second.example/", "application/json")
		s.expect(s.poll(doc()), "critical set.emptied")
		if got := evidence(s.findings); got[0] != "https://first.example/" {
			t.Errorf("stands on the evidence of %s", got)
		}
	})
}

func refused(code string) rules.Failure {
	return rules.Failure{Phase: "tls", Error: "certificate", Code: code, Evidence: &event.Transport{URL: "https://" + code + ".example/"}}
}

func TestFlawOfAFailureOpensAtOnceAndClosesAtTheFirstAnswer(t *testing.T) {
	s := newWay(t)
	s.poll(doc("A:a"))
	s.wait(time.Minute)
	s.expect(s.failWith(refused("expired")), "high endpoint.tls_invalid once")
	f := s.findings[0]
	if f.Failure == nil || f.Condition == nil || f.Evidence == nil || f.Evidence.URL != "https://expired.example/" {
		t.Errorf("failure %v, condition %v, evidence %v", f.Failure, f.Condition, f.Evidence)
	}
	s.wait(time.Minute)
	s.expect(s.failWith(refused("expired"))) // open: no news
	s.wait(time.Minute)
	s.expect(s.failWith(refused("expired")), "low endpoint.unreachable once")
	if f := s.findings[0]; !slices.Equal(f.Reasons, []string{"explained_by:endpoint.tls_invalid"}) || f.Base != event.SeverityMedium || len(f.Adjusted) != 1 {
		t.Errorf("reasons %q, base %s, adjusted %v", f.Reasons, f.Base, f.Adjusted)
	}
	s.wait(time.Minute)
	s.expect(s.failWith(refused("wrong_name")), "high endpoint.tls_invalid once")
	s.wait(time.Minute)
	s.expect(s.answer(doc("A:a")), "informational endpoint.tls_invalid closed", "informational endpoint.tls_invalid closed")
	s.expect(s.poll(doc("A:a")), "informational endpoint.unreachable closed")
	s.expect(s.poll(doc("A:a")))
}

func TestAgentInTroubleExplainsWhatDoesNotAnswer(t *testing.T) {
	s := newWay(t)
	s.poll(doc("A:a"))
	s.policy.Degraded = true
	var got []string
	for range 3 {
		s.wait(time.Minute)
		got = append(got, s.fail()...)
	}
	s.expect(got, "low endpoint.unreachable once")
	if r := s.findings[0].Reasons; !slices.Equal(r, []string{"explained_by:agent.degraded"}) {
		t.Errorf("reasons %q", r)
	}
}

func TestDiscoveryThatFailsIsAConditionOfItsOwn(t *testing.T) {
	s := newWay(t)
	s.poll(doc("A:a"))
	since, row := s.now, 0
	lost := func() *rules.Facts {
		f := facts("https://keys.example/", "application/json")
		row++
		f.Discovery = &rules.Discovery{Document: "https://idp.example/.well-known/openid-configuration", Failure: &rules.Failure{
			Phase: "status", Error: "HTTP status 503", Count: row, Since: since, Evidence: &event.Transport{URL: "https://document.example/"},
		}}
		return f
	}
	var got []string
	for range 3 {
		s.facts = lost()
		got = append(got, s.poll(doc("A:a"))...)
	}
	s.expect(got, "medium endpoint.unreachable once")
	f := s.findings[0]
	if f.Failure.Phase != "discovery" || f.Details.(*event.EndpointUnreachableDetails).Phase != "discovery" || f.Evidence.URL != "https://document.example/" {
		t.Errorf("failure %+v, evidence %v", f.Failure, f.Evidence)
	}
	m, _ := history.Decode(s.stored)
	if out := (rules.Outcome{Memory: m}); !out.Attentive() {
		t.Error("an unchanged answer would not be looked at, and the condition would stay open")
	}
	// Now the key set is lost too: a condition beside it.
	for range 3 {
		s.wait(time.Minute)
		got = s.fail()
	}
	s.expect(got, "medium endpoint.unreachable once")
	s.facts = facts("https://keys.example/", "application/json")
	s.facts.Discovery = &rules.Discovery{JWKSURI: "https://keys.example/"}
	s.expect(s.poll(doc("A:a")))
	s.expect(s.poll(doc("A:a")), "informational endpoint.unreachable closed", "informational endpoint.unreachable closed")
	s.expect(s.poll(doc("A:a")))
}

// TestSilenceEndsNoCondition serves answers of whose way nothing is known, and
// such whose discovery document could not be had.
func TestSilenceEndsNoCondition(t *testing.T) {
	mismatch := append(wayBook(), rules.Rule{
		ID: "discovery-issuer-mismatch", Type: event.DiscoveryIssuerMismatch, Severity: event.SeverityHigh, Verdict: event.Unexpected,
		Observe: func(s *rules.Sight) []rules.Flaw {
			if s.Facts == nil || s.Facts.Discovery == nil || s.Facts.Discovery.Issuer != "other" {
				return nil
			}
			return []rules.Flaw{{
				ID: history.FlawID(string(event.DiscoveryIssuerMismatch)), What: "another issuer", Details: &event.DiscoveryIssuerMismatchDetails{},
			}}
		},
	})
	s := newWay(t)
	s.book = mismatch
	s.facts = led("https://other.example/", "usual")
	s.facts.Discovery.Issuer = "other"
	s.expect(s.poll(doc("A:a")), "high discovery.issuer_mismatch once", "informational baseline.established once")
	s.facts = led("https://lost.example/", "")
	s.facts.Discovery.Failure = &rules.Failure{Phase: "dial", Count: 1, Since: s.now}
	s.expect(s.poll(doc("A:a")))
	s.facts = nil
	s.expect(s.poll(doc("A:a")))
	s.facts = led("https://good.example/", "usual")
	s.expect(s.poll(doc("A:a")), "informational discovery.issuer_mismatch closed")

	t.Run("told though the key set cannot be had", func(t *testing.T) {
		s := newWay(t)
		s.book = mismatch
		f := led("https://other.example/", "usual")
		f.Discovery.Issuer = "other"
		s.expect(s.step(rules.Observation{Facts: f, Failure: &rules.Failure{Phase: "discovery", Count: 1, Since: s.now}}),
			"high discovery.issuer_mismatch once")
		if f := s.findings[0]; f.Failure != nil || f.Evidence == nil || f.Evidence.URL != "https://other.example/" {
			t.Errorf("failure %v, evidence %v", f.Failure, f.Evidence)
		}
	})
}

func TestConditionOfARuleThatIsGoneStillCloses(t *testing.T) {
	s := newWay(t)
	s.facts = facts("https://html.example/", "text/html")
	s.poll(doc("A:a"))
	s.book = rules.Book()[:1]
	s.facts = facts("https://good.example/", "application/json")
	s.expect(s.poll(doc("A:a")), "informational endpoint.content_type closed")
}
