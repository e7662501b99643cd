package fetch

import (
	"crypto/sha256"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

// forwarder is a proxy that connects every name to one server.
type forwarder struct {
	*httptest.Server
	to string

	mu    sync.Mutex
	lines []string // method and target of each request
	shown int      // client certificates
	open  sync.WaitGroup
}

// startProxy starts a proxy in front of a server; with a certificate it speaks
// TLS.
func startProxy(t *testing.T, to string, cert *tls.Certificate) *forwarder {
	t.Helper()
	p := &forwarder{to: to}
	p.Server = httptest.NewUnstartedServer(p)
	p.Config.ErrorLog = log.New(io.Discard, "", 0)
	if cert != nil {
		p.TLS = &tls.Config{Certificates: []tls.Certificate{*cert}, ClientAuth: tls.RequestClientCert}
		p.StartTLS()
	} else {
		p.Start()
	}
	t.Cleanup(func() { p.Close(); p.open.Wait() })
	return p
}

func (p *forwarder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.lines = append(p.lines, r.Method+" "+r.RequestURI+" "+r.Host+" "+r.Header.Get("X-Secret"))
	if r.TLS != nil {
		p.shown += len(r.TLS.PeerCertificates)
	}
	p.mu.Unlock()
	if r.Method != http.MethodConnect {
		ok(keySet)(w, r)
		return
	}
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	client, rest, err := w.(http.Hijacker).Hijack()
	if err != nil {
		_ = server.Close()
		return
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	p.open.Go(func() { _, _ = io.Copy(server, rest); _ = server.Close() })
	p.open.Go(func() { _, _ = io.Copy(client, server); _ = client.Close() })
}

func (p *forwarder) requests() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.lines...)
}

func (p *forwarder) certificates() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shown
}

func through(proxy string) Policy { return Policy{Proxy: proxy} }

// The name of the issuer exists for the proxy alone, and the client's policy
// does not allow private addresses: the proxy is the operator's, and may be one.
func TestHTTPSThroughAProxy(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	cert := issued(t, ca, lab.Leaf{Hosts: []string{"issuer.test"}})
	client := issued(t, ca, lab.Leaf{Client: true, Hosts: []string{"alice"}})
	proxyCert := issued(t, ca, lab.Leaf{})
	for name, proxyCert := range map[string]*tls.Certificate{"http": nil, "https": &proxyCert} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAnyClientCert},
				func(w http.ResponseWriter, r *http.Request) {
					fmt.Fprintf(w, "%s %s %s", r.Host, r.RequestURI, r.TLS.PeerCertificates[0].Subject.CommonName)
				})
			proxy := startProxy(t, s.Listener.Addr().String(), proxyCert)
			c := Client{Roots: ca.Roots()}
			t.Cleanup(c.CloseIdle)
			target := Target{URL: "https://issuer.test/jwks.json?a=b", Policy: through(proxy.URL), Header: http.Header{"X-Secret": {"s3cr3t"}}}
			target.Policy.TLS = newTLS(t, TLSOptions{
				CA: pemOf(ca.Certificate().Raw), Pins: []string{pinOf(cert.Leaf)}, Cert: pemOf(client.Certificate[0]), Key: keyPEM(t, client),
			})
			for range 2 {
				r := get(t, &c, target)
				if want := "issuer.test /jwks.json?a=b alice"; string(r.Body) != want {
					t.Errorf("body %q, want %q", r.Body, want)
				}
				if !r.Proxied || r.RemoteAddr != proxy.Listener.Addr().String() {
					t.Errorf("proxied %v by %s", r.Proxied, r.RemoteAddr)
				}
				if !r.HasTLS || r.LeafSPKI != sha256.Sum256(cert.Leaf.RawSubjectPublicKeyInfo) {
					t.Error("the evidence is not of the issuer's certificate")
				}
			}
			if got := strings.Join(proxy.requests(), "; "); got != "CONNECT issuer.test:443 issuer.test:443 " {
				t.Errorf("the proxy saw %q", got)
			}
			if proxy.certificates() != 0 {
				t.Error("the proxy was shown the client certificate")
			}
		})
	}
}

