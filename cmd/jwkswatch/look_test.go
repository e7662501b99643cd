package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
)

const oneKey = `{"keys":[{"kty":"EC","crv":"P-256","kid":"a","alg":"ES256","use":"sig",
	"x":"QzINIaz0L1HXLngBqf3aDO4apVU2b-iRsDqMrNNW5CQ","y":"cpDqhnBKYhkivbH7TKU0UGFnyLbZtqjr6NcdFGAfjw0"}]}`

// issuerAt serves a discovery document at one of the two places, and a page
// that is no key set at its root.
func issuerAt(t *testing.T, wellKnown, issuer string) string {
	t.Helper()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	if issuer == "" {
		issuer = s.URL
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>welcome") })
	mux.HandleFunc("GET "+wellKnown, func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, issuer, s.URL+"/keys?session=canary-4711")
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, oneKey) })
	return s.URL
}

func linted(t *testing.T, target string) (lintResult, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := execute(context.Background(), []string{"lint", "-o", "json", target}, strings.NewReader(""), &out, &errs)
	var r lintResult
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatalf("%v\n%s%s", err, out.String(), errs.String())
	}
	return r, code
}

func TestLintOfAnIssuerFollowsDiscovery(t *testing.T) {
	t.Parallel()
	for name, at := range map[string]string{
		"OpenID Connect": "/.well-known/openid-configuration",
		"RFC 8414":       "/.well-known/oauth-authorization-server",
	} {
		url := issuerAt(t, at, "")
		for _, target := range []string{url, url + at} {
			r, code := linted(t, target)
			if code != exitOK || len(r.Keys) != 1 || r.JWKSURI == nil {
				t.Errorf("%s: %s: exit code %d, %+v", name, target, code, r)
				continue
			}
			if *r.JWKSURI != url+"/keys?session=***" {
				t.Errorf("%s: jwks_uri is shown as %s", name, *r.JWKSURI)
			}
		}
	}
}

func TestLintTellsAnotherIssuer(t *testing.T) {
	t.Parallel()
	url := issuerAt(t, "/.well-known/openid-configuration", "http://someone-else.example")
	r, code := linted(t, url)
	if code != exitFindings || len(r.Findings) != 1 || r.Findings[0].Type != event.DiscoveryIssuerMismatch {
		t.Errorf("exit code %d, %+v", code, r)
	}
}

func TestLintOfAPageWithoutDiscovery(t *testing.T) {
	t.Parallel()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, "<html>welcome")
	}))
	t.Cleanup(s.Close)
	if r, code := linted(t, s.URL); code != exitFindings || r.JWKSURI != nil || r.Findings[0].Type != event.DocumentInvalid {
		t.Errorf("exit code %d, %+v", code, r)
	}
	if r, code := linted(t, s.URL+"/nothing"); code != exitBlind || r.Error == nil {
		t.Errorf("exit code %d, %+v", code, r)
	}
}

func TestLintKnowsASchemeInCapitals(t *testing.T) {
	t.Parallel()
	url := issuerAt(t, "/.well-known/openid-configuration", "")
	if r, code := linted(t, strings.Replace(url, "http:", "HTTP:", 1)+"/keys"); code != exitOK || len(r.Keys) != 1 {
		t.Errorf("exit code %d, %+v", code, r)
	}
}

func TestLintTellsAnUnusableDocumentFromNone(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	mux.HandleFunc("GET /tenant/.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":"/keys"}`, s.URL+"/tenant")
	})
	r, code := linted(t, s.URL+"/tenant")
	if code != exitBlind || r.Error == nil || !strings.HasSuffix(*r.Error, "no discovery document that can be used") || len(r.Notes) != 1 {
		t.Errorf("exit code %d, %+v", code, r)
	}
	if r, _ := linted(t, s.URL+"/other"); r.Error == nil || !strings.HasSuffix(*r.Error, "no discovery document") {
		t.Errorf("%+v", r)
	}
}
