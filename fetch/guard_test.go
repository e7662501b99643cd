package fetch

import (
	"errors"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestGuardOfEveryRange(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		want  class
		addrs string
	}{
		{public, "1.1.1.1 9.255.255.255 11.0.0.0 100.63.255.255 100.128.0.0 126.255.255.255 128.0.0.0 169.253.255.255"},
		{public, "169.255.0.0 172.15.255.255 172.32.0.0 192.0.1.0 192.167.255.255 192.169.0.0 198.17.255.255 198.20.0.0"},
		{public, "168.63.129.15 168.63.129.17 223.255.255.255"},
		{public, "2000:: 2001:200:: 2001:4860:4860::8888 2606:4700::1111 2003:: 3ffe:: 2a00::1 2620:fe::fe"},
		{private, "10.0.0.0 10.255.255.255 127.0.0.1 127.255.255.255 172.16.0.0 172.31.255.255 192.168.0.0 192.168.255.255"},
		{private, "100.64.0.0 100.127.255.255 100.100.100.199 ::1 fc00:: fd12::1 fdff:ffff::1 fd00:ec2::253"},
		// Unspecified, this network, multicast, broadcast, reserved.
		{never, "0.0.0.0 0.1.2.3 :: 224.0.0.1 239.255.255.255 240.0.0.1 255.255.255.254 255.255.255.255 ff02::1 ff0e::1"},
		// Link-local, with and without a zone.
		{never, "169.254.0.0 169.254.255.255 fe80::1 fe80::1%lo febf::1 fec0::1"},
		// Metadata services.
		{never, "169.254.169.254 169.254.170.2 100.100.100.200 168.63.129.16 192.0.0.192 fd00:ec2::254 fd20:ce::254 fd00:42::42"},
		{never, "fd00:ec2::254%eth0"},
		// Addresses with an IPv4 address inside: mapped, compatible, translated, NAT64, 6to4, Teredo.
		{never, "::ffff:169.254.169.254 ::ffff:127.0.0.1 ::ffff:8.8.8.8 ::ffff:10.0.0.1%lo ::169.254.169.254 ::8.8.8.8"},
		{never, "::ffff:0:169.254.169.254 64:ff9b::a9fe:a9fe 64:ff9b::808:808 64:ff9b:1::1 64:ff9b:1:ffff::1"},
		{never, "2002:a9fe:a9fe:: 2002:808:808::1 2001::1 2001:0:4136:e378:8000:63bf:3fff:fdd2"},
		// Documentation, benchmarking, protocol assignments, discard.
		{never, "192.0.2.1 198.51.100.1 203.0.113.1 198.18.0.1 198.19.255.255 192.0.0.1 192.88.99.1"},
		{never, "2001:db8::1 3fff::1 2001:2::1 2001:20::1 2001:1ff::1 100::1 5f00::1 4000::1 8000::1 1::1"},
	} {
		for text := range strings.FieldsSeq(test.addrs) {
			addr := netip.MustParseAddr(text)
			tight, loose := check(addr, Policy{}), check(addr, local())
			if (tight == nil) != (test.want == public) {
				t.Errorf("%s without AllowPrivate: %v", text, tight)
			}
			if (loose == nil) != (test.want != never) {
				t.Errorf("%s with AllowPrivate: %v", text, loose)
			}
		}
	}
	if check(netip.Addr{}, local()) == nil {
		t.Error("the zero address is allowed")
	}
}

// The first row that contains an address counts, so a row after one that covers
// it would never be read.
func TestGuardTableHasNoDeadRow(t *testing.T) {
	t.Parallel()
	for i, row := range prefixes {
		if row.Masked() != row.Prefix {
			t.Errorf("%s has bits beyond its length", row)
		}
		if !strings.Contains(row.what, "RFC ") && row.what != "cloud metadata" && row.class != public {
			t.Errorf("%s does not name its document", row)
		}
		for _, above := range prefixes[:i] {
			if above.Bits() <= row.Bits() && above.Overlaps(row.Prefix) {
				t.Errorf("%s stands below %s, which covers it", row, above)
			}
		}
	}
}

func TestGuardOnASocketRefusesWhatIsNotTCP(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ network, address string }{
		{"udp4", "1.1.1.1:443"},
		{"unix", "/run/agent.sock"},
		{"tcp4", "localhost:443"},
		{"tcp", "1.1.1.1:443"},
		{"tcp4", ""},
	} {
		if err := local().control(t.Context(), test.network, test.address, nil); err == nil {
			t.Errorf("%s %q passes", test.network, test.address)
		}
	}
	if err := (Policy{}).control(t.Context(), "tcp4", "1.1.1.1:443", nil); err != nil {
		t.Errorf("a public address: %v", err)
	}
}

func TestLoopbackNeedsAllowPrivate(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(ok(keySet))
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	_, err := c.Get(t.Context(), Target{URL: s.URL}, nil)
	wantPhase(t, err, PhaseRefused)
	wantText(t, err, "address 127.0.0.1 is loopback, RFC 1122: allow_private is not set")
	if _, ok := errors.AsType[*refusal](err); !ok {
		t.Error("the cause cannot be unwrapped")
	}
	if r := get(t, &c, Target{URL: s.URL, Policy: local()}); string(r.Body) != keySet {
		t.Errorf("body %q", r.Body)
	}
}

// A connection that was made under a looser policy is a way past the guard.
func TestPooledConnectionIsNotSharedAcrossPolicies(t *testing.T) {
	t.Parallel()
	s := serveConns(t, keepAlive(keySet))
	var c Client
	for range 2 { // the second proves that the connection is pooled
		get(t, &c, Target{URL: s.url(), Policy: local()})
	}
	if n := s.accepts(); n != 1 {
		t.Fatalf("%d connections for two requests", n)
	}
	_, err := c.Get(t.Context(), Target{URL: s.url()}, nil)
	wantPhase(t, err, PhaseRefused)
	get(t, &c, Target{URL: s.url(), Policy: local()})
	if n := s.accepts(); n != 1 {
		t.Errorf("%d connections", n)
	}
	c.CloseIdle()
	s.drained(t)
}
