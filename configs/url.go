package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
)

// parseURL checks the URL of a key set. A refusal never quotes it: it may hold
// a password.
func parseURL(raw string) (*url.URL, *refusal) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		// The error quotes the URL, and what it takes for a port may be a password.
		return nil, refused("is no URL", "write https://host/path; percent-encode what does not belong in a URL")
	case u.User != nil:
		return nil, refused("holds credentials", "never put secrets in a URL; send them with headers:")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, refused("must begin with https://", "write the whole URL, with https:// in front")
	case strings.Contains(raw, "#"):
		return nil, refused("has a fragment", "take out # and what follows: it is never sent")
	}
	if r := checkAuthority(u); r != nil {
		return nil, r
	}
	// net/url lets pass what belongs into no URL (RFC 3986, section 3.3), such as
	// the brace of a template that nobody filled in.
	for i := len(u.Scheme) + len("://"); i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%' && !isEscape(raw[i:]):
			return nil, refused("has a % that is no escape", "write %25 for a percent sign")
		case c == '[', c == ']': // of an IPv6 address, or told by the next line
			if i > strings.LastIndexByte(u.Host, ']')+len(u.Scheme)+len("://") {
				return nil, refused("has a character that does not belong in a URL", "percent-encode it")
			}
		case !only(strings.ToLower(string(rune(c))), "-._~:/?@!$&'()*+,;=%"):
			return nil, refused("has a character that does not belong in a URL", "percent-encode it; was a { } left in from a template?")
		}
	}
	return u, nil
}

func isEscape(s string) bool {
	return len(s) > 2 && isHex(s[1]) && isHex(s[2])
}

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

const wellKnownURL = `/\.well-known/`

// urlOf takes the text; what is wrong with it depends on the policy beside it.
func urlOf(p *string, pattern func() string, not string) *binding {
	b := filledOf(p)
	b.typ, b.hide = "URL", true
	b.shape = func() shape {
		s := shape{pattern: pattern(), not: hostIs(neverHost), long: event.MaxText}
		if not != "" {
			s.not += "|" + not
		}
		return s
	}
	return b
}

// checkIssuer holds to RFC 8414, section 2: "a URL that uses the "https" scheme
// and has no query or fragment components".
func checkIssuer(u *url.URL, raw string) *refusal {
	switch {
	case strings.Contains(raw, "?"):
		return refused("has a query", "an issuer has none (RFC 8414, section 2); for a key set with a query give jwks_uri")
	case strings.Contains(u.Path, "/.well-known/"):
		return refused("is the URL of a discovery document", "the issuer is what stands before /.well-known/, and in its member issuer")
	}
	// The last word is the poller's.
	if _, err := fetch.DiscoveryURLs(raw); err != nil {
		return refused("would be refused at each poll: "+err.Error(), "write the issuer as its own discovery document does")
	}
	return nil
}

// checkAuthority checks host and port.
func checkAuthority(u *url.URL) *refusal {
	host := u.Hostname()
	switch {
	case host == "":
		return refused("has no host", "write the host after the two slashes")
	case strings.ContainsFunc(host, func(r rune) bool { return r > '~' }):
		return refused("has a host that is not ASCII", "write it in its xn-- form, so that look-alikes can be seen")
	}
	if port := u.Port(); (port != "" || strings.HasSuffix(u.Host, ":")) && !isPort(port, 1) {
		return refused("has a port that is none", "a port is a number from 1 to 65535")
	}
	if !isHost(host) {
		return refused("has a host that is none", "a host is an address, or a name of letters, digits and hyphens whose last part begins with a letter")
	}
	return nil
}

// isPort takes a decimal number without leading zeros.
func isPort(s string, least uint64) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n >= least && (s[0] != '0' || s == "0")
}

// isHost takes addresses without a zone, and names. The last label of a name
// begins with a letter: no top-level domain is all digits (RFC 3696, section 2),
// and resolvers and proxies take 127.1 and 0x7f000001 for addresses.
func isHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.Zone() == ""
	}
	labels := strings.Split(strings.TrimSuffix(strings.ToLower(host), "."), ".")
	for _, l := range labels {
		if l == "" || len(l) > 63 || !only(l, "-_") {
			return false
		}
	}
	last := labels[len(labels)-1][0]
	return 'a' <= last && last <= 'z'
}

