package rules

import (
	"fmt"
	"mime"
	"slices"
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
	// neglectedFor is how long a certificate out of its time may stand on an
	// endpoint of tier critical before it is as bad as no endpoint.
	neglectedFor = 72 * time.Hour
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
		What: "redirected, which is not followed: changes go unseen",
		Details: &event.EndpointRedirectedDetails{
			Status: r.Status, Location: event.TextOrNil(r.Location), CrossHost: r.CrossHost, Downgrade: r.Downgrade,
		},
	}
	kind := "same_host"
	switch {
	case r.Downgrade:
		kind, f.Severity, f.What = "downgrade", event.SeverityHigh, "redirected from https to http, which is not followed: changes go unseen"
	case r.CrossHost:
		kind, f.Severity, f.What = "cross_host", event.SeverityHigh, "redirected to another host, which is not followed: changes go unseen"
	}
	// Of each kind its own: one on the host must not cover one that leaves it.
	// Where to is not in it: a target that is new in each answer is no news.
	f.ID = history.FlawID(string(event.EndpointRedirected), kind)
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
	if f.Row > 0 { // an outage before it is another story
		d.Failures, d.Since = f.Row, new(event.At(f.RowSince))
	}
	out := []Flaw{{
		// Of each code its own: a pin that fails after an expiry is news.
		ID: history.FlawID(string(event.EndpointTLSInvalid), f.Code), Severity: severity,
		What: what + ": the document is not trusted, changes go unseen", Details: d,
	}}
	if severity == event.SeverityMedium && s.Policy.Tier == "critical" && s.opened(out[0].ID, neglectedFor) {
		out = append(out, Flaw{
			ID: history.FlawID(string(event.EndpointTLSInvalid), f.Code, "neglected"), Severity: event.SeverityHigh,
			What: what + ", and nobody mended it for 3 days: changes go unseen", Details: new(*d),
		})
	}
	return out
}

// opened reports whether a condition has held the flaw for so long. It is
// remembered over a restart; a row of failures is not.
func (s *Sight) opened(id string, atLeast time.Duration) bool {
	return s.Before != nil && slices.ContainsFunc(s.Before.Conditions, func(c *history.Condition) bool {
		return slices.Contains(c.Flaws, id) && s.At.Sub(c.OpenedAt) >= atLeast
	})
}

