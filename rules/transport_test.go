package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// openings tells what was told of a type and is no closing.
func (s *sim) openings(t event.Type) []rules.Finding {
	return slices.DeleteFunc(slices.Clone(s.all), func(f rules.Finding) bool { return f.Type != t || f.Closing })
}

// only returns the one opening of a type.
func (s *sim) only(t event.Type) rules.Finding {
	s.t.Helper()
	list := s.openings(t)
	if len(list) != 1 {
		s.t.Fatalf("%s was told %d times: %q", t, len(list), tell(s.all))
	}
	return list[0]
}

func redirects(to rules.Redirect) rules.Failure {
	return rules.Failure{Phase: "status", Code: "redirect", Redirect: &to}
}

func TestRedirectThatGetsWorseIsNews(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	s.poll(doc("A:a"))
	s.wait(time.Minute)
	s.expect(s.failWith(redirects(rules.Redirect{Status: 302, Location: "https://idp.example/login"})), "medium endpoint.redirected once")
	d := s.findings[0].Details.(*event.EndpointRedirectedDetails)
	if d.Status != 302 || d.Location == nil || *d.Location != "https://idp.example/login" || d.CrossHost || d.Downgrade {
		t.Errorf("details %+v", d)
	}
	s.wait(time.Second)
	s.expect(s.failWith(redirects(rules.Redirect{Status: 302, Location: "https://idp.example/other"}))) // the same trouble
	s.wait(time.Second)
	s.expect(s.failWith(redirects(rules.Redirect{Status: 302, Location: "https://login.test/", CrossHost: true})), "high endpoint.redirected once")
	s.wait(time.Second)
	s.expect(s.failWith(redirects(rules.Redirect{Status: 302, Location: "https://another.test/", CrossHost: true})))
	s.wait(time.Second)
	s.expect(s.failWith(redirects(rules.Redirect{Status: 301, CrossHost: true, Downgrade: true})), "high endpoint.redirected once")
	s.wait(time.Second)
	s.expect(s.answer(doc("A:a")),
		"informational endpoint.redirected closed", "informational endpoint.redirected closed", "informational endpoint.redirected closed")
}

func TestCertificateThatIsRefused(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]string{
		"expired": "medium", "not_yet_valid": "medium", "wrong_name": "high", "unknown_ca": "high", "pin_mismatch": "high",
		"": "", "nxdomain": "", "redirect": "",
	} {
		s := newSim(t)
		s.poll(doc("A:a"))
		s.wait(time.Minute)
		at := s.now.Add(-24 * time.Hour)
		s.failWith(rules.Failure{Phase: "tls", Code: code, LeafSPKI: "ab", LeafIssuer: "CN=One", LeafNotAfter: at})
		list := s.openings(event.EndpointTLSInvalid)
		if want == "" {
			if len(list) != 0 {
				t.Errorf("%q: %q", code, tell(list))
			}
			continue
		}
		if len(list) != 1 || list[0].Severity.String() != want {
			t.Errorf("%s: %q, want %s", code, tell(list), want)
			continue
		}
		d := list[0].Details.(*event.EndpointTLSInvalidDetails)
		if d.Code != code || d.LeafSPKI == nil || *d.LeafSPKI != "ab" || *d.LeafIssuer != "CN=One" || !d.NotAfter.Equal(at) || d.Failures != 1 {
			t.Errorf("%s: details %+v", code, d)
		}
	}
}

