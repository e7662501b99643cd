package configs

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

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
		return nil, refused("must begin with https://", "write the whole URL, such as https://login.corp.example/jwks.json")
	case strings.Contains(raw, "#"):
		return nil, refused("has a fragment", "take out # and what follows: it is never sent")
	}
	if r := checkAuthority(u); r != nil {
		return nil, r
	}
	return u, nil
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
	if port := u.Port(); port != "" || strings.HasSuffix(u.Host, ":") {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return refused("has a port that is none", "a port is a number from 1 to 65535")
		}
	}
	return nil
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
