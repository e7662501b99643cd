package rules_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/rules"
)

// leads makes the discovery document name this key set.
func leads(uri, host, site string) play {
	return func(s *sim) {
		discovers("https://idp.example", uri, "RS256")(s)
		shows(func(f *rules.Facts) { f.Discovery.Host, f.Discovery.Site = host, site })(s)
	}
}

func TestHowFarDiscoveryMoved(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	own, sub := leads("https://idp.example/keys", "idp.example", "idp.example"), leads("https://keys.idp.example/v1", "keys.idp.example", "idp.example")
	cdn, cdn2 := leads("https://idp.cdn.test/v1", "idp.cdn.test", "cdn.test"), leads("https://us.cdn.test/v1", "us.cdn.test", "cdn.test")
	for name, c := range map[string]struct {
		from, to   play
		want, code string
	}{
		"on its host":                             {own, leads("https://idp.example/v2/keys", "idp.example", "idp.example"), "medium", "same_host"},
		"to another port":                         {own, leads("https://idp.example:8443/keys", "idp.example", "idp.example"), "medium", "same_host"},
		"to another host of the issuer":           {own, sub, "high", "other_host"},
		"out of the issuer's domain":              {own, cdn, "critical", "other_domain"},
		"on a host that is not the issuer's":      {cdn, leads("https://idp.cdn.test/v2", "idp.cdn.test", "cdn.test"), "medium", "same_host"},
		"within a domain that is not theirs":      {cdn, cdn2, "high", "other_host"},
		"back to the issuer's domain":             {cdn, sub, "high", "other_host"},
		"from one foreign domain to the next one": {cdn, leads("https://evil.test/v1", "evil.test", "evil.test"), "critical", "other_domain"},
		"to a name that only ends like the other": {leads("https://a.notcdn.test/v1", "a.notcdn.test", "notcdn.test"), cdn, "critical", "other_domain"},
	} {
		s := newSim(t)
		scene(c.from, a, c.to, a)(s)
		f := s.only(event.DiscoveryMoved)
		d := f.Details.(*event.DiscoveryMovedDetails)
		if f.Severity.String() != c.want || d.Code != c.code || !slices.Equal(f.Reasons, []string{c.code}) || !f.Confirmed {
			t.Errorf("%s: %s, %+v, %q", name, f.Severity, d, f.Reasons)
		}
		if d.Before == nil || d.After == nil || *d.Before == *d.After || d.Document == "" {
			t.Errorf("%s: details %+v", name, d)
		}
		if host := s.facts.Discovery.Host; c.code != "same_host" && !strings.Contains(f.Message, host+" can sign for the issuer") {
			t.Errorf("%s: who can sign now? %s", name, f.Message)
		}
		scene(c.from, a, c.to, a, a)(s) // both are known
		s.only(event.DiscoveryMoved)
	}
}

func TestTheSameKeySetWrittenInAnotherWay(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	const from = "https://idp.example/a%2fb/Keys?p=1"
	for to, moved := range map[string]bool{
		"HTTPS://IDP.Example/a%2fb/Keys?p=1":     false,
		"https://idp.example:443/a%2Fb/Keys?p=1": false,
		"https://idp.example:/a%2fb/Keys?p=1":    false,
		"https://idp.example/a%2fb/Keys?p=1#x":   false,
		"https://idp.example/a%2fb/keys?p=1":     true,
		"https://idp.example/a/b/Keys?p=1":       true, // an escaped slash is no slash
		"https://idp.example/a%2fb/Keys/?p=1":    true,
		"https://idp.example/a%2fb/Keys?p=2":     true,
		"https://idp.example:444/a%2fb/Keys?p=1": true,
		"http://idp.example/a%2fb/Keys?p=1":      true,
		"http://idp.example:443/a%2fb/Keys?p=1":  true,
	} {
		s := newSim(t)
		scene(leads(from, "idp.example", "idp.example"), a, leads(to, "idp.example", "idp.example"), a)(s)
		if got := len(s.openings(event.DiscoveryMoved)) > 0; got != moved {
			t.Errorf("%s: moved is %v", to, got)
		}
	}
	s := newSim(t)
	scene(leads("https://idp.example", "idp.example", "idp.example"), a, leads("https://idp.example/", "idp.example", "idp.example"), a)(s)
	if n := len(s.openings(event.DiscoveryMoved)); n != 0 {
		t.Error("no path is the path /")
	}
}

