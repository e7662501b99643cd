package rules

import (
	"bytes"
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// attemptedText is how much of a URL or a host that an issuer wrote stands in a
// message, in characters.
const attemptedText = 60

// believed reports whether a discovery document may be used: it could be had,
// and its issuer is the configured one but for a slash at the end (RFC 8414,
// section 3.3: "If these values are not identical, the data contained in the
// response MUST NOT be used"; the slash is a slip of many real issuers).
func believed(p Policy, d *Discovery) bool {
	if d == nil || d.Failure != nil || d.JWKSURI == "" {
		return false
	}
	return d.Issuer == p.Issuer || slashOnly(d.Issuer, p.Issuer)
}

// slashOnly reports whether issuers differ by one slash at the end alone. All
// else is compared code point by code point (RFC 8414, section 3.3).
func slashOnly(a, b string) bool { return a+"/" == b || a == b+"/" }

func issuerMismatch(s *Sight) []Flaw {
	if s.Facts == nil || s.Facts.Discovery == nil {
		return nil
	}
	d := s.Facts.Discovery
	if d.Failure != nil || s.Policy.Issuer == "" || d.Issuer == s.Policy.Issuer {
		return nil
	}
	f := Flaw{
		What: "the discovery document is of another issuer and is not used" + attempted(d),
		Details: &event.DiscoveryIssuerMismatchDetails{
			Code: "different", Document: event.Text(d.Document), Configured: event.Text(s.Policy.Issuer), Published: event.TextOrNil(d.Issuer),
		},
	}
	if slashOnly(d.Issuer, s.Policy.Issuer) {
		f.Severity, f.What = event.SeverityMedium, "the issuer in the discovery document differs by a slash at its end: strict clients refuse it"
		f.Details.(*event.DiscoveryIssuerMismatchDetails).Code = "trailing_slash"
	}
	// Another wrong issuer is news; the same one is not.
	f.ID = history.FlawID(string(event.DiscoveryIssuerMismatch), event.Text(d.Issuer))
	return []Flaw{f}
}

// attempted says what a document that is not believed would have led to: the
// value is masked and cleaned, and cut, because the issuer wrote it.
func attempted(d *Discovery) string {
	switch {
	case d.Shown != "" && !sameURI(d.JWKSURI, d.Used):
		return "; it leads to " + limit(event.Text(d.Shown), attemptedText)
	case d.Used == "":
		return "; no key set is known"
	}
	return "; the last known key set is watched"
}

// newURI reports whether discovery leads where it never led.
func newURI(l *history.Learned, d *Discovery) bool {
	return l.Discovered && !slices.ContainsFunc(l.URIs, func(v history.Value) bool { return sameURI(v.Text, d.JWKSURI) })
}

// sameURI compares scheme, host, port and path, and the query as it stands: it
// names the key set as much as the path does. Letters of scheme, host and
// escapes do not count, nor does a default port (RFC 3986, section 6.2), nor a
// fragment, which is never sent.
func sameURI(a, b string) bool { return a == b || normal(a) == normal(b) }

func normal(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return raw
	}
	u.Host, u.Fragment, u.RawFragment = strings.TrimSuffix(strings.ToLower(u.Host), ":"), "", ""
	switch u.Scheme { // in lower case already
	case "https":
		u.Host = strings.TrimSuffix(u.Host, ":443")
	case "http":
		u.Host = strings.TrimSuffix(u.Host, ":80")
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return escapes(u.String())
}

// escapes writes the digits of percent-encoded octets in capitals (RFC 3986,
// section 6.2.2.1). It decodes none: an escaped slash is no slash.
func escapes(s string) string {
	b := []byte(s)
	for i := range b {
		if b[i] == '%' && i+2 < len(b) {
			copy(b[i+1:], bytes.ToUpper(b[i+1:i+3]))
		}
	}
	return string(b)
}

func moved(c *Case) []Finding {
	if c.Facts == nil || c.Before == nil || !believed(c.Policy, c.Facts.Discovery) || !newURI(&c.Before.Learned, c.Facts.Discovery) {
		return nil
	}
	d := c.Facts.Discovery
	before := history.Newest(c.Before.Learned.URIs)
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Severity: event.SeverityHigh}
	code, what, who := "other_host", "jwks_uri moved to another host", cmp.Or(limit(event.Text(d.Host), attemptedText), "who serves it")
	switch {
	case hostOf(before) == d.Host:
		code, what, who, f.Severity = "same_host", "jwks_uri moved on its host", "who serves it", event.SeverityMedium
	case d.Site != c.Policy.Site && !within(hostOf(before), d.Site):
		code, what, f.Severity = "other_domain", "jwks_uri moved out of the issuer's domain", event.SeverityCritical
	}
	f.Reasons = []string{code}
	f.Details = &event.DiscoveryMovedDetails{
		Code: code, Document: event.Text(d.Document), Before: shown(before), After: event.TextOrNil(d.Shown), Confirmation: c.Seen,
	}
	f.Message = c.message(&f, "", what, who+" can sign for the issuer")
	return []Finding{f}
}