// TestNeglectedCertificateRises lets a certificate stay expired. The row of
// failures begins anew each time, as after a restart.
func TestNeglectedCertificateRises(t *testing.T) {
	t.Parallel()
	play := func(tier, code string) *sim {
		s := newSim(t)
		s.policy.Tier = tier
		s.poll(doc("A:a"))
		for range 72 {
			s.wait(time.Hour)
			s.row = 0
			s.failWith(rules.Failure{Phase: "tls", Code: code, Row: 1, RowSince: s.now})
		}
		return s
	}
	s := play("critical", "expired")
	s.expect(tell(s.openings(event.EndpointTLSInvalid)), "medium endpoint.tls_invalid once")
	for range 5 {
		s.wait(time.Hour)
		s.failWith(rules.Failure{Phase: "tls", Code: "expired"})
	}
	s.expect(tell(s.openings(event.EndpointTLSInvalid)), "medium endpoint.tls_invalid once", "high endpoint.tls_invalid once")
	s.wait(time.Minute)
	s.expect(s.answer(doc("A:a")), "informational endpoint.tls_invalid closed", "informational endpoint.tls_invalid closed")

	for _, s := range []*sim{play("standard", "expired"), play("critical", "pin_mismatch")} {
		s.wait(time.Hour)
		s.failWith(rules.Failure{Phase: "tls", Code: "pin_mismatch"})
		s.wait(time.Hour)
		s.failWith(rules.Failure{Phase: "tls", Code: "expired"})
		for _, f := range s.openings(event.EndpointTLSInvalid) {
			if strings.Contains(f.Message, "3 days") {
				t.Errorf("%s on tier %s", f.Message, s.policy.Tier)
			}
		}
	}
}

func TestNameThatIsGone(t *testing.T) {
	t.Parallel()
	gone := rules.Failure{Phase: "resolve", Code: "nxdomain", Host: "idp.example", OthersResolve: true}
	for name, c := range map[string]struct {
		interval, since time.Duration
		row             int
		change          func(*rules.Failure)
		fires           bool
	}{
		"a minute, twice":         {interval: time.Minute, since: time.Minute, row: 2, fires: true},
		"less than a minute":      {interval: time.Minute, since: 59 * time.Second, row: 9},
		"once":                    {interval: time.Minute, since: time.Hour, row: 1},
		"two short intervals":     {interval: 10 * time.Second, since: 20 * time.Second, row: 3, fires: true},
		"less than two of them":   {interval: 10 * time.Second, since: 19 * time.Second, row: 3},
		"a day is not waited for": {interval: 24 * time.Hour, since: time.Minute, row: 3, fires: true},
		"nothing resolves":        {interval: time.Minute, since: time.Hour, row: 9, change: func(f *rules.Failure) { f.OthersResolve = false }},
		"another code":            {interval: time.Minute, since: time.Hour, row: 9, change: func(f *rules.Failure) { f.Code = "" }},
	} {
		s := newSim(t)
		s.policy.Interval = c.interval
		f := gone
		f.Row, f.RowSince = c.row, s.now.Add(-c.since)
		if c.change != nil {
			c.change(&f)
		}
		s.failWith(f)
		list := s.openings(event.EndpointDangling)
		if len(list) > 1 || (len(list) == 1) != c.fires {
			t.Errorf("%s: %q", name, tell(s.all))
		}
		if len(list) == 1 {
			d := list[0].Details.(*event.EndpointDanglingDetails)
			if list[0].Severity != event.SeverityHigh || d.Host != "idp.example" || d.Failures != c.row || !d.Since.Equal(f.RowSince) {
				t.Errorf("%s: %s, %+v", name, list[0].Severity, d)
			}
		}
	}
}

func TestCachePolicy(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(shows(func(f *rules.Facts) {
		f.HasMaxAge, f.MaxAge, f.CacheControl, f.Age, f.Stale = true, 24*time.Hour+time.Second, "max-age=86401", 90*time.Minute, true
	}), polls(doc("A:a")))(s)
	var codes []string
	for _, f := range s.openings(event.EndpointCachePolicy) {
		d := f.Details.(*event.EndpointCachePolicyDetails)
		codes = append(codes, d.Code)
		if f.Severity != event.SeverityLow || *d.MaxAgeS != 86401 || *d.AgeS != 5400 || *d.CacheControl != "max-age=86401" {
			t.Errorf("%s, %+v", f.Severity, d)
		}
	}
	if !slices.Equal(codes, []string{"long_max_age", "age_beyond_max_age"}) {
		t.Errorf("codes %q", codes)
	}
	// A stale answer without max-age; the other condition closes.
	shows(func(f *rules.Facts) { f.HasMaxAge, f.MaxAge, f.CacheControl, f.Age = false, 0, "", 0 })(s)
	s.expect(s.poll(doc("A:a")), "informational endpoint.cache_policy closed")
}