// TestSecretsOfAKeySetURLAreNotShown moves away from a URL with a secret in its
// query; what is remembered of it is compared and never shown.
func TestSecretsOfAKeySetURLAreNotShown(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	s := newSim(t)
	scene(leads("https://idp.example/keys?code=s3cret&s4cret", "idp.example", "idp.example"), a)(s)
	leads("https://idp.example/new?code=s5cret", "idp.example", "idp.example")(s)
	shows(func(f *rules.Facts) { f.Discovery.Shown = "https://idp.example/new?code=***" })(s)
	a(s)
	f := s.only(event.DiscoveryMoved)
	d := f.Details.(*event.DiscoveryMovedDetails)
	all := fmt.Sprint(f.Message, f.Reasons, *d.Before, *d.After)
	if strings.Contains(all, "cret") || *d.Before != "https://idp.example/keys?***" {
		t.Error(all)
	}
}

func TestDocumentOfAnotherIssuer(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	own := leads("https://idp.example/keys", "idp.example", "idp.example")
	another := func(issuer, uri, used string) play {
		return func(s *sim) {
			leads(uri, "evil.test", "evil.test")(s)
			shows(func(f *rules.Facts) {
				f.Discovery.Issuer, f.Discovery.Used, f.Discovery.Algs = issuer, used, []string{"none"}
			})(s)
		}
	}
	s := newSim(t)
	scene(own, a, another("https://evil.test", "https://evil.test/jwks", "https://idp.example/keys"), a)(s)
	f := s.only(event.DiscoveryIssuerMismatch)
	d := f.Details.(*event.DiscoveryIssuerMismatchDetails)
	if f.Severity != event.SeverityHigh || d.Code != "different" || d.Configured != "https://idp.example" || *d.Published != "https://evil.test" || d.Confirmation.Agreed != 2 {
		t.Errorf("%s, %+v", f.Severity, d)
	}
	if !strings.Contains(f.Message, "it leads to https://evil.test/jwks") {
		t.Errorf("where would it lead? %s", f.Message)
	}
	if len(s.openings(event.DiscoveryMoved))+len(s.openings(event.DiscoveryWeakened)) != 0 || len(s.memory().Learned.URIs) != 1 {
		t.Errorf("a document that is not believed was used: %q", tell(s.all))
	}
	own(s)
	s.expect(s.poll(doc("A:a")), "informational discovery.issuer_mismatch closed")
	another("https://third.test", "https://idp.example/keys", "https://idp.example/keys")(s)
	a(s)
	if f := s.openings(event.DiscoveryIssuerMismatch)[1]; !strings.Contains(f.Message, "the last known key set is watched") {
		t.Error(f.Message)
	}

	for name, c := range map[string]struct {
		issuer, want, code string
	}{
		"a slash":       {"https://idp.example/", "medium", "trailing_slash"},
		"two slashes":   {"https://idp.example//", "high", "different"},
		"other letters": {"https://IDP.example", "high", "different"},
		"a port":        {"https://idp.example:443", "high", "different"},
		"no issuer":     {"", "high", "different"},
		"none":          {"https://idp.example", "", ""},
	} {
		s := newSim(t)
		scene(own, a, discovers(c.issuer, "https://idp.example/new"), a)(s)
		// The document is believed, and so leads elsewhere, if only a slash is wrong.
		if got, want := len(s.openings(event.DiscoveryMoved)) > 0, c.want != "high"; got != want {
			t.Errorf("%s: moved is %v", name, got)
		}
		if c.want == "" {
			s.expect(tell(s.openings(event.DiscoveryIssuerMismatch)))
			continue
		}
		f := s.only(event.DiscoveryIssuerMismatch)
		d := f.Details.(*event.DiscoveryIssuerMismatchDetails)
		if f.Severity.String() != c.want || d.Code != c.code || (d.Published == nil) != (c.issuer == "") {
			t.Errorf("%s: %s, %+v", name, f.Severity, d)
		}
	}

	t.Run("what it says is cut", func(t *testing.T) {
		s := newSim(t)
		long := "https://evil.test/" + strings.Repeat("x\u202e", 3000)
		scene(own, a, another(long, long, "https://idp.example/keys"), a)(s)
		f := s.only(event.DiscoveryIssuerMismatch)
		d := f.Details.(*event.DiscoveryIssuerMismatchDetails)
		if len(*d.Published) > event.MaxText || strings.Contains(f.Message, "\u202e") || !strings.Contains(f.Message, "seen twice") {
			t.Errorf("%d octets, %s", len(*d.Published), f.Message)
		}
	})
	t.Run("with no key set", func(t *testing.T) {
		s := newSim(t)
		another("https://evil.test", "https://evil.test/jwks", "")(s)
		facts := new(*s.facts)
		s.expect(s.step(rules.Observation{Facts: facts, Failure: &rules.Failure{Phase: "discovery", Count: 1, Since: s.now}}),
			"high discovery.issuer_mismatch once")
		facts.Discovery.JWKSURI, facts.Discovery.Shown = "", ""
		flaws := rules.Observe(rules.Book(), &rules.Sight{Policy: s.policy, Before: new(history.Memory), At: s.now, Facts: facts})
		if i := slices.IndexFunc(flaws, func(f rules.Flaw) bool { return f.Rule.Type == event.DiscoveryIssuerMismatch }); !strings.Contains(flaws[i].What, "no key set is known") {
			t.Errorf("%s", flaws[i].What)
		}
	})
}