// within reports whether a host lies in a registrable domain.
func within(host, site string) bool { return host == site || strings.HasSuffix(host, "."+site) }

func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// shown is a URL fit to be shown: values of its query may be secrets.
func shown(raw string) *string {
	u, err := url.Parse(raw)
	if raw == "" || err != nil {
		return nil
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" {
		u.RawQuery = "***"
	}
	return event.TextOrNil(u.String())
}

// strongFor is how long a discovery document must have protected more before
// protecting less is news again: servers behind one name may differ.
const strongFor = 7 * 24 * time.Hour

// The ways to protect less that are no algorithm.
const (
	signedMetadataDropped = "signed_metadata_dropped"
	pkceDropped           = "pkce_dropped"
)

// weakness is one way in which a discovery document protects less than the one
// before. alg is "" when it is none of algorithms.
type weakness struct{ code, alg string }

func (w weakness) id() string { return history.FlawID(w.code, w.alg) }

// weaker lists what a discovery document protects less than the one before.
func weaker(l *history.Learned, d *Discovery) []weakness {
	if !l.Discovered {
		return nil
	}
	var out []weakness
	for _, alg := range d.Algs {
		switch {
		case slices.Contains(l.Algs, alg):
		case strings.EqualFold(alg, "none"):
			out = append(out, weakness{"none_advertised", event.Text(alg)})
		case len(alg) > 2 && strings.EqualFold(alg[:2], "HS"):
			out = append(out, weakness{"hmac_advertised", event.Text(alg)})
		}
	}
	if l.SignedMetadata && !d.SignedMetadata {
		out = append(out, weakness{code: signedMetadataDropped})
	}
	if l.PKCE && !d.PKCE {
		out = append(out, weakness{code: pkceDropped})
	}
	return out
}

// newlyWeak leaves out of the weaknesses those that were seen of late.
func newlyWeak(l *history.Learned, list []weakness, at time.Time) []weakness {
	return slices.DeleteFunc(list, func(w weakness) bool {
		i := slices.IndexFunc(l.Weak, func(v history.Value) bool { return v.Text == w.id() })
		return i >= 0 && at.Sub(l.Weak[i].Last) < strongFor
	})
}

func weakened(c *Case) []Finding {
	if c.Facts == nil || c.Before == nil || !believed(c.Policy, c.Facts.Discovery) {
		return nil
	}
	d := c.Facts.Discovery
	list := newlyWeak(&c.Before.Learned, weaker(&c.Before.Learned, d), c.At)
	if len(list) == 0 {
		return nil
	}
	var codes, algs []string
	for _, w := range list {
		codes = append(codes, w.code)
		if w.alg != "" {
			algs = append(algs, w.alg)
		}
	}
	slices.Sort(codes)
	codes = slices.Compact(codes)
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Reasons: codes}
	f.Details = &event.DiscoveryWeakenedDetails{
		Codes: codes, Document: event.Text(d.Document), Algs: orEmpty(capped(algs)), Confirmation: c.Seen,
	}
	f.Message = c.message(&f, "", "the discovery document protects less than before: "+strings.ReplaceAll(strings.Join(codes, ", "), "_", " "),
		"clients that follow it accept more")
	return []Finding{f}
}
