package fetch

import (
	"errors"
	"net/netip"
	"net/url"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// DiscoveryURLs returns where the discovery document of an issuer may stand, in
// the order in which to ask: OpenID Connect Discovery 1.0, section 4, then RFC
// 8414, section 3.1. The error never quotes the issuer.
func DiscoveryURLs(issuer string) ([]string, error) {
	u, err := parseURL(issuer)
	switch {
	case err != nil:
		return nil, err
	// "a URL that uses the "https" scheme and has no query or fragment
	// components" (RFC 8414, section 2).
	case strings.Contains(issuer, "?"):
		return nil, errors.New("an issuer must not have a query (RFC 8414, section 2)")
	case strings.Contains(u.Path, "/.well-known/"):
		return nil, errors.New("an issuer is what stands before /.well-known/ in the URL of its discovery document")
	}
	// Its own spelling is kept: "any terminating / MUST be removed" is all that
	// either document allows to change.
	issuer = strings.TrimSuffix(issuer, "/")
	host, path := issuer, ""
	begin := strings.Index(issuer, "://") + len("://")
	if i := strings.IndexByte(issuer[begin:], '/'); i >= 0 {
		host, path = issuer[:begin+i], issuer[begin+i:]
	}
	return []string{
		issuer + "/.well-known/openid-configuration",
		host + "/.well-known/oauth-authorization-server" + path,
	}, nil
}

// SameIssuer compares issuers as RFC 8414, section 3.3, and RFC 3986, section
// 6.2.1, ask: code point by code point, without any normalisation. slashOnly
// says that they differ, and by one slash at the end alone.
func SameIssuer(configured, published string) (equal, slashOnly bool) {
	if configured == published {
		return true, false
	}
	return false, configured+"/" == published || configured == published+"/"
}

// Discovered returns the target of a key set that the discovery document of
// this target's issuer names.
//
// Whoever can write a discovery document chooses that URL, and must not turn us
// towards our own network, nor make us show secrets to another server. So what
// opens something is only for what the operator named: AllowPrivate for the same
// host name, extra headers and the client certificate for the same scheme, host
// and port. What restricts holds everywhere: CA, pins, proxy, time and size. An
// issuer with https cannot name a key set with http.
func (t Target) Discovered(uri string) (Target, error) {
	issuer, err := parseURL(t.URL)
	if err != nil {
		return Target{}, err
	}
	found, err := parseURL(uri)
	if err != nil {
		return Target{}, err
	}
	if issuer.Scheme == "https" && found.Scheme != "https" {
		return Target{}, errors.New("the issuer has https and its key set has not")
	}
	d := Target{
		URL: uri, Policy: t.Policy, Timeout: t.Timeout, MaxBody: t.MaxBody,
		Header: t.Header, Redirects: t.Redirects, Fresh: t.Fresh,
	}
	if !strings.EqualFold(issuer.Hostname(), found.Hostname()) {
		d.Policy.AllowPrivate = false
	}
	if !sameOrigin(issuer, found) {
		d.Header = nil
		d.Policy.TLS = t.Policy.TLS.withoutClient()
	}
	if err := d.Prepare(); err != nil {
		return Target{}, err
	}
	d.masked = scrub(d.masked, t) // the server chose this URL, and knows our headers
	return d, nil
}

// Site returns the registrable domain of a host name in lower case, by the
// public suffix list: a name that has none, and an IP address, is itself.
func Site(host string) string {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if _, err := netip.ParseAddr(host); err == nil {
		return host
	}
	if site, err := publicsuffix.EffectiveTLDPlusOne(host); err == nil {
		return site
	}
	return host
}

// secure reports whether a URL has the scheme https.
func secure(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.Scheme == "https"
}