func TestDiscoveryThatProtectsLess(t *testing.T) {
	t.Parallel()
	a := polls(doc("A:a"))
	says := func(pkce, signed bool, algs ...string) play {
		return func(s *sim) {
			discovers("https://idp.example", "https://idp.example/keys", algs...)(s)
			shows(func(f *rules.Facts) { f.Discovery.PKCE, f.Discovery.SignedMetadata = pkce, signed })(s)
		}
	}
	for name, c := range map[string]struct {
		from, to    play
		codes, algs []string
	}{
		"none":                       {says(true, true, "RS256"), says(true, true, "RS256", "none"), []string{"none_advertised"}, []string{"none"}},
		"HMAC":                       {says(true, true, "HS256", "RS256"), says(true, true, "HS256", "HS512", "RS256"), []string{"hmac_advertised"}, []string{"HS512"}},
		"both":                       {says(true, true), says(true, true, "HS256", "HS384", "none"), []string{"hmac_advertised", "none_advertised"}, []string{"HS256", "HS384", "none"}},
		"no PKCE":                    {says(true, true), says(false, true), []string{"pkce_dropped"}, []string{}},
		"no signed metadata":         {says(true, true), says(true, false), []string{"signed_metadata_dropped"}, []string{}},
		"weak algorithms dropped":    {says(true, true, "HS256", "none"), says(true, true, "RS256"), nil, nil},
		"other algorithms":           {says(true, true, "RS256"), says(true, true, "ES256", "EdDSA", "HS", "HPKE"), nil, nil},
		"protection that never was":  {says(false, false, "none"), says(false, false, "none"), nil, nil},
		"protection that was gained": {says(false, false), says(true, true), nil, nil},
	} {
		s := newSim(t)
		scene(c.from, a, c.to, a, a)(s)
		list := s.openings(event.DiscoveryWeakened)
		if c.codes == nil {
			if len(list) != 0 {
				t.Errorf("%s: %q", name, tell(list))
			}
			continue
		}
		f := s.only(event.DiscoveryWeakened)
		d := f.Details.(*event.DiscoveryWeakenedDetails)
		if f.Severity != event.SeverityHigh || !slices.Equal(d.Codes, c.codes) || !slices.Equal(d.Algs, c.algs) || !slices.Equal(f.Reasons, c.codes) {
			t.Errorf("%s: %s, %+v, %q", name, f.Severity, d, f.Reasons)
		}
	}
	t.Run("many", func(t *testing.T) {
		var algs []string
		for i := range 200 {
			algs = append(algs, fmt.Sprintf("HS%03d", i))
		}
		s := newSim(t)
		scene(says(true, true), a, says(true, true, algs...), a)(s)
		if d := s.only(event.DiscoveryWeakened).Details.(*event.DiscoveryWeakenedDetails); len(d.Algs) != 16 || len(d.Codes) != 1 {
			t.Errorf("%d algorithms, %q", len(d.Algs), d.Codes)
		}
	})
}

