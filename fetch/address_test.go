package fetch

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	many := make([]string, 0, 20)
	for i := range 20 {
		many = append(many, netip.AddrFrom4([4]byte{8, 8, 8, byte(40 - i)}).String())
	}
	for name, c := range map[string]struct {
		has    []string
		policy Policy
		want   []string
	}{
		"two, each once":      {[]string{"9.9.9.9", "8.8.8.8", "9.9.9.9"}, Policy{}, []string{"8.8.8.8", "9.9.9.9"}},
		"those of our own":    {[]string{"127.0.0.1", "8.8.8.8", "10.0.0.1"}, Policy{}, []string{"8.8.8.8"}},
		"allowed":             {[]string{"127.0.0.1", "8.8.8.8", "169.254.169.254"}, Policy{AllowPrivate: true}, []string{"8.8.8.8", "127.0.0.1"}},
		"no more than eight":  {many, Policy{}, []string{"8.8.8.21", "8.8.8.22", "8.8.8.23", "8.8.8.24", "8.8.8.25", "8.8.8.26", "8.8.8.27", "8.8.8.28"}},
		"none but documented": {[]string{"192.0.2.1"}, Policy{}, nil},
	} {
		c1 := Client{Resolver: resolver(t, always(c.has...))}
		got, err := c1.Addresses(t.Context(), Target{URL: "https://issuer.test/jwks", Policy: c.policy})
		var text []string
		for _, a := range got {
			text = append(text, a.String())
		}
		if err != nil || !slices.Equal(text, c.want) {
			t.Errorf("%s: %q, %v; want %q", name, text, err, c.want)
		}
	}
	c := Client{Resolver: resolver(t, func(string, int) (uint8, []netip.Addr) { return 3, nil })}
	if _, err := c.Addresses(t.Context(), Target{URL: "https://issuer.test/jwks"}); err == nil {
		t.Error("a name that does not exist has addresses")
	}
	if got, err := c.Addresses(t.Context(), Target{URL: "https://8.8.8.8/jwks"}); err != nil || len(got) != 1 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := c.Addresses(t.Context(), Target{URL: "https://issuer.test/jwks", Policy: Policy{Proxy: "http://proxy.test:3128"}}); err == nil {
		t.Error("behind a proxy it is not us who choose")
	}
}

// TestOneAddressIsAsked holds that a request goes to the address it names, by the
// name of the URL, over a connection of its own, and past no guard.
func TestOneAddressIsAsked(t *testing.T) {
	t.Parallel()
	first, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := strings.Cut(first.Addr().String(), ":")
	second, err := net.Listen("tcp", "127.0.0.2:"+port)
	if err != nil {
		first.Close()
		t.Skipf("there is no second loopback address: %v", err)
	}
	hosts := make(chan string, 20)
	for i, l := range []net.Listener{first, second} {
		body := []string{`{"keys":[1]}`, `{"keys":[2]}`}[i]
		s := &httptest.Server{Listener: l, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			hosts <- r.Host
			_, _ = w.Write([]byte(body))
		})}}
		s.Start()
		t.Cleanup(s.Close)
	}
	c := Client{Resolver: resolver(t, always("127.0.0.1"))}
	t.Cleanup(c.CloseIdle)
	target := Target{URL: "http://issuer.test:" + port + "/", Policy: local()}
	for addr, want := range map[string]string{"": "1", "127.0.0.1": "1", "127.0.0.2": "2"} {
		asked := target
		if addr != "" {
			asked.Addr = netip.MustParseAddr(addr)
		}
		for range 2 {
			r := get(t, &c, asked)
			if string(r.Body) != `{"keys":[`+want+`]}` || addr != "" && r.RemoteAddr != addr+":"+port {
				t.Errorf("%q: %s from %s", addr, r.Body, r.RemoteAddr)
			}
		}
	}
	if r := get(t, &c, target); string(r.Body) != `{"keys":[1]}` {
		t.Errorf("%s: a connection to one address serves requests to all", r.Body)
	}
	close(hosts)
	for h := range hosts {
		if h != "issuer.test:"+port {
			t.Errorf("asked for %q", h)
		}
	}
	target.Policy, target.Addr = Policy{}, netip.MustParseAddr("127.0.0.2")
	_, err = c.Get(t.Context(), target, nil)
	wantPhase(t, err, PhaseRefused)
	target.Policy, target.Addr = local(), netip.MustParseAddr("169.254.169.254")
	_, err = c.Get(t.Context(), target, nil)
	wantPhase(t, err, PhaseRefused)
	target.Policy.Proxy = "http://127.0.0.1:1"
	_, err = c.Get(t.Context(), target, nil)
	wantPhase(t, err, PhaseRefused)
}
