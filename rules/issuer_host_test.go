package rules_test

import (
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/rules"
)

// TestTheIssuersHostIsJudgedToo holds that a name that is gone and a certificate
// that is refused at the issuer's host are told, though the last known key set,
// on a host of its own, goes on answering.
func TestTheIssuersHostIsJudgedToo(t *testing.T) {
	s := newSim(t)
	discovers("https://idp.example", "https://keys.other.test/jwks")(s)
	s.expect(s.poll(doc("A:a")), "informational baseline.established once")
	lost := func(code string, row int) {
		shows(func(f *rules.Facts) {
			f.Discovery = &rules.Discovery{
				Document: "https://idp.example/.well-known/openid-configuration", Used: "https://keys.other.test/jwks",
				Failure: &rules.Failure{
					Phase: "discovery", Code: code, Count: row, Since: s.now.Add(-time.Duration(row-1) * time.Minute), Host: "idp.example",
					Row: row, RowSince: s.now.Add(-time.Duration(row-1) * time.Minute), OthersResolve: true,
				},
			}
		})(s)
	}
	lost("wrong_name", 1)
	s.expect(s.poll(doc("A:a")), "high endpoint.tls_invalid")
	if f := s.findings[0]; f.Failure == nil || f.Failure.Code != "wrong_name" {
		t.Errorf("failure %+v", f.Failure)
	}
	lost("wrong_name", 2)
	s.expect(s.poll(doc("A:a")))
	discovers("https://idp.example", "https://keys.other.test/jwks")(s)
	s.expect(s.poll(doc("A:a")), "informational endpoint.tls_invalid closed")
	for row := range 3 {
		lost("nxdomain", row+1)
		s.poll(doc("A:a"))
	}
	discovers("https://idp.example", "https://keys.other.test/jwks")(s)
	s.poll(doc("A:a"))
	s.poll(doc("A:a"))
	got := tell(s.all)
	want := []string{
		"informational baseline.established once", "high endpoint.tls_invalid", "informational endpoint.tls_invalid closed",
		"high endpoint.dangling", "low endpoint.unreachable once", "informational endpoint.dangling closed", "informational endpoint.unreachable closed",
	}
	s.expect(got, want...)
}
