package rules_test

import (
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// shows sets the way of the answers to come.
func shows(change func(*rules.Facts)) play {
	return func(s *sim) {
		f := &rules.Facts{Evidence: &event.Transport{URL: "https://idp.example/jwks"}, Host: "idp.example", ContentType: "application/json"}
		if s.facts != nil {
			f = new(*s.facts)
			if f.Discovery != nil {
				f.Discovery = new(*f.Discovery)
			}
		}
		change(f)
		s.facts = f
	}
}

// discovers makes the endpoint one of an issuer, whose document says this.
func discovers(issuer, uri string, algs ...string) play {
	return func(s *sim) {
		s.policy.URL, s.policy.Issuer, s.policy.Site = "https://idp.example", "https://idp.example", "idp.example"
		shows(func(f *rules.Facts) {
			host, site := "idp.example", "idp.example"
			if uri == "https://keys.other.test/jwks" {
				host, site = "keys.other.test", "other.test"
			}
			f.Discovery = &rules.Discovery{
				Document: "https://idp.example/.well-known/openid-configuration", Issuer: issuer, JWKSURI: uri, Shown: uri,
				Host: host, Site: site, Algs: algs, PKCE: true, Used: uri,
			}
		})(s)
	}
}

func leaf(spki, issuer string, left time.Duration) play {
	return func(s *sim) {
		shows(func(f *rules.Facts) {
			f.LeafSPKI, f.LeafIssuer = spki, issuer
			f.LeafNotBefore, f.LeafNotAfter = s.now.Add(-24*time.Hour), s.now.Add(left)
		})(s)
	}
}

// fails is a row of failed polls, an interval apart.
func fails(n int, f rules.Failure) play {
	return func(s *sim) {
		begun := s.now.Add(time.Minute)
		for i := range n {
			s.wait(time.Minute)
			f.Row, f.RowSince = i+1, begun
			s.failWith(f)
		}
	}
}

const year = 365 * 24 * time.Hour

// wayScenes are those of what is seen on the way to a set.
func wayScenes() map[string]struct{ fires, quiet play } {
	usual := "https://idp.example/keys"
	a := polls(doc("A:a"))
	return map[string]struct{ fires, quiet play }{
		"endpoint-dangling": {
			fails(3, rules.Failure{Phase: "resolve", Code: "nxdomain", OthersResolve: true}),
			fails(3, rules.Failure{Phase: "resolve", Code: "nxdomain"}), // a resolver that denies everything
		},
		"endpoint-tls-invalid": {
			fails(1, rules.Failure{Phase: "tls", Code: "expired"}),
			fails(1, rules.Failure{Phase: "tls"}),
		},
		"endpoint-redirected": {
			fails(1, rules.Failure{Phase: "status", Code: "redirect", Redirect: &rules.Redirect{Status: 302, CrossHost: true}}),
			fails(1, rules.Failure{Phase: "status"}),
		},
		"endpoint-certificate-changed": {
			scene(leaf("11", "CN=One", year), a, leaf("22", "CN=One", year), a),
			scene(leaf("11", "CN=One", year), a, a),
		},
		"endpoint-cache-policy": {
			scene(shows(func(f *rules.Facts) { f.HasMaxAge, f.MaxAge = true, 25*time.Hour }), a),
			scene(shows(func(f *rules.Facts) { f.HasMaxAge, f.MaxAge = true, 24*time.Hour }), a),
		},
		"endpoint-content-type": {
			scene(shows(func(f *rules.Facts) { f.ContentType = "text/plain" }), a),
			scene(shows(func(f *rules.Facts) { f.ContentType = "application/jwk-set+json; charset=utf-8" }), a),
		},
		"discovery-moved": {
			scene(discovers("https://idp.example", usual), a, discovers("https://idp.example", "https://idp.example/keys2"), a),
			scene(discovers("https://idp.example", usual), a, discovers("https://idp.example", "HTTPS://IDP.example:443/keys"), a),
		},
		"discovery-moved-disagreement": {
			scene(discovers("https://idp.example", usual), a, other("https://evil.test/keys", usual), a),
			scene(discovers("https://idp.example", usual), a, other("HTTPS://idp.example:443/keys", usual), a),
		},
		"discovery-endpoint-moved": {
			scene(discovers("https://idp.example", usual), endpoints("token_endpoint=login.idp.example"), a, endpoints("token_endpoint=sso.idp.example"), a),
			scene(discovers("https://idp.example", usual), endpoints("token_endpoint=login.idp.example", "userinfo_endpoint=sso.idp.example"), a,
				endpoints("token_endpoint=sso.idp.example"), a),
		},
		"discovery-issuer-mismatch": {
			scene(discovers("https://idp.example", usual), a, discovers("https://other.test", usual), a),
			scene(discovers("https://idp.example", usual), a),
		},
		"discovery-weakened": {
			scene(discovers("https://idp.example", usual, "RS256"), a, discovers("https://idp.example", usual, "RS256", "none"), a),
			scene(discovers("https://idp.example", usual, "RS256", "none"), a, discovers("https://idp.example", usual, "ES256", "RS256"), a),
		},
	}
}