// dangling finds names that somebody else may take: that do not exist, that are an
// alias of one that does not, or behind which a hosting platform has no customer
// any more and answers for itself.
func dangling(s *Sight) []Flaw {
	f := s.Failure
	if f == nil || f.Row < danglingRow || s.At.Sub(f.RowSince) < min(danglingSpan, 2*s.Policy.Interval) {
		return nil
	}
	d := &event.EndpointDanglingDetails{Host: event.Text(f.Host), Failures: f.Row, Since: new(event.At(f.RowSince))}
	flaw := Flaw{Details: d}
	switch {
	case f.Code == "nxdomain" && f.OthersResolve && f.Alias == "":
		d.Code, flaw.What = "nxdomain", "the host exists no more in DNS: whoever registers it signs your tokens"
		flaw.ID = history.FlawID(string(event.EndpointDangling))
	case f.Code == "nxdomain" && f.OthersResolve:
		d.Code, d.Target = "alias_nxdomain", event.TextOrNil(f.Alias)
		flaw.What = "the host is an alias of a name that exists no more: whoever registers that one signs your tokens"
		flaw.ID = history.FlawID(string(event.EndpointDangling))
	case f.Code == "wrong_name" && f.Platform != "":
		d.Code, d.Target = "provider_default", event.TextOrNil(f.Platform)
		flaw.What = "a hosting platform answers for itself: whoever claims the name there signs your tokens"
		flaw.ID = history.FlawID(string(event.EndpointDangling), d.Code)
	default:
		return nil
	}
	return []Flaw{flaw}
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
	if f.HasMaxAge && s.Policy.Expect.Overlap > 0 && f.MaxAge > s.Policy.Expect.Overlap {
		long := flaw("exceeds_overlap", "caches may keep the set for longer than old and new keys stand together: tokens fail at each rotation")
		long.Severity = event.SeverityMedium
		out = append(out, long)
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
// the structured suffix +json (RFC 6839), as application/jwk-set+json is. What
// its parameters are, and whether they are well formed, does not matter: what
// stands before them is what readers go by.
func isJSON(contentType string) bool {
	essence, _, _ := strings.Cut(contentType, ";")
	t, _, err := mime.ParseMediaType(essence)
	return err == nil && (t == "application/json" || strings.Contains(t, "/") && strings.HasSuffix(t, "+json"))
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
	what, effect := "another certificate", ""
	switch {
	case d.NewIssuer && d.KeyChanged:
		f.Severity, f.Verdict, f.Reasons = event.SeverityHigh, event.Unexpected, []string{"new_issuer", "transport_novel"}
		what, effect = "another certificate, from an issuer never seen here, beside a change of keys", "its holder may have changed them"
	case d.NewIssuer:
		f.Severity, f.Verdict, f.Reasons = event.SeverityMedium, event.Unexpected, []string{"new_issuer"}
		what, effect = "another certificate, from an issuer never seen here", "its holder can serve other keys"
	case d.InRenewal:
		f.Reasons = []string{"in_renewal"}
		what = "another certificate, as its renewal was due"
	case c.At.Sub(c.Before.Baseline) < learningFor:
		f.Reasons = []string{"learning"}
	default:
		f.Severity, f.Verdict, f.Reasons = event.SeverityMedium, event.Unexpected, []string{"out_of_renewal"}
		what, effect = "another certificate, before its renewal was due", "its holder can serve other keys"
	}
	f.Message = c.message(&f, "", what, effect)
	return []Finding{f}
}

// transportNovel reports whether an answer of the case came over a certificate
// from an issuer never seen here, or one within the hour before did: then a
// change of keys is one story with it.
func transportNovel(c *Case) bool {
	if c.Before == nil || c.Baseline != "" {
		return false
	}
	l := &c.Before.Learned
	strange := func(f *Facts) bool { return f != nil && newLeaf(l, f) && !history.Knows(l.Issuers, f.LeafIssuer) }
	if strange(c.Facts) || slices.ContainsFunc(c.looks, func(a *answer) bool { return strange(a.facts) }) {
		return true
	}
	return slices.ContainsFunc(l.Issuers, func(v history.Value) bool {
		// The first issuer that was learned was no news.
		second := slices.ContainsFunc(l.Issuers, func(o history.Value) bool { return o.First.Before(v.First) })
		return second && v.First.After(c.Before.Baseline) && c.At.Sub(v.First) <= besides
	})
}

// recent reports whether the set changed within the hour before. Changed is no
// measure for that: it is also the time of an answer that was accepted for the
// sake of its certificate alone.
func recent(c *Case) bool {
	digests := c.Before.Digests
	if len(digests) < 2 {
		return false // the baseline is no change
	}
	return c.At.Sub(digests[len(digests)-1].At) <= besides
}

// inRenewal reports whether the certificate before was near its end.
func inRenewal(l *history.Learned, at time.Time) bool {
	left := l.LeafNotAfter.Sub(at)
	return left <= renewalLeft || left <= l.LeafNotAfter.Sub(l.LeafNotBefore)/renewalShare
}

// novel reports whether the way of an answer shows what was never seen: then a
// rule of the way would speak.
func novel(m *history.Memory, p Policy, f *Facts, at time.Time) bool {
	if f == nil {
		return false
	}
	l := &m.Learned
	return newLeaf(l, f) || believed(p, f.Discovery) &&
		(newURI(l, f.Discovery) || len(newlyWeak(l, weaker(l, f.Discovery), at)) > 0 ||
			len(newPlaces(p, l, f.Discovery)) > 0 || disagrees(l, f.Discovery))
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
		learnPlaces(l, d, at)
		for _, w := range weaker(l, d) {
			l.Weak = history.Met(l.Weak, w.id(), at, history.MaxLearnedWeak)
		}
		l.Discovered, l.Algs, l.SignedMetadata, l.PKCE = true, slices.Clone(d.Algs), d.SignedMetadata, d.PKCE
	}
}
