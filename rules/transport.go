package rules

import (
	"fmt"
	"mime"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// Thresholds of what is judged on the way to a key set.
const (
	// longMaxAge is how long a cache may keep a set: a key that is withdrawn
	// for a reason lives on in caches for so long.
	longMaxAge = 24 * time.Hour
	// danglingSpan, or two intervals where that is shorter, lies between the
	// first and the last NXDOMAIN that make a name gone.
	danglingSpan = time.Minute
	danglingRow  = 2
	// A leaf certificate is renewed when a third of its life is left, or a month.
	renewalShare = 3
	renewalLeft  = 30 * 24 * time.Hour
	// learningFor is how long after the baseline further certificates of known
	// issuers are no surprise: many servers may stand behind one name.
	learningFor = 24 * time.Hour
	// besides is how near a key change and a new certificate issuer are one
	// story.
	besides = time.Hour
)

func redirected(s *Sight) []Flaw {
	if s.Failure == nil || s.Failure.Redirect == nil {
		return nil
	}
	r := s.Failure.Redirect
	f := Flaw{
		ID: history.FlawID(string(event.EndpointRedirected)), What: "redirected, which is not followed: changes go unseen",
		Details: &event.EndpointRedirectedDetails{
			Status: r.Status, Location: event.TextOrNil(r.Location), CrossHost: r.CrossHost, Downgrade: r.Downgrade,
		},
	}
	switch {
	case r.Downgrade:
		f.Severity, f.What = event.SeverityHigh, "redirected from https to http, which is not followed: changes go unseen"
	case r.CrossHost:
		f.Severity, f.What = event.SeverityHigh, "redirected to another host, which is not followed: changes go unseen"
	}
	return []Flaw{f}
}

func tlsInvalid(s *Sight) []Flaw {
	f := s.Failure
	if f == nil {
		return nil
	}
	what, severity := "", event.SeverityHigh
	switch f.Code {
	case "pin_mismatch":
		what = "no pin matches the certificate"
	case "wrong_name":
		what = "the certificate is for another name"
	case "unknown_ca":
		what = "the certificate is of a CA that is not trusted"
	case "expired":
		what, severity = "the certificate has expired", event.SeverityMedium
	case "not_yet_valid":
		what, severity = "the certificate is not valid yet", event.SeverityMedium
	default:
		return nil
	}
	d := &event.EndpointTLSInvalidDetails{
		Code: f.Code, LeafSPKI: event.TextOrNil(f.LeafSPKI), LeafIssuer: event.TextOrNil(f.LeafIssuer), NotAfter: event.AtOrNil(f.LeafNotAfter),
		Failures: f.Count, Since: new(event.At(f.Since)),
	}
	return []Flaw{{
		// Of each code its own: a pin that fails after an expiry is news.
		ID: history.FlawID(string(event.EndpointTLSInvalid), f.Code), Severity: severity,
		What: what + ": the document is not trusted, changes go unseen", Details: d,
	}}
}

func dangling(s *Sight) []Flaw {
	f := s.Failure
	if f == nil || f.Code != "nxdomain" || f.Row < danglingRow || !f.OthersResolve {
		return nil
	}
	if s.At.Sub(f.RowSince) < min(danglingSpan, 2*s.Policy.Interval) {
		return nil
	}
	return []Flaw{{
		ID: history.FlawID(string(event.EndpointDangling)), What: "the host exists no more in DNS: whoever registers it signs your tokens",
		Details: &event.EndpointDanglingDetails{
			Code: "nxdomain", Host: event.Text(f.Host), Failures: f.Row, Since: new(event.At(f.RowSince)),
		},
	}}
}

func cachePolicy(s *Sight) []Flaw {
	f := s.Facts
	if f == nil {
		return nil
	}
	flaw := func(code, what string) Flaw {
		d := &event.EndpointCachePolicyDetails{Code: code, CacheControl: event.TextOrNil(f.CacheControl)}
		if f.HasMaxAge {
			d.MaxAgeS = new(int64(f.MaxAge / time.Second))
		}
		if f.Age > 0 {
			d.AgeS = new(int64(f.Age / time.Second))
		}
		return Flaw{ID: history.FlawID(string(event.EndpointCachePolicy), code), What: what, Details: d}
	}
	var out []Flaw
	if f.HasMaxAge && f.MaxAge > longMaxAge {
		out = append(out, flaw("long_max_age", fmt.Sprintf("caches may keep the set for %d hours: a key withdrawn for a reason lives on in them", int64(f.MaxAge/time.Hour))))
	}
	if f.Stale {
		out = append(out, flaw("age_beyond_max_age", "a cache serves a set that is older than it may: what changed since is not in it"))
	}
	return out
}

func contentType(s *Sight) []Flaw {
	f := s.Facts
	if f == nil || isJSON(f.ContentType) {
		return nil
	}
	what := "served without a content type: strict verifiers refuse it"
	if f.ContentType != "" {
		what = "not served as JSON: strict verifiers refuse it"
	}
	return []Flaw{{
		ID: history.FlawID(string(event.EndpointContentType)), What: what,
		Details: &event.EndpointContentTypeDetails{ContentType: event.TextOrNil(f.ContentType)},
	}}
}

// isJSON reports whether a media type is JSON: application/json, or one with
// the structured suffix +json (RFC 6839), as application/jwk-set+json is.
func isJSON(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil && t == "" {
		return false
	}
	return t == "application/json" || strings.HasSuffix(t, "+json")
}

// newLeaf reports whether the answer came over a certificate never seen here.
func newLeaf(l *history.Learned, f *Facts) bool {
	return f.LeafSPKI != "" && l.LeafSPKI != "" && !history.Knows(l.SPKIs, f.LeafSPKI)
}

func certificateChanged(c *Case) []Finding {
	if c.Facts == nil || c.Before == nil || !newLeaf(&c.Before.Learned, c.Facts) {
		return nil
	}
	l, fact := &c.Before.Learned, c.Facts
	d := &event.EndpointCertificateChangedDetails{
		SPKIBefore: event.TextOrNil(l.LeafSPKI), SPKIAfter: event.TextOrNil(fact.LeafSPKI),
		IssuerBefore: event.TextOrNil(l.LeafIssuer), IssuerAfter: event.TextOrNil(fact.LeafIssuer),
		NotAfterBefore: event.AtOrNil(l.LeafNotAfter), NotAfterAfter: event.AtOrNil(fact.LeafNotAfter),
		NewIssuer:  !history.Knows(l.Issuers, fact.LeafIssuer),
		InRenewal:  inRenewal(l, c.At),
		KeyChanged: len(c.Changes) > 0 || c.Replaced != nil || recent(c),
		// How surely it was seen.
		Confirmation: c.Seen,
	}
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Details: d}
	what := "another certificate"
	switch {
	case d.NewIssuer && d.KeyChanged:
		f.Severity, f.Verdict, f.Reasons = event.SeverityHigh, event.Unexpected, []string{"new_issuer", "transport_novel"}
		what = "another certificate, from an issuer never seen here, beside a change of keys"
	case d.NewIssuer:
		f.Severity, f.Verdict, f.Reasons = event.SeverityMedium, event.Unexpected, []string{"new_issuer"}
		what = "another certificate, from an issuer never seen here"
	case d.InRenewal:
		f.Reasons = []string{"in_renewal"}
		what = "another certificate, as its renewal was due"
	case c.At.Sub(c.Before.Baseline) < learningFor:
		f.Reasons = []string{"learning"}
	default:
		f.Severity, f.Verdict, f.Reasons = event.SeverityMedium, event.Unexpected, []string{"out_of_renewal"}
		what = "another certificate, before its renewal was due"
	}
	f.Message = c.message(&f, "", what, "")
	return []Finding{f}
}

