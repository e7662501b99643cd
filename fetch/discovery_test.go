package fetch

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
)

func TestDiscoveryURLs(t *testing.T) {
	t.Parallel()
	for issuer, want := range map[string][2]string{
		// The examples of OpenID Connect Discovery 1.0, 4.1, and RFC 8414, 3.1.
		"https://example.com":         {"https://example.com/.well-known/openid-configuration", "https://example.com/.well-known/oauth-authorization-server"},
		"https://example.com/issuer1": {"https://example.com/issuer1/.well-known/openid-configuration", "https://example.com/.well-known/oauth-authorization-server/issuer1"},
		// "any terminating / MUST be removed"
		"https://example.com/":         {"https://example.com/.well-known/openid-configuration", "https://example.com/.well-known/oauth-authorization-server"},
		"https://example.com/issuer1/": {"https://example.com/issuer1/.well-known/openid-configuration", "https://example.com/.well-known/oauth-authorization-server/issuer1"},
		// Nothing else is: it is the issuer's own spelling.
		"https://Example.com:443/A%2Fb/c": {
			"https://Example.com:443/A%2Fb/c/.well-known/openid-configuration",
			"https://Example.com:443/.well-known/oauth-authorization-server/A%2Fb/c",
		},
		"http://[::1]:8080/t": {"http://[::1]:8080/t/.well-known/openid-configuration", "http://[::1]:8080/.well-known/oauth-authorization-server/t"},
	} {
		got, err := DiscoveryURLs(issuer)
		if err != nil || len(got) != 2 || [2]string(got) != want {
			t.Errorf("%s: %q, %v", issuer, got, err)
		}
	}
	for issuer, text := range map[string]string{
		"":                           "must begin",
		"example.com":                "must begin",
		"https://example.com?s3cret": "query",
		"https://example.com/?":      "query",
		"https://example.com/#x":     "fragment",
		"https://s3cret@example.com": "credentials",
		"https://169.254.169.254/":   "refused",
		"https://example.com/.well-known/openid-configuration": "before /.well-known/",
	} {
		got, err := DiscoveryURLs(issuer)
		wantText(t, err, text)
		if got != nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %q, %v", issuer, got, err)
		}
	}
}

func TestSameIssuer(t *testing.T) {
	t.Parallel()
	const configured = "https://issuer.test/a"
	for published, want := range map[string][2]bool{
		configured:                  {true, false},
		configured + "/":            {false, true},
		configured + "//":           {false, false},
		"https://issuer.test/A":     {false, false},
		"https://ISSUER.test/a":     {false, false},
		"https://issuer.test:443/a": {false, false},
		"https://issuer.test/%61":   {false, false},
		"http://issuer.test/a":      {false, false},
		"":                          {false, false},
	} {
		for range 2 { // in both directions
			if equal, slash := SameIssuer(configured, published); equal != want[0] || slash != want[1] {
				t.Errorf("%q: %v, %v", published, equal, slash)
			}
			if equal, slash := SameIssuer(published, configured); equal != want[0] || slash != want[1] {
				t.Errorf("%q, the other way: %v, %v", published, equal, slash)
			}
		}
	}
}

// What opens something is for the host that the operator named; what restricts
// holds everywhere.
func TestDiscoveredTarget(t *testing.T) {
	t.Parallel()
	ca := newLab(t)
	cert := issued(t, ca, lab.Leaf{Client: true})
	options := TLSOptions{
		CA: pemOf(ca.Certificate().Raw), Pins: []string{pinOf(ca.Certificate())}, Cert: pemOf(cert.Certificate[0]), Key: keyPEM(t, cert),
	}
	mutual := newTLS(t, options)
	options.Cert, options.Key = nil, nil
	anonymous := newTLS(t, options)
	issuer := Target{
		URL: "https://issuer.test/realm", Policy: Policy{AllowPrivate: true, TLS: mutual, Proxy: "http://proxy.test:3128"},
		Timeout: time.Second, MaxBody: 1000, Header: http.Header{"Authorization": {"Bearer x"}}, Redirects: SameHost, Fresh: true,
	}
	for uri, want := range map[string]struct{ private, secrets bool }{
		"https://issuer.test/keys":      {true, true},
		"https://ISSUER.test:443/keys":  {true, true},
		"https://issuer.test:8443/keys": {true, false},
		"https://keys.issuer.test/keys": {false, false},
		"https://issuer.test./keys":     {false, false},
		"https://other.test/keys?a=b":   {false, false},
		"https://192.0.9.1/keys":        {false, false},
	} {
		d, err := issuer.Discovered(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		if d.URL != uri || d.url == nil || d.masked != MaskURL(uri) {
			t.Errorf("%s: not prepared: %+v", uri, d)
		}
		if d.Timeout != issuer.Timeout || d.MaxBody != issuer.MaxBody || d.Redirects != SameHost || !d.Fresh || d.Policy.Proxy != issuer.Policy.Proxy {
			t.Errorf("%s: a limit was lost: %+v", uri, d)
		}
		wantTLS := anonymous
		if want.secrets {
			wantTLS = mutual
		}
		if d.Policy.AllowPrivate != want.private || (d.Header != nil) != want.secrets || d.Policy.TLS.Digest() != wantTLS.Digest() {
			t.Errorf("%s: private %v, header %v, %v; want %+v", uri, d.Policy.AllowPrivate, d.Header, d.Policy.TLS, want)
		}
	}
	for uri, text := range map[string]string{
		"":                             "must begin",
		"/keys":                        "must begin",
		"file:///etc/passwd":           "must begin",
		"http://issuer.test/keys":      "https",
		"https://u:p@issuer.test/":     "credentials",
		"https://169.254.169.254/keys": "refused",
		"https://10.0.0.1/keys":        "allow_private", // seen here because of the proxy
		"https://127.1/keys":           "another notation",
	} {
		if _, err := issuer.Discovered(uri); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", uri, err)
		}
	}
	plain := Target{URL: "http://issuer.test/"}
	if d, err := plain.Discovered("http://issuer.test/keys"); err != nil || d.Policy.TLS != nil {
		t.Errorf("%+v, %v", d, err)
	}
}

// A discovery document that points at our own network is refused when it is
// followed, though the issuer itself may be private.
func TestDiscoveredTargetDoesNotReachPrivateAddresses(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(ok(keySet))
	t.Cleanup(s.Close)
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	c := Client{Resolver: resolver(t, always("127.0.0.1"))}
	t.Cleanup(c.CloseIdle)
	issuer := Target{URL: "http://issuer.test:" + port, Policy: local()}
	same, err := issuer.Discovered("http://issuer.test:" + port + "/keys")
	if err != nil {
		t.Fatal(err)
	}
	get(t, &c, same) // and leaves a warm connection
	for _, uri := range []string{"http://other.test:" + port + "/keys", "http://127.0.0.1:" + port + "/keys"} {
		other, err := issuer.Discovered(uri)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Get(t.Context(), other, nil)
		wantPhase(t, err, PhaseRefused)
	}
}

func TestSite(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]string{
		"login.eu.corp.example": "corp.example", "LOGIN.Corp.Example.": "corp.example", "corp.example": "corp.example",
		"a.b.co.uk": "b.co.uk", "co.uk": "co.uk", "tenant.github.io": "tenant.github.io",
		"issuer": "issuer", "": "", "127.0.0.1": "127.0.0.1", "2001:DB8::1": "2001:db8::1", "..": ".",
	} {
		if got := Site(host); got != want {
			t.Errorf("%q: %q, want %q", host, got, want)
		}
	}
}
