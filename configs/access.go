package configs

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/fetch"
)

const proxyNone = "none"

// proxyOf takes a proxy. What is not set inherits, so none is a value of its own
// until all is read.
func proxyOf(p *string) *binding {
	show := func() string {
		if *p == "" {
			return proxyNone
		}
		return quoteSet(*p)
	}
	return &binding{typ: "URL or `none`", hide: true, shape: func() shape { return shape{pattern: proxyPattern(), not: hostIs(neverHost)} }, show: show, set: func(s string) *refusal {
		if s != proxyNone {
			if r := checkProxy(s); r != nil {
				return r
			}
		}
		*p = s
		return nil
	}}
}

func checkProxy(s string) *refusal {
	if r := checkText(s); r != nil {
		return r
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return refused("is no URL", "write http://host:port, or none")
	case u.User != nil:
		return refused("holds credentials", "never put secrets in a URL; let the proxy know this machine by its address")
	case u.Scheme != "http" && u.Scheme != "https":
		return refused("must begin with http:// or https://", "write http://host:port, or none")
	case u.Path != "" && u.Path != "/", strings.ContainsAny(s, "?#"):
		return refused("has something after host and port", "write http://host:port alone")
	}
	if r := checkAuthority(u); r != nil {
		return r
	}
	if u.Port() == "" {
		return refused("has no port", "say which one, such as http://"+"proxy.corp.example:3128")
	}
	if err := fetch.CheckProxy(s); err != nil {
		return refused("would be refused at each poll: "+err.Error(), "write the name of the proxy, or an address that may be asked")
	}
	return nil
}

// pins is the list of pinned keys.
func (t *EndpointTLS) pins() *texts {
	return &texts{
		typ:   "list of pins",
		shape: func() shape { return shape{pattern: pinPattern} },
		show:  func() []string { return t.Pins },
		add: func(_ value, s string) *refusal {
			encoded, prefixed := strings.CutPrefix(s, "sha256/")
			raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
			switch {
			case !prefixed:
				return refused("wants sha256/ and 44 characters of base64", "it is SHA-256 over the SubjectPublicKeyInfo, as in RFC 7469, section 2.4")
			case err != nil || len(raw) != 32 || strings.ContainsAny(encoded, "\r\n"):
				return refused("wants sha256/ and 44 characters of base64", "standard base64 with + and / and = at the end: openssl x509 -pubkey -noout | openssl pkey -pubin -outform der | openssl dgst -sha256 -binary | base64")
			case slices.Contains(t.Pins, s):
				return refused("stands there twice", "keep one of them")
			}
			t.Pins = append(t.Pins, s)
			return nil
		},
	}
}

// listenOf takes an address and a port to listen on.
func listenOf(p *string) *binding {
	return &binding{typ: "address:port", shape: func() shape { return shape{pattern: listenPattern()} }, show: func() string { return quoteSet(*p) }, set: func(s string) *refusal {
		host, port, ok := splitListen(s)
		addr, err := netip.ParseAddr(host)
		switch {
		case !ok || host == "" || !utf8.ValidString(s):
			return refused("wants an address and a port", "such as 127.0.0.1:9797 or [::1]:9797; for all addresses 0.0.0.0:9797 or [::]:9797")
		case !isPort(port, 0):
			return refused("wants a port from 0 to 65535 after the colon", "0 takes any free port")
		case host == "localhost":
		case err != nil:
			return refused("wants an IP address or localhost before the port", "what a name leads to can change; write the address")
		case addr.Is4In6() || addr.String() != host || addr.Is6() != strings.HasPrefix(s, "["):
			return refused("wants the address in its usual form", "write "+strings.TrimSuffix(netip.AddrPortFrom(addr.Unmap(), 0).String(), "0")+port)
		}
		*p = s
		return nil
	}}
}

// splitListen cuts at the last colon; IPv6 addresses stand in brackets.
func splitListen(s string) (host, port string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	host, port = s[:i], s[i+1:]
	if inner, found := strings.CutPrefix(host, "["); found {
		inner, closed := strings.CutSuffix(inner, "]")
		return inner, port, closed && strings.Contains(inner, ":")
	}
	return host, port, !strings.Contains(host, ":")
}

// isLoopback reports whether only this machine can reach what listens there.
func isLoopback(listen string) bool {
	host, _, _ := splitListen(listen)
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.IsLoopback()
}

// web checks the listener as a whole: whoever can reach it reads what is
// watched, and what was found.
func (d *decoder) web(w *Web, at value) {
	if at.node == nil || at.node.Kind != yaml.MappingNode {
		return
	}
	d.pair(member(at.node, "tls"), w.Cert, w.Key)
	listen := member(at.node, "listen")
	if w.Listen == "" || isLoopback(w.Listen) {
		return
	}
	var lacks []string
	for _, key := range []string{"tls", "token_file"} {
		if member(at.node, key).node == nil {
			lacks = append(lacks, key)
		}
	}
	if len(lacks) > 0 {
		d.fail(listen, false, "listen is reached from other machines, and web has no "+listing(lacks, "and no"), "add tls: { cert_file, key_file } and token_file:, or listen on 127.0.0.1")
	}
}

// stateOf is the path of the state. The socket beside it must fit into the
// address of a socket.
func stateOf(p *string, resolve func(string) string) *binding {
	b := pathOf(p, resolve)
	b.shape = func() shape {
		s := pathShape()
		s.long = MaxSocket - len(State{}.Socket())
		return s
	}
	set := b.set
	b.set = func(s string) *refusal {
		if r := set(s); r != nil {
			return r
		}
		if n := len(State{Path: *p}.Socket()); n > MaxSocket {
			return refused(fmt.Sprintf("makes the path of the control socket %d octets long, at most %d are possible", n, MaxSocket), "the socket is named as the state with .sock at the end: take a shorter directory")
		}
		return nil
	}
	return b
}
