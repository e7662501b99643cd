package fetch

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestAliasOfANameThatIsGone holds that the end of the chain is told: that is the
// name that somebody else may register.
func TestAliasOfANameThatIsGone(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chain []string
		code  dnsmessage.RCode
		want  string
	}{
		"an alias":            {[]string{"gone.cloud.test."}, noName, "gone.cloud.test"},
		"of an alias":         {[]string{"next.cloud.test.", "gone.cloud.test."}, noName, "gone.cloud.test"},
		"none":                {nil, noName, ""},
		"of one that is here": {[]string{"gone.cloud.test."}, noError, ""},
		"with hostile text":   {[]string{"a\x1b\u202e.test."}, noName, "a\ufffd\ufffd.test"},
	} {
		server := &nameServer{answer: func(m *dnsmessage.Message, _ question, _ int) bool {
			for _, to := range c.chain {
				record(m, &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(to)})
			}
			m.RCode = c.code
			return true
		}}
		client := Client{Resolver: server.start(t)}
		_, err := client.Get(t.Context(), Target{URL: "https://idp.corp.test/jwks"}, nil)
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Alias != c.want || (e.Code == CodeNXDomain) != (c.code == noName) {
			t.Errorf("%s: %+v", name, err)
		}
	}
}

// TestPlatformCertificate holds that the certificate of a hosting platform, shown
// because nobody has the name there any more, is recognised by the public suffix
// list, and no other one is.
func TestPlatformCertificate(t *testing.T) {
	t.Parallel()
	for names, want := range map[string]string{
		"*.eu.org":                       "eu.org",
		"www.platform.test *.EU.org":     "eu.org",
		"eu.org":                         "eu.org",
		"*.customer.eu.org":              "",
		"*.example.org example.org":      "",
		"*.org *.co.uk *.test localhost": "",
		"":                               "",
	} {
		if got := platform(strings.Fields(names)); got != want {
			t.Errorf("%s: %q, want %q", names, got, want)
		}
	}
	ca := newLab(t)
	s := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{issued(t, ca, lab.Leaf{Hosts: []string{"*.eu.org"}})}}, ok(keySet))
	c := Client{Roots: ca.Roots()}
	_, err := c.Get(t.Context(), Target{URL: s.URL, Policy: local()}, nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != CodeWrongName || e.Leaf == nil || e.Leaf.Platform != "eu.org" {
		t.Errorf("%+v", err)
	}
}