func TestHTTPThroughAProxy(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	proxyCert := issued(t, ca, lab.Leaf{})
	for name, cert := range map[string]*tls.Certificate{"http": nil, "https": &proxyCert} {
		proxy := startProxy(t, "", cert)
		c := Client{Roots: ca.Roots()}
		t.Cleanup(c.CloseIdle)
		for path, want := range map[string]string{
			"":              "GET http://issuer.test/ issuer.test ",
			"/a%2Fb/?q=%20": "GET http://issuer.test/a%2Fb/?q=%20 issuer.test ",
			":8080//x":      "GET http://issuer.test:8080//x issuer.test:8080 ",
		} {
			before := len(proxy.requests())
			r := get(t, &c, Target{URL: "http://issuer.test" + path, Policy: through(proxy.URL)})
			if string(r.Body) != keySet || !r.Proxied || r.HasTLS || r.RemoteAddr != proxy.Listener.Addr().String() {
				t.Errorf("%s %q: %+v", name, path, r)
			}
			if got := proxy.requests()[before:]; len(got) != 1 || got[0] != want {
				t.Errorf("%s %q: the proxy saw %q, want %q", name, path, got, want)
			}
		}
	}
}

// A request without a proxy never takes the connection of one with it.
func TestProxiedAndDirectNeverShare(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(ok("direct"))
	t.Cleanup(s.Close)
	proxies := []*forwarder{startProxy(t, "", nil), startProxy(t, "", nil)}
	c := Client{Resolver: resolver(t, always("127.0.0.1"))}
	t.Cleanup(c.CloseIdle)
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	url := "http://issuer.test:" + port + "/"
	for range 3 {
		if r := get(t, &c, Target{URL: url, Policy: local()}); string(r.Body) != "direct" || r.Proxied {
			t.Errorf("direct: %q, proxied %v", r.Body, r.Proxied)
		}
		for _, proxy := range proxies {
			get(t, &c, Target{URL: url, Policy: Policy{AllowPrivate: true, Proxy: proxy.URL}})
		}
	}
	for i, proxy := range proxies {
		if n := len(proxy.requests()); n != 3 {
			t.Errorf("proxy %d saw %d requests", i, n)
		}
	}
}

// What an URL itself says is still judged, and nothing is asked of the proxy.
func TestAddressesInTheURLAreRefusedBehindAProxy(t *testing.T) {
	t.Parallel()
	proxy := startProxy(t, "", nil)
	var c Client
	t.Cleanup(c.CloseIdle)
	for _, host := range []string{
		"127.0.0.1", "10.0.0.1", "[::1]", "[fd00::1]", "169.254.169.254", "[::ffff:127.0.0.1]", "127.0.0.1.",
		"127.1", "2130706433", "0x7f000001", "0x7f.1", "0177.0.0.01", "0x", "localhost", "issuer.LOCALHOST", "localhost.", "b\u00fccher.test",
	} {
		for _, scheme := range []string{"http", "https"} {
			_, err := c.Get(t.Context(), Target{URL: scheme + "://" + host + "/", Policy: through(proxy.URL)}, nil)
			wantPhase(t, err, PhaseRefused)
		}
	}
	for _, host := range []string{"169.254.169.254", "127.1"} {
		_, err := c.Get(t.Context(), Target{URL: "http://" + host + "/", Policy: Policy{AllowPrivate: true, Proxy: proxy.URL}}, nil)
		wantPhase(t, err, PhaseRefused)
	}
	if n := len(proxy.requests()); n != 0 {
		t.Errorf("the proxy saw %d requests", n)
	}
	for _, host := range []string{"127.0.0.1", "localhost", "[::1]"} {
		get(t, &c, Target{URL: "http://" + host + "/", Policy: Policy{AllowPrivate: true, Proxy: proxy.URL}})
	}
	for _, host := range []string{"1.example", "0xdead.example", "issuer.x0", "8.8.8.8"} {
		get(t, &c, Target{URL: "http://" + host + "/", Policy: through(proxy.URL)})
	}
}

