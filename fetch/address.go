package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
)

// MaxAddresses is how many addresses of one name Addresses returns.
const MaxAddresses = 8

// pinned is the key under which a request carries the address it must go to.
type pinned struct{}

// Addresses returns the addresses that the target's name has and that its policy
// lets it connect to, sorted, MaxAddresses at most. A target whose URL has an
// address has that one. The error is of the look-up, or that a proxy makes it.
func (c *Client) Addresses(ctx context.Context, t Target) ([]netip.Addr, error) {
	u, err := parseURL(t.URL)
	switch {
	case err != nil:
		return nil, err
	case t.Policy.Proxy != "":
		return nil, errors.New("the proxy looks the name up, and chooses its address")
	}
	host := u.Hostname()
	list := []netip.Addr{}
	if addr, err := netip.ParseAddr(host); err == nil {
		list = append(list, addr)
	} else {
		resolver := c.Resolver
		if resolver == nil {
			resolver = net.DefaultResolver
		}
		if list, err = resolver.LookupNetIP(ctx, "ip", host); err != nil {
			return nil, err
		}
	}
	for i := range list {
		list[i] = list[i].Unmap()
	}
	list = slices.DeleteFunc(list, func(a netip.Addr) bool { return check(a, t.Policy) != nil })
	slices.SortFunc(list, netip.Addr.Compare)
	list = slices.Compact(list)
	return list[:min(len(list), MaxAddresses)], nil
}

// towards makes a request go to one address in place of those that the name has.
// Name and certificate stay those of the URL.
func towards(ctx context.Context, t *Target) context.Context {
	if !t.Addr.IsValid() {
		return ctx
	}
	return context.WithValue(ctx, pinned{}, t.Addr)
}

// pin is where to connect to in place of addr.
func pin(ctx context.Context, addr string) string {
	to, ok := ctx.Value(pinned{}).(netip.Addr)
	if !ok {
		return addr
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	return net.JoinHostPort(to.String(), port)
}
