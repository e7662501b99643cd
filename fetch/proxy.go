package fetch

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// CheckProxy reports why a text cannot be Policy.Proxy: it must be http:// or
// https:// with a host and an optional port, and nothing else. The error never
// quotes it.
func CheckProxy(raw string) error {
	_, err := parseProxy(raw)
	return err
}

func parseProxy(raw string) (*url.URL, error) {
	u, err := parseURL(raw)
	switch {
	case err != nil:
		return nil, fmt.Errorf("the proxy: %w", err)
	case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New("the proxy must be scheme, host and port alone")
	}
	return u, nil
}

// checkProxied is what is left of the guard when a proxy connects: it resolves
// the name, so where that leads is not seen here. What can be seen is an address
// in the URL itself, and what the C library of a proxy takes for one: "127.1",
// "0x7f000001" and "2130706433" are names to us and loopback to it.
func checkProxied(u *url.URL, p Policy) error {
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	if addr, err := netip.ParseAddr(host); err == nil {
		if r := check(addr, p); r != nil {
			return r
		}
		return nil
	}
	last := host[strings.LastIndexByte(host, '.')+1:]
	switch {
	case numeric(last):
		return errors.New("the host looks like an address in another notation: a proxy could take it for one")
	case last == "localhost" && !p.AllowPrivate:
		return errors.New("the host is loopback (RFC 6761): allow_private is not set")
	case strings.ContainsFunc(host, func(r rune) bool { return r > '~' }):
		return errors.New("the host must be written in its ASCII form (RFC 5890) when a proxy is used")
	}
	return nil
}

// numeric reports whether a last label makes a host an address in some notation.
// No top-level domain is like that (RFC 3696, section 2).
func numeric(label string) bool {
	digits, set := label, "0123456789"
	if hex, ok := strings.CutPrefix(label, "0x"); ok {
		digits, set = hex, "0123456789abcdef"
	}
	return strings.Trim(digits, set) == "" && label != ""
}

// absolute returns the URL whose request line is the absolute form that a proxy
// needs (RFC 9112, section 3.2.2): net/url writes an opaque part that begins
// with // behind the scheme. It is done here and not by http.Transport, so that
// nothing in there ever asks for a proxy and both kinds of target share one way.
func absolute(u *url.URL) *url.URL {
	path := u.EscapedPath()
	if path == "" {
		path = "/"
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host, Opaque: "//" + u.Host + path, RawQuery: u.RawQuery}
}

// proxyDialer returns a dialer that connects to the proxy, whatever the target.
// The operator named the proxy, so it may stand in a private network, though
// not where nothing may ever be asked.
//
// The endpoint's CA, pins and client certificate are for the target: a proxy
// with https is verified against the client's roots, and is shown none.
func (c *Client) proxyDialer(raw string) dialFunc {
	u, bad := parseProxy(raw)
	dial := c.directDialer(Policy{AllowPrivate: true})
	var none *TLS
	config := none.config(c.Roots)
	return func(ctx context.Context, network, _ string) (net.Conn, error) {
		if bad != nil {
			return nil, &Error{Phase: PhaseRefused, Err: bad}
		}
		nc, err := dial(ctx, network, net.JoinHostPort(u.Hostname(), port(u)))
		if err != nil {
			return nil, proxyError(err)
		}
		if u.Scheme == "http" {
			return nc, nil
		}
		made := nc.(*conn)
		tc, err := handshake(ctx, made.Conn, config, u.Hostname())
		if err != nil {
			return nil, proxyError(err)
		}
		made.Conn = tc
		return made, nil
	}
}

// proxyError says that it was the proxy. It has no code, because what is wrong
// with a proxy's name or certificate says nothing about the endpoint.
func proxyError(err error) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		return &Error{Phase: PhaseDial, Err: &told{"proxy: " + readText(err), err}}
	}
	phase := e.Phase
	if phase == PhaseTLS {
		phase = PhaseDial
	}
	return &Error{Phase: phase, Err: &told{"proxy: " + e.Err.Error(), e.Err}}
}

// tunnel asks the proxy to connect to the address (RFC 9110, section 9.3.6).
func tunnel(nc net.Conn, addr, agent string) error {
	if err := nc.SetDeadline(time.Now().Add(dialTimeout)); err != nil {
		return proxyError(err)
	}
	_, err := fmt.Fprintf(nc, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\n\r\n", addr, addr, agent)
	if err != nil {
		return proxyError(err)
	}
	r := bufio.NewReader(io.LimitReader(nc, maxHeader))
	answer, err := http.ReadResponse(r, &http.Request{Method: http.MethodConnect})
	if err != nil {
		if isTimeout(err) {
			err = &Error{Phase: PhaseTimeout, Err: fmt.Errorf("no answer to CONNECT within %v", dialTimeout)}
		}
		return proxyError(err)
	}
	_ = answer.Body.Close()
	switch {
	case answer.StatusCode < 200 || answer.StatusCode > 299:
		return proxyError(&Error{Phase: PhaseDial, Err: fmt.Errorf("CONNECT was answered with status %d", answer.StatusCode)})
	// The server of a TLS connection never speaks first.
	case r.Buffered() > 0:
		return proxyError(&Error{Phase: PhaseDial, Err: errors.New("octets after the answer to CONNECT")})
	}
	return nc.SetDeadline(time.Time{})
}
