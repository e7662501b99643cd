package fetch

import (
	"testing"

	"github.com/jwkswatch/jwkswatch/lab"
)

// Many endpoints read the same files, each by itself.
func TestEqualPoliciesShareALane(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	url, accepted := mutual(t, ca, 0)
	cert := issued(t, ca, lab.Leaf{Client: true, Hosts: []string{"alice"}})
	options := TLSOptions{
		CA: pemOf(ca.Certificate().Raw), Cert: pemOf(cert.Certificate[0]), Key: keyPEM(t, cert), Pins: []string{pinOf(ca.Certificate())},
	}
	var c Client
	t.Cleanup(c.CloseIdle)
	for range 50 {
		get(t, &c, Target{URL: url, Policy: with(t, options)})
	}
	if n := accepted.Load(); n != 1 || len(c.lanes) != 1 {
		t.Errorf("%d connections in %d lanes", n, len(c.lanes))
	}
}

// Contract 5.7: a connection is never shared by different policies.
func TestUnequalPoliciesNeverShareALane(t *testing.T) {
	t.Parallel()
	ca, other := newLab(t), newLab(t)
	alice, bob := issued(t, ca, lab.Leaf{Client: true}), issued(t, ca, lab.Leaf{Client: true})
	policies := []TLSOptions{
		{},
		{CA: pemOf(ca.Certificate().Raw)},
		{CA: pemOf(ca.Certificate().Raw, other.Certificate().Raw)},
		{Pins: []string{pinOf(ca.Certificate())}},
		{Pins: []string{pinOf(ca.Certificate()), pinOf(other.Certificate())}},
		{Cert: pemOf(alice.Certificate[0]), Key: keyPEM(t, alice)},
		{Cert: pemOf(bob.Certificate[0]), Key: keyPEM(t, bob)},
		{Cert: pemOf(alice.Certificate[0], ca.Certificate().Raw), Key: keyPEM(t, alice)},
		{CA: pemOf(ca.Certificate().Raw), Cert: pemOf(alice.Certificate[0]), Key: keyPEM(t, alice)},
	}
	lanes := map[laneKey]int{}
	for i, options := range policies {
		for _, proxy := range []string{"", "http://127.0.0.1:1", "http://127.0.0.1:2", "https://127.0.0.1:1"} {
			for _, private := range []bool{false, true} {
				key := Policy{AllowPrivate: private, TLS: newTLS(t, options), Proxy: proxy}.key()
				if other, found := lanes[key]; found {
					t.Errorf("policies %d and %d share a lane", i, other)
				}
				lanes[key] = i
			}
		}
	}
	if (Policy{}).key() != (Policy{TLS: newTLS(t, TLSOptions{})}).key() {
		t.Error("no policy and an empty one differ")
	}
	reordered := newTLS(t, TLSOptions{
		CA:   pemOf(other.Certificate().Raw, ca.Certificate().Raw, other.Certificate().Raw),
		Pins: []string{pinOf(other.Certificate()), pinOf(ca.Certificate()), pinOf(ca.Certificate())},
	})
	ordered := newTLS(t, TLSOptions{
		CA:   append([]byte("# ours\n"), pemOf(ca.Certificate().Raw, other.Certificate().Raw)...),
		Pins: []string{pinOf(ca.Certificate()), pinOf(other.Certificate())},
	})
	if reordered.Digest() != ordered.Digest() {
		t.Error("order and repetition tell two equal policies apart")
	}
}