// TestCachePolicyAndTheOverlap pins what is declared of the overlap from both sides.
func TestCachePolicyAndTheOverlap(t *testing.T) {
	t.Parallel()
	for overlap, want := range map[time.Duration]int{0: 0, time.Hour: 0, time.Hour - time.Second: 1} {
		s := newSim(t)
		s.policy.Expect.Overlap = overlap
		scene(shows(func(f *rules.Facts) { f.HasMaxAge, f.MaxAge = true, time.Hour }), polls(doc("A:a")))(s)
		list := s.openings(event.EndpointCachePolicy)
		if len(list) != want {
			t.Fatalf("overlap %s: %q", overlap, tell(list))
		}
		for _, f := range list {
			if d := f.Details.(*event.EndpointCachePolicyDetails); d.Code != "exceeds_overlap" || f.Severity != event.SeverityMedium {
				t.Errorf("%s, %+v", f.Severity, d)
			}
		}
	}
}

func TestContentType(t *testing.T) {
	t.Parallel()
	for contentType, ok := range map[string]bool{
		"application/json":                              true,
		"APPLICATION/JSON":                              true,
		"application/jwk-set+json":                      true,
		"application/vnd.example.v2+json;charset=utf-8": true,
		"application/json; charset":                     true, // ill-formed, and ignored
		"application/json; a=1; a=2":                    true,
		" application/json ;":                           true,
		"":                                              false,
		"text/json":                                     false,
		"text/html; charset=utf-8":                      false,
		"application/octet-stream":                      false,
		"application/jsonp":                             false,
		"json":                                          false,
		"+json":                                         false,
		"text/html; x=application/json":                 false,
		"application/json, text/html":                   false,
		"text/html, application/x+json":                 false,
		"application/\ufffdjson":                        false,
	} {
		s := newSim(t)
		scene(shows(func(f *rules.Facts) { f.ContentType = contentType }), polls(doc("A:a")))(s)
		list := s.openings(event.EndpointContentType)
		if (len(list) == 0) != ok {
			t.Errorf("%q: %q", contentType, tell(list))
			continue
		}
		if d := (*event.EndpointContentTypeDetails)(nil); !ok {
			d = list[0].Details.(*event.EndpointContentTypeDetails)
			if list[0].Severity != event.SeverityLow || (d.ContentType == nil) != (contentType == "") {
				t.Errorf("%q: %s, %+v", contentType, list[0].Severity, d)
			}
		}
	}
}