// recent reports whether the keys changed within the hour before.
func recent(c *Case) bool {
	b := c.Before
	return !b.Changed.IsZero() && b.Changed.After(b.Baseline) && c.At.Sub(b.Changed) <= besides
}

// inRenewal reports whether the certificate before was near its end.
func inRenewal(l *history.Learned, at time.Time) bool {
	left := l.LeafNotAfter.Sub(at)
	return left <= renewalLeft || left <= l.LeafNotAfter.Sub(l.LeafNotBefore)/renewalShare
}

// novel reports whether the way of an answer shows what was never seen: then a
// rule of the way would speak.
func novel(m *history.Memory, p Policy, f *Facts) bool {
	if f == nil {
		return false
	}
	l := &m.Learned
	return newLeaf(l, f) || believed(p, f.Discovery) && (newURI(l, f.Discovery) || len(weaker(l, f.Discovery)) > 0)
}

// learn takes in what the way of an answer showed. A discovery document that is
// not believed teaches nothing.
func learn(m *history.Memory, p Policy, f *Facts, at time.Time) {
	l := &m.Learned
	if f.LeafSPKI != "" {
		l.SPKIs = history.Met(l.SPKIs, f.LeafSPKI, at, history.MaxLearnedSPKIs)
		l.Issuers = history.Met(l.Issuers, f.LeafIssuer, at, history.MaxLearnedSPKIs)
		l.LeafSPKI, l.LeafIssuer, l.LeafNotBefore, l.LeafNotAfter = f.LeafSPKI, f.LeafIssuer, f.LeafNotBefore, f.LeafNotAfter
	}
	if d := f.Discovery; believed(p, d) {
		l.URIs = history.Met(l.URIs, d.JWKSURI, at, history.MaxLearnedURIs)
		l.Discovered, l.Algs, l.SignedMetadata, l.PKCE = true, d.Algs, d.SignedMetadata, d.PKCE
	}
}