// What is wrong with a proxy is no fact about the endpoint: it has no code, and
// no certificate in evidence.
func TestProxyThatFails(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = closed.Close()
	expired := issued(t, ca, lab.Leaf{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	nobody := resolver(t, func(string, int) (uint8, []netip.Addr) { return 3, nil })
	answers := func(text string) string { return "http://" + serveRaw(t, say(text)).addr }
	for name, test := range map[string]struct {
		proxy string
		want  Phase
		text  string
	}{
		"closed":          {"http://" + closed.Addr().String(), PhaseDial, "proxy: dial tcp"},
		"no such name":    {"http://proxy.test:1", PhaseResolve, "proxy: "},
		"expired":         {startProxy(t, "", &expired).URL, PhaseDial, "proxy: tls: "},
		"wants money":     {answers("HTTP/1.1 407 x\r\nContent-Length: 0\r\n\r\n"), PhaseDial, "proxy: CONNECT was answered with status 407"},
		"cannot reach it": {startProxy(t, closed.Addr().String(), nil).URL, PhaseDial, "status 502"},
		"speaks first":    {answers("HTTP/1.1 200 x\r\n\r\n\x15\x03\x03\x00\x02\x02\x28"), PhaseDial, "octets after the answer to CONNECT"},
		"hangs up":        {"http://" + serveRaw(t, sayAndClose("")).addr, PhaseDial, "proxy: connection closed"},
		"is no proxy":     {answers("SSH-2.0-s3cr3t\r\n"), PhaseDial, "proxy: malformed"},
		"headers flood":   {"http://" + serveRaw(t, endless("HTTP/1.1 200 x\r\n", "X: y\r\n")).addr, PhaseDial, "proxy: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Client{Roots: ca.Roots(), Resolver: nobody}
			t.Cleanup(c.CloseIdle)
			_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/", Policy: through(test.proxy), Header: http.Header{"X": {"s3cr3t"}}}, nil)
			wantPhase(t, err, test.want)
			wantText(t, err, test.text)
			if e := err.(*Error); e.Code != "" || e.Leaf != nil || strings.Contains(e.Error(), "s3cr3t") {
				t.Errorf("%+v", e)
			}
		})
	}
	t.Run("never allowed address", func(t *testing.T) {
		t.Parallel()
		c := Client{Resolver: resolver(t, always("169.254.169.254"))}
		_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/", Policy: through("http://proxy.test")}, nil)
		wantPhase(t, err, PhaseRefused)
		wantText(t, err, "proxy: address 169.254.169.254 is refused")
	})
}

// A certificate of the target that is wrong is told with its code, also when a
// proxy is between.
func TestTargetThatIsWrongBehindAProxy(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	cert := issued(t, ca, lab.Leaf{Hosts: []string{"other.test"}})
	s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{cert}}, ok(keySet))
	proxy := startProxy(t, s.Listener.Addr().String(), nil)
	c := Client{Roots: ca.Roots()}
	_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/", Policy: through(proxy.URL)}, nil)
	wantCode(t, err, CodeWrongName, cert.Leaf)
}

func TestProxyThatStalls(t *testing.T) {
	t.Parallel()
	s := serveConns(t, func(_ *rawServer, c net.Conn) { untilClosed(c) })
	var c Client
	_, err := c.Get(t.Context(), Target{URL: "https://issuer.test/", Policy: through("http://" + s.addr), Timeout: 50 * time.Millisecond}, nil)
	wantPhase(t, err, PhaseTimeout)
}

func TestCheckProxy(t *testing.T) {
	t.Parallel()
	for _, good := range []string{"http://proxy.test", "http://proxy.test:3128", "https://proxy.test:3129/", "http://10.0.0.1:8080", "http://[::1]:1"} {
		if err := CheckProxy(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for bad, text := range map[string]string{
		"": "must begin", "proxy.test:3128": "must begin", "socks5://proxy.test": "must begin", "http://": "no host",
		"http://user:s3cr3t@proxy.test": "credentials", "http://proxy.test/s3cr3t": "alone", "http://proxy.test?s3cr3t": "alone",
		"http://proxy.test?": "alone", "http://proxy.test#x": "fragment", "http://proxy.test:0": "port", "http://169.254.169.254": "refused",
	} {
		err := CheckProxy(bad)
		wantText(t, err, text)
		if err != nil && strings.Contains(err.Error(), "s3cr3t") {
			t.Errorf("%s is quoted: %v", bad, err)
		}
		target := Target{URL: "https://issuer.test/", Policy: through(bad)}
		if bad != "" && target.Prepare() == nil {
			t.Errorf("%s: prepared", bad)
		}
	}
}