// reach says who can be behind a host that is written as an address, or is
// localhost.
type reach uint8

const (
	open     reach = iota // a name, or a public address
	loopback              // this machine
	private               // an inner network
	nowhere               // no endpoint lives there
)

func reachOf(host string) reach {
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "localhost" || strings.HasSuffix(name, ".localhost") { // RFC 6761, section 6.3
		return loopback
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return open
	}
	addr = addr.WithZone("")
	switch {
	case addr.Is4In6(), addr.IsUnspecified(), addr.IsMulticast(), addr.IsLinkLocalUnicast():
		return nowhere
	case addr.IsLoopback():
		return loopback
	case addr.IsPrivate():
		return private
	}
	for cidr, r := range map[string]reach{
		"0.0.0.0/8": nowhere, "240.0.0.0/4": nowhere,
		"100.64.0.0/10": private, // shared address space, RFC 6598
	} {
		if netip.MustParsePrefix(cidr).Contains(addr) {
			return r
		}
	}
	return open
}

// checkHost holds an address that is written out to the policy. What a name
// resolves to is seen only when polling.
func checkHost(u *url.URL, allowPrivate bool) *refusal {
	switch r := reachOf(u.Hostname()); {
	case r == nowhere:
		return refused("names an address that is never polled", "link-local, multicast, unspecified and IPv4-mapped addresses are refused whatever the policy; write the host's name")
	case r != open && !allowPrivate:
		return refused("names a loopback or private address", "if that is meant, set allow_private: true for this endpoint")
	case u.Scheme == "http" && !allowPrivate:
		return refused("is not https", "use https://: whoever sits on the way can serve other keys over http://. Inside your own network set allow_private: true")
	}
	// The last word is the poller's: it refuses more addresses than have a hint
	// of their own here.
	if err := fetch.CheckURL(u.String()); err != nil {
		return refused("would be refused at each poll: "+err.Error(), "write a name or address that may be polled")
	}
	return nil
}

// checkServers checks the servers of the URL, separated by commas.
func (n *NATS) checkServers() *refusal {
	for i, s := range strings.Split(n.URL, ",") {
		which := ""
		if strings.Contains(n.URL, ",") {
			which = fmt.Sprintf("(server %d) ", i+1)
		}
		if r := n.checkServer(strings.TrimSpace(s)); r != nil {
			return refused(which+r.what, r.hint)
		}
	}
	return nil
}

func (n *NATS) checkServer(s string) *refusal {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return refused("is no URL", "write tls://host:4222")
	case u.User != nil:
		return refused("holds credentials", "never put secrets in a URL; use credentials_file, nkey_file, token_file or password_file")
	case u.Scheme != "tls" && u.Scheme != "nats":
		return refused("must begin with tls:// or nats://", "write tls://host:4222")
	case u.Path != "" && u.Path != "/", u.RawQuery != "", strings.ContainsAny(s, "?#"):
		return refused("has something after host and port", "write tls://host:4222 alone")
	}
	if r := checkAuthority(u); r != nil {
		return r
	}
	if !n.secure() && !n.Insecure && !staysHere(u) {
		return refused("would send events and credentials in clear text", "use tls://, or set insecure: true if that is meant")
	}
	return nil
}

// staysHere reports whether a connection cannot leave this machine. Other names
// under localhost are for a resolver to say, and not every one knows RFC 6761.
func staysHere(u *url.URL) bool {
	addr, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
}

// secure reports whether TLS is insisted on. The client library does so for
// every server as soon as one is tls:// or TLS is configured.
func (n *NATS) secure() bool {
	if n.TLS.CAFile != "" || n.TLS.CertFile != "" || n.TLS.HandshakeFirst {
		return true
	}
	for s := range strings.SplitSeq(n.URL, ",") {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(s)), "tls://") {
			return true
		}
	}
	return false
}

// clear reports whether a connection may go in clear text over a network.
func (n *NATS) clear() bool {
	if n.secure() {
		return false
	}
	for s := range strings.SplitSeq(n.URL, ",") {
		if u, err := url.Parse(strings.TrimSpace(s)); err == nil && !staysHere(u) {
			return true
		}
	}
	return false
}
