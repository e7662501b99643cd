package fetch

import (
	"errors"
	"net"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestNamesThatDoNotResolve(t *testing.T) {
	t.Parallel()
	for name, rcode := range map[string]uint8{"NXDOMAIN": 3, "no data": 0, "SERVFAIL": 2, "REFUSED": 5} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Client{Resolver: resolver(t, func(string, int) (uint8, []netip.Addr) { return rcode, nil })}
			_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/jwks.json"}, nil)
			wantPhase(t, err, PhaseResolve)
			dns, ok := errors.AsType[*net.DNSError](err)
			if !ok {
				t.Fatalf("no *net.DNSError in %v", err)
			}
			if want := rcode == 3 || rcode == 0; dns.IsNotFound != want {
				t.Errorf("IsNotFound %v, want %v", dns.IsNotFound, want)
			}
		})
	}
}

func TestNameOfAMetadataAddressIsRefused(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "0.0.0.0"} {
		c := Client{Resolver: resolver(t, always(addr))}
		for _, policy := range []Policy{{}, local()} {
			_, err := c.Get(t.Context(), Target{URL: "http://metadata.internal.test/", Policy: policy}, nil)
			wantPhase(t, err, PhaseRefused)
			wantText(t, err, addr)
		}
	}
}

// AAAA ::ffff:a.b.c.d is dialled as a.b.c.d.
func TestMappedAddressIsJudgedAsIPv4(t *testing.T) {
	t.Parallel()
	c := Client{Resolver: resolver(t, func(string, int) (uint8, []netip.Addr) {
		return 0, []netip.Addr{netip.AddrFrom16(netip.MustParseAddr("::ffff:169.254.169.254").As16())}
	})}
	_, err := c.Get(t.Context(), Target{URL: "http://metadata.internal.test/", Policy: local()}, nil)
	wantPhase(t, err, PhaseRefused)
	wantText(t, err, "169.254.169.254")
}

// The first look-up gives an address that passes, the next one another: the
// guard must judge what is dialled, each time.
func TestRebinding(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(ok(keySet))
	t.Cleanup(s.Close)
	c := Client{Resolver: resolver(t, func(_ string, count int) (uint8, []netip.Addr) {
		if count == 0 {
			return 0, parsed("127.0.0.1")
		}
		return 0, parsed("169.254.169.254")
	})}
	t.Cleanup(c.CloseIdle)
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	target := Target{URL: "http://issuer.test:" + port + "/", Policy: local(), Fresh: true}
	get(t, &c, target)
	_, err := c.Get(t.Context(), target, nil)
	wantPhase(t, err, PhaseRefused)
}

// Several addresses are tried; a refused one among them is never connected to,
// and the others still serve.
func TestEveryAddressTriedPassesTheGuard(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(ok(keySet))
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	url := "http://issuer.test:" + port + "/"

	c := Client{Resolver: resolver(t, always("169.254.169.254", "fe80::1", "127.0.0.1"))}
	t.Cleanup(c.CloseIdle)
	if r := get(t, &c, Target{URL: url, Policy: local()}); r.RemoteAddr != s.Listener.Addr().String() {
		t.Errorf("served by %s", r.RemoteAddr)
	}
	refused := Client{Resolver: resolver(t, always("10.0.0.1", "127.0.0.1", "fd00::1"))}
	_, err := refused.Get(t.Context(), Target{URL: url}, nil)
	wantPhase(t, err, PhaseRefused)
}

func TestIPv6Loopback(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp6", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6 loopback here: %v", err)
	}
	s := httptest.NewUnstartedServer(ok(keySet))
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	var c Client
	t.Cleanup(c.CloseIdle)
	if r := get(t, &c, Target{URL: s.URL, Policy: local()}); r.RemoteAddr != l.Addr().String() {
		t.Errorf("served by %s", r.RemoteAddr)
	}
	_, err = c.Get(t.Context(), Target{URL: s.URL}, nil)
	wantPhase(t, err, PhaseRefused)
}

// An environment proxy would be a silent way around guard and evidence. The
// name is not localhost, because net/http exempts that from proxies.
// It also reads the environment once, so the test is a process of its own.
func TestEnvironmentProxyIsIgnored(t *testing.T) {
	t.Parallel()
	if os.Getenv("FETCH_TEST_PROXIED") != "" {
		s := httptest.NewServer(ok(keySet))
		t.Cleanup(s.Close)
		_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
		c := Client{Resolver: resolver(t, always("127.0.0.1"))}
		t.Cleanup(c.CloseIdle)
		get(t, &c, Target{URL: "http://issuer.test:" + port + "/", Policy: local()})
		return
	}
	proxy := serveConns(t, func(*rawServer, net.Conn) {})
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.CommandContext(t.Context(), binary, "-test.run=^TestEnvironmentProxyIsIgnored$")
	child.Env = append(os.Environ(), "FETCH_TEST_PROXIED=1", "no_proxy=", "NO_PROXY=")
	for _, name := range []string{"http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"} {
		child.Env = append(child.Env, name+"=http://"+proxy.addr)
	}
	if output, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v:\n%s", err, output)
	}
	if n := proxy.accepts(); n != 0 {
		t.Errorf("the proxy of the environment got %d connections", n)
	}
}