// TestUnequalDiscoveryIsToldOnce lets two servers take turns with documents of
// which one protects less, and then the same happen after a week of peace.
func TestUnequalDiscoveryIsToldOnce(t *testing.T) {
	t.Parallel()
	says := func(pkce bool, algs ...string) play {
		return func(s *sim) {
			discovers("https://idp.example", "https://idp.example/keys", algs...)(s)
			shows(func(f *rules.Facts) { f.Discovery.PKCE = pkce })(s)
		}
	}
	a := polls(doc("A:a"))
	s := newSim(t)
	scene(says(true, "RS256"), a)(s)
	for range 20 {
		scene(says(false, "RS256", "none"), a, says(true, "RS256"), a)(s)
	}
	if n := len(s.openings(event.DiscoveryWeakened)); n != 1 {
		t.Errorf("told %d times while documents take turns", n)
	}
	s.wait(7*24*time.Hour - 4*time.Minute)
	scene(says(false, "RS256", "none"), a, says(true, "RS256"), a)(s)
	if n := len(s.openings(event.DiscoveryWeakened)); n != 1 {
		t.Errorf("told %d times: a turn within a week is no news", n)
	}
	s.wait(7 * 24 * time.Hour)
	scene(says(false, "RS256", "none"), a)(s)
	if n := len(s.openings(event.DiscoveryWeakened)); n != 2 {
		t.Errorf("told %d times: after a week of peace it is news", n)
	}
}

// TestManyKeySetsAreForgottenInOrder lets discovery lead to another host at each
// poll, as hostile issuers can and one real provider does with three.
func TestManyKeySetsAreForgottenInOrder(t *testing.T) {
	t.Parallel()
	s := newSim(t)
	for i := range history.MaxLearnedURIs + 4 {
		scene(leads(fmt.Sprintf("https://idp.example/%02d", i), "idp.example", "idp.example"), polls(doc("A:a")))(s)
	}
	uris := s.memory().Learned.URIs
	if len(uris) != history.MaxLearnedURIs || history.Knows(uris, "https://idp.example/03") || history.Newest(uris) != "https://idp.example/19" {
		t.Errorf("%d values, the newest %s", len(uris), history.Newest(uris))
	}
	before := len(s.openings(event.DiscoveryMoved))
	for range 30 {
		for i := 16; i < 20; i++ {
			s.wait(time.Minute)
			scene(leads(fmt.Sprintf("https://idp.example/%02d", i), "idp.example", "idp.example"), polls(doc("A:a")))(s)
		}
	}
	if n := len(s.openings(event.DiscoveryMoved)) - before; n != 0 {
		t.Errorf("%d alarms about known values", n)
	}
}
