package fetch

import (
	"context"
	"fmt"
	"net/netip"
	"syscall"
)

// class says who may connect to an address.
type class uint8

const (
	never   class = iota // whatever the policy: the zero class is the safe one
	private              // with Policy.AllowPrivate
	public               // always
)

type prefix struct {
	netip.Prefix
	class class
	what  string // with the document that sets the range aside
}

// prefixes is the whole of IPv4 and IPv6; the first row that contains an
// address counts, so the exceptions stand above their range. The ranges are
// those of the IANA special-purpose registries (RFC 6890) and the addresses at
// which clouds hand credentials to whoever asks.
//
// Addresses that carry an IPv4 address inside are never allowed: a gateway
// would unpack what this table then did not see. A network's own NAT64 prefix
// cannot be known here. Nothing writes to this table.
var prefixes = [...]prefix{
	row("100.100.100.200/32", never, "cloud metadata"),
	row("168.63.129.16/32", never, "cloud metadata"),
	row("0.0.0.0/8", never, "this network, RFC 1122"), // 0.0.0.0 connects to loopback
	row("10.0.0.0/8", private, "private, RFC 1918"),
	row("100.64.0.0/10", private, "shared address space, RFC 6598"),
	row("127.0.0.0/8", private, "loopback, RFC 1122"),
	row("169.254.0.0/16", never, "link-local and cloud metadata, RFC 3927"),
	row("172.16.0.0/12", private, "private, RFC 1918"),
	row("192.0.0.0/24", never, "protocol assignments, RFC 6890"), // cloud metadata at .192
	row("192.0.2.0/24", never, "documentation, RFC 5737"),
	row("192.88.99.0/24", never, "6to4 relay, RFC 7526"),
	row("192.168.0.0/16", private, "private, RFC 1918"),
	row("198.18.0.0/15", never, "benchmarking, RFC 2544"),
	row("198.51.100.0/24", never, "documentation, RFC 5737"),
	row("203.0.113.0/24", never, "documentation, RFC 5737"),
	row("224.0.0.0/4", never, "multicast, RFC 5771"),
	row("255.255.255.255/32", never, "broadcast, RFC 919"),
	row("240.0.0.0/4", never, "reserved, RFC 1112"),
	row("0.0.0.0/0", public, "IPv4"),

	row("fd00:ec2::254/128", never, "cloud metadata"),
	row("fd20:ce::254/128", never, "cloud metadata"),
	row("fd00:42::42/128", never, "cloud metadata"),
	row("::/128", never, "unspecified, RFC 4291"),
	row("::1/128", private, "loopback, RFC 4291"),
	row("::/96", never, "IPv4-compatible, RFC 4291"),
	row("::ffff:0:0:0/96", never, "IPv4-translated, RFC 2765"),
	row("64:ff9b::/96", never, "NAT64, RFC 6052"),
	row("64:ff9b:1::/48", never, "local NAT64, RFC 8215"),
	row("100::/64", never, "discard-only, RFC 6666"),
	row("2001::/32", never, "Teredo, RFC 4380"),
	row("2001:2::/48", never, "benchmarking, RFC 5180"),
	row("2001::/23", never, "protocol assignments, RFC 2928"),
	row("2001:db8::/32", never, "documentation, RFC 3849"),
	row("2002::/16", never, "6to4, RFC 3056"),
	row("3fff::/20", never, "documentation, RFC 9637"),
	row("fc00::/7", private, "unique local, RFC 4193"),
	row("fe80::/10", never, "link-local, RFC 4291"),
	row("fec0::/10", never, "site-local, RFC 3879"),
	row("ff00::/8", never, "multicast, RFC 4291"),
	row("2000::/3", public, "global unicast, RFC 4291"),
	row("::/0", never, "not global unicast, RFC 4291"),
}

func row(cidr string, c class, what string) prefix {
	return prefix{netip.MustParsePrefix(cidr), c, what}
}

// refusal is the guard's error.
type refusal struct {
	addr  netip.Addr
	class class
	what  string
}

func (r *refusal) Error() string {
	if r.class == private {
		return fmt.Sprintf("address %s is %s: allow_private is not set", r.addr, r.what)
	}
	return fmt.Sprintf("address %s is refused: %s", r.addr, r.what)
}

// check returns why an address may not be connected to, nil if it may.
func check(addr netip.Addr, p Policy) *refusal {
	// A zone says which interface, not which address.
	addr = addr.WithZone("")
	// The resolver hands out ::ffff:a.b.c.d as a.b.c.d; written out it stands in
	// nothing but an attempt to pass a filter.
	if addr.Is4In6() {
		return &refusal{addr.Unmap(), never, "IPv4-mapped, RFC 4291"}
	}
	for _, row := range prefixes {
		if row.Contains(addr) {
			if row.class == public || row.class == private && p.AllowPrivate {
				return nil
			}
			return &refusal{addr, row.class, row.what}
		}
	}
	return &refusal{addr, never, "not an IP address"}
}

// control is the guard on a socket: called with the address that is about to be
// connected to, for each one that is tried.
func (p Policy) control(_ context.Context, network, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || network != "tcp4" && network != "tcp6" {
		return &refusal{what: "not TCP to an IP address"}
	}
	if r := check(target.Addr(), p); r != nil {
		return r
	}
	return nil
}
