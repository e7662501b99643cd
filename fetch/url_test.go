package fetch

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

func TestCheckURL(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{
		"https://issuer.example/.well-known/jwks.json", "http://issuer.example", "https://issuer.example:8443/a?tenant=b",
		"HTTPS://issuer.example/", "https://xn--bcher-kva.example/", "https://127.0.0.1:8443/", "http://[::1]/", "https://10.0.0.1/",
		"https://issuer.example/@scope/x", "https://1.1.1.1/", "https://[2606:4700::1111]/",
	} {
		if err := CheckURL(raw); err != nil {
			t.Errorf("%s: %v", raw, err)
		}
	}
	const secret = "hunter2"
	for raw, want := range map[string]string{
		"":                                   "begin with https",
		"issuer.example/jwks":                "begin with https",
		"//issuer.example/jwks":              "begin with https",
		"ftp://issuer.example/":              "begin with https",
		"file:///etc/passwd":                 "begin with https",
		"https:issuer.example":               "no host",
		"https:///jwks":                      "no host",
		"https://:8443/":                     "no host",
		"https://u:" + secret + "@i.example": "credentials",
		"https://@issuer.example/":           "credentials",
		"https://issuer.example/#" + secret:  "fragment",
		"https://issuer.example/#":           "fragment",
		"https://issuer.example:0/":          "port",
		"https://issuer.example:65536/":      "port",
		"https://issuer.example:" + secret:   "not a valid URL",
		"https://issuer.example/%" + secret:  "not a valid URL",
		"https://issuer.example/\n" + secret: "not a valid URL",
		"https://169.254.169.254/":           "link-local",
		"http://100.100.100.200/":            "cloud metadata",
		"http://0.0.0.0/":                    "this network",
		"http://[::]/":                       "unspecified",
		"http://[::ffff:8.8.8.8]/":           "IPv4-mapped",
		"http://[::ffff:a9fe:a9fe]/":         "IPv4-mapped",
		"http://[fe80::1%25lo]/":             "link-local",
		"http://[64:ff9b::a9fe:a9fe]/":       "NAT64",
		"http://[2002:a9fe:a9fe::]/":         "6to4",
		"http://[fd00:ec2::254]/":            "cloud metadata",
		"http://224.0.0.1/":                  "multicast",
		"http://255.255.255.255/":            "broadcast",
	} {
		err := CheckURL(raw)
		wantText(t, err, want)
		if err != nil && strings.Contains(err.Error(), secret) {
			t.Errorf("%s: the error quotes the URL: %v", raw, err)
		}
		// Get holds to the same, before it does anything.
		var c Client
		_, err = c.Get(t.Context(), Target{URL: raw, Policy: local()}, nil)
		wantPhase(t, err, PhaseRefused)
	}
}

// Numbers that some C libraries take for addresses are names here, and the
// guard judges whatever they resolve to.
func TestUnusualFormsOfAddressesDoNotPass(t *testing.T) {
	t.Parallel()
	c := Client{Resolver: resolver(t, always("169.254.169.254"))}
	for _, host := range []string{"2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "１６９.254.169.254", "169。254。169。254"} {
		_, err := c.Get(t.Context(), Target{URL: "http://" + host + "/", Policy: local()}, nil)
		// The resolver of Go knows that a name of digits is none; the C library's
		// would make an address of it.
		if e, ok := errors.AsType[*Error](err); !ok || e.Phase != PhaseRefused && e.Phase != PhaseResolve {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestMaskURL(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"https://i.example/jwks":                    "https://i.example/jwks",
		"https://i.example/jwks?a=1&sig=secret":     "https://i.example/jwks?a=***&sig=***",
		"https://i.example/jwks?secret":             "https://i.example/jwks?***",
		"https://i.example/jwks?a=b=c&&d":           "https://i.example/jwks?a=***&&***",
		"https://i.example/jwks?":                   "https://i.example/jwks?",
		"https://u:secret@i.example/?x=y#fragment":  "https://i.example/?x=***",
		"https://i.example/@scope/x":                "https://i.example/@scope/x",
		"https://i.example:secret@/?":               "https:///?",
		"https://u:secret@i.example/%zz?":           "***",
		"mailto:secret@i.example":                   "***",
		"/relative?code=secret":                     "/relative?code=***",
		"https://i.example/jwks?a=secret;b=secret2": "https://i.example/jwks?a=***",
	} {
		if got := MaskURL(raw); got != want {
			t.Errorf("MaskURL(%q) = %q, want %q", raw, got, want)
		}
		if got := MaskURL(want); got != want {
			t.Errorf("MaskURL(%q) = %q: masking twice is not masking once", want, got)
		}
	}
}

func TestCheckHeader(t *testing.T) {
	t.Parallel()
	good := http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"a\tb"}, "cookie": {"a=b"}, "Accept": {"*/*"}}
	if err := CheckHeader(good); err != nil {
		t.Errorf("%v: %v", good, err)
	}
	const secret = "hunter2"
	for name, value := range map[string]string{
		"Host": secret, "connection": secret, "Content-Length": secret, "transfer-encoding": secret, "TE": secret,
		"Upgrade": secret, "Expect": secret, "If-None-Match": secret, "if-modified-since": secret, "Range": secret,
		"accept-encoding": secret, "Proxy-Authorization": secret, "": secret, "A b": secret, "A:": secret, "Ä": secret,
		"X-Split": secret + "\r\nHost: other.test", "X-Nul": "\x00" + secret, "X-Del": secret + "\x7f",
	} {
		err := CheckHeader(http.Header{name: {value}})
		if err == nil {
			t.Errorf("%q: %q passes", name, value)
			continue
		}
		if strings.Contains(err.Error(), secret) {
			t.Errorf("%q: the error quotes the value: %v", name, err)
		}
		var c Client
		_, err = c.Get(t.Context(), Target{URL: "http://127.0.0.1:1/", Policy: local(), Header: http.Header{name: {value}}}, nil)
		wantPhase(t, err, PhaseRefused)
	}
}
