package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// endpoints makes the discovery document name these, "token_endpoint=host".
func endpoints(list ...string) play {
	return shows(func(f *rules.Facts) {
		f.Discovery.Endpoints = nil
		for _, x := range list {
			name, host, _ := strings.Cut(x, "=")
			labels := strings.Split(host, ".")
			f.Discovery.Endpoints = append(f.Discovery.Endpoints, rules.DiscoveryEndpoint{
				Name: name, Shown: "https://" + host + "/x?a=***", Host: host, Site: strings.Join(labels[max(0, len(labels)-2):], "."),
			})
		}
	})
}

// other makes the second discovery document name a key set; it was read when the
// first named against.
func other(uri, against string) play {
	return shows(func(f *rules.Facts) {
		f.Discovery.Other = &rules.OtherDocument{
			Document: "https://idp.example/.well-known/oauth-authorization-server", JWKSURI: uri, Shown: uri, Against: against,
		}
	})
}

func TestHowFarAnEndpointMoved(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	own := discovers("https://idp.example", "https://idp.example/keys")
	for name, c := range map[string]struct {
		from, to []string
		want     string // severity and code of each
	}{
		"to another host of the domain":         {[]string{"token_endpoint=login.idp.example"}, []string{"token_endpoint=sso.idp.example"}, "high other_host"},
		"out of the domain":                     {[]string{"token_endpoint=login.idp.example"}, []string{"token_endpoint=evil.test"}, "critical other_domain"},
		"to a name that only ends like it":      {[]string{"token_endpoint=idp.example"}, []string{"token_endpoint=notidp.example"}, "critical other_domain"},
		"within a domain that is not theirs":    {[]string{"token_endpoint=eu.cdn.test"}, []string{"token_endpoint=us.cdn.test"}, "high other_host"},
		"to the issuer's own host":              {[]string{"token_endpoint=login.idp.example"}, []string{"token_endpoint=idp.example"}, ""},
		"to the host of another of them":        {[]string{"token_endpoint=a.idp.example", "userinfo_endpoint=b.idp.example"}, []string{"token_endpoint=b.idp.example"}, ""},
		"one that was not there":                {[]string{"token_endpoint=idp.example"}, []string{"token_endpoint=idp.example", "registration_endpoint=evil.test"}, "critical other_domain"},
		"one that is gone":                      {[]string{"token_endpoint=idp.example", "userinfo_endpoint=idp.example"}, []string{"token_endpoint=idp.example"}, ""},
		"all of them":                           {[]string{"token_endpoint=idp.example", "userinfo_endpoint=idp.example"}, []string{"token_endpoint=evil.test", "userinfo_endpoint=sso.idp.example"}, "critical other_domain other_host"},
		"to what is no URL":                     {[]string{"token_endpoint=idp.example"}, []string{"token_endpoint="}, "high other_host"},
		"none were known, so that they are now": {nil, []string{"token_endpoint=evil.test"}, ""},
	} {
		s := newSim(t)
		scene(own, endpoints(c.from...), a, endpoints(c.to...), a, a)(s)
		list := s.openings(event.DiscoveryEndpointMoved)
		if c.want == "" {
			if len(list) != 0 {
				t.Errorf("%s: %q", name, tell(list))
			}
			continue
		}
		f := s.only(event.DiscoveryEndpointMoved)
		if got := f.Severity.String() + " " + strings.Join(f.Reasons, " "); got != c.want || !f.Confirmed {
			t.Errorf("%s: %s, want %s", name, got, c.want)
		}
		d := f.Details.(*event.DiscoveryEndpointMovedDetails)
		if d.Members[0].After == nil || !strings.HasSuffix(*d.Members[0].After, "/x?a=***") || d.Document == "" {
			t.Errorf("%s: %+v", name, d)
		}
		if strings.HasPrefix(c.to[0], c.from[0][:len("token_endpoint=")]) && len(d.Members) == len(c.to) && (d.Members[0].Before == nil || "token_endpoint="+*d.Members[0].Before != c.from[0]) {
			t.Errorf("%s: before %v", name, d.Members[0].Before)
		}
		scene(endpoints(c.from...), a, endpoints(c.to...), a)(s) // both are known
		s.only(event.DiscoveryEndpointMoved)
	}
}

// TestAMovedEndpointBesideNewKeys lets both come in one step.
func TestAMovedEndpointBesideNewKeys(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(discovers("https://idp.example", "https://idp.example/keys"), endpoints("token_endpoint=idp.example"), polls(doc("A:a")),
		endpoints("token_endpoint=sso.idp.example"), polls(doc("A:a", "B:b")))(s)
	s.only(event.DiscoveryEndpointMoved)
	if f := s.only(event.KeyAdded); f.Severity != event.SeverityHigh || !slices.Contains(f.Reasons, "discovery_novel") {
		t.Errorf("%s, %q", f.Severity, f.Reasons)
	}
}

// TestPlacesAreBounded lets the token endpoint be elsewhere in each document.
func TestPlacesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	scene(discovers("https://idp.example", "https://idp.example/keys"))(s)
	for i := range history.MaxLearnedPlaces + 4 {
		scene(endpoints(fmt.Sprintf("token_endpoint=h%02d.idp.example", i)), polls(doc("A:a")))(s)
	}
	if n := len(s.memory().Learned.Places); n != history.MaxLearnedPlaces {
		t.Errorf("%d are remembered", n)
	}
}

func TestDocumentsThatDisagree(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	const uri, wrong = "https://idp.example/keys", "https://evil.test/keys"
	own := discovers("https://idp.example", uri)
	for name, c := range map[string]struct {
		play play
		want string
	}{
		"always did":                  {scene(own, a, other(wrong, uri), a, a), "medium"},
		"agreed before":               {scene(own, a, other(uri, uri), a, other(wrong, uri), a, a), "high"},
		"and does so again":           {scene(own, a, other(wrong, uri), a, other(uri, uri), a, other(wrong, uri), a), "medium"},
		"agree":                       {scene(own, a, other(uri, uri), a), ""},
		"was read with another first": {scene(own, a, other(wrong, "https://idp.example/old"), a), ""},
	} {
		s := newSim(t)
		c.play(s)
		list := s.openings(event.DiscoveryMoved)
		if c.want == "" {
			if len(list) != 0 {
				t.Errorf("%s: %q", name, tell(list))
			}
			continue
		}
		f := s.only(event.DiscoveryMoved)
		d := f.Details.(*event.DiscoveryMovedDetails)
		if f.Severity.String() != c.want || d.Code != "documents_disagree" || *d.Before != uri || *d.After != wrong || !strings.HasSuffix(d.Document, "oauth-authorization-server") {
			t.Errorf("%s: %s, %+v", name, f.Severity, d)
		}
	}
}