func TestCertificateOfTheEndpointChanges(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	a, ab := polls(doc("A:a")), polls(doc("A:a", "B:b"))
	for name, c := range map[string]struct {
		left   time.Duration // of the old one, when the new one comes; it lives a day longer
		after  time.Duration // since the baseline
		issuer string        // of the new one
		before play          // between
		last   play
		want   string
		has    string
		keys   bool // changed too
	}{
		"a month left":                {left: 30 * day, after: 40 * day, issuer: "CN=One", want: "low", has: "in_renewal"},
		"more than a month, a third":  {left: 100 * day, after: 250 * day, issuer: "CN=One", want: "low", has: "in_renewal"},
		"more than a third":           {left: 100 * day, after: 90 * day, issuer: "CN=One", want: "medium", has: "out_of_renewal"},
		"expired":                     {left: -day, after: 40 * day, issuer: "CN=One", want: "low", has: "in_renewal"},
		"on the first day":            {left: year, after: 23 * time.Hour, issuer: "CN=One", want: "low", has: "learning"},
		"after the first day":         {left: year, after: 25 * time.Hour, issuer: "CN=One", want: "medium", has: "out_of_renewal"},
		"another issuer":              {left: day, after: 40 * day, issuer: "CN=Two", want: "medium", has: "new_issuer"},
		"another issuer on day one":   {left: year, after: time.Hour, issuer: "CN=Two", want: "medium", has: "new_issuer"},
		"and keys with it":            {left: day, after: 40 * day, issuer: "CN=Two", last: ab, want: "high", has: "transport_novel", keys: true},
		"and keys just before":        {left: day, after: 40 * day, issuer: "CN=Two", before: scene(ab, later(58*time.Minute)), last: ab, want: "high", has: "transport_novel", keys: true},
		"and keys long before":        {left: day, after: 40 * day, issuer: "CN=Two", before: scene(ab, later(61*time.Minute)), last: ab, want: "medium", has: "new_issuer"},
		"keys with a known issuer":    {left: day, after: 40 * day, issuer: "CN=One", last: ab, want: "low", has: "in_renewal", keys: true},
		"the baseline is no change":   {left: day, after: 30 * time.Minute, issuer: "CN=Two", want: "medium", has: "new_issuer"},
		"an issuer that was here too": {left: day, after: 40 * day, issuer: "CN=Old", want: "low", has: "in_renewal"},
	} {
		s := newSim(t)
		total := c.after + c.left
		scene(leaf("00", "CN=Old", total), a, leaf("11", "CN=One", total), a)(s)
		s.all = nil
		s.wait(c.after)
		s.good = s.now
		if c.before != nil {
			c.before(s)
		}
		leaf("22", c.issuer, year)(s)
		if c.last == nil {
			c.last = a
		}
		c.last(s)
		f := s.only(event.EndpointCertificateChanged)
		if f.Severity.String() != c.want || !slices.Contains(f.Reasons, c.has) {
			t.Errorf("%s: %s for %q, want %s for %s", name, f.Severity, f.Reasons, c.want, c.has)
		}
		d := f.Details.(*event.EndpointCertificateChangedDetails)
		if *d.SPKIBefore != "11" || *d.SPKIAfter != "22" || *d.IssuerBefore != "CN=One" || *d.IssuerAfter != c.issuer || d.KeyChanged != c.keys || d.Confirmation.Agreed != 2 {
			t.Errorf("%s: details %+v", name, d)
		}
		c.last(s)
		s.only(event.EndpointCertificateChanged) // it is known now
	}
}

// TestManyCertificatesAreForgottenInOrder lets more servers stand behind a name
// than are remembered.
func TestManyCertificatesAreForgottenInOrder(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for i := range history.MaxLearnedSPKIs + 4 {
		scene(leaf(fmt.Sprintf("%02x", i), "CN=One", year), polls(doc("A:a")))(s)
	}
	l := s.memory().Learned
	if len(l.SPKIs) != history.MaxLearnedSPKIs || history.Knows(l.SPKIs, "03") || !history.Knows(l.SPKIs, "04") || len(l.Issuers) != 1 {
		t.Errorf("%d certificates of %d issuers", len(l.SPKIs), len(l.Issuers))
	}
	if n := len(s.openings(event.EndpointCertificateChanged)); n != history.MaxLearnedSPKIs+3 {
		t.Errorf("told %d times", n)
	}
}

// TestWithoutTLSNothingIsLearned watches an endpoint over plain HTTP that gets a
// certificate: the first one is no change.
func TestWithoutTLSNothingIsLearned(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(shows(func(*rules.Facts) {}), polls(doc("A:a")), leaf("11", "CN=One", year), polls(doc("A:a")))(s)
	s.expect(tell(s.all), "informational baseline.established once")
	if l := s.memory().Learned; l.LeafSPKI != "11" || len(l.SPKIs) != 1 {
		t.Errorf("%+v", l)
	}
}
