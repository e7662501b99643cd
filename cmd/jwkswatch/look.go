package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// linter looks at targets. URLs go the way of the daemon's polls.
type linter struct {
	in      io.Reader
	client  *fetch.Client
	private bool
	timeout time.Duration
	clock   []time.Duration // how far the Date of each answer lies back
	missed  error           // why the last discovery document was none
}

// read gets the key set of a target.
func (l *linter) read(ctx context.Context, r *lintResult, target string) ([]byte, error) {
	if !isURL(target) {
		return readFile(l.in, target)
	}
	r.Target = fetch.MaskURL(target)
	t := fetch.Target{
		URL: target, Timeout: l.timeout, Policy: fetch.Policy{AllowPrivate: l.private || namesPrivate(target)},
	}
	if err := t.Prepare(); err != nil {
		return nil, err
	}
	return l.look(ctx, r, t)
}

// look gets the key set from a URL of keys, of a discovery document, or of an issuer.
func (l *linter) look(ctx context.Context, r *lintResult, t fetch.Target) ([]byte, error) {
	body, status, err := l.get(ctx, t)
	if err != nil {
		return nil, err
	}
	if status == 200 && jwks.Parse(body).Usable() {
		return body, nil
	}
	// A discovery document itself names its issuer; any other answer may come
	// from an issuer that has one.
	if m, err := fetch.ParseMetadata(body); status == 200 && err == nil {
		return l.follow(ctx, r, t, m)
	}
	if m, ok := l.discover(ctx, r, t); ok {
		return l.follow(ctx, r, t, m)
	}
	switch {
	case status != 200 && len(r.Notes) > 0:
		return nil, fmt.Errorf("HTTP status %d, and no discovery document that can be used", status)
	case status != 200:
		return nil, fmt.Errorf("HTTP status %d, and no discovery document", status)
	}
	return body, nil
}

// isURL reports whether a target is asked over the network. Letters of a scheme
// do not count (RFC 3986, section 3.1), nor do they in the configuration.
func isURL(target string) bool {
	scheme, _, ok := strings.Cut(target, "://")
	return ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http"))
}

func (l *linter) get(ctx context.Context, t fetch.Target) (body []byte, status int, err error) {
	resp, err := l.client.Get(ctx, t, nil)
	if at, err := http.ParseTime(resp.Date); err == nil {
		l.clock = append(l.clock, time.Since(at))
	}
	return resp.Body, resp.Status, err
}

// discover asks an issuer for its discovery document.
func (l *linter) discover(ctx context.Context, r *lintResult, issuer fetch.Target) (fetch.Metadata, bool) {
	urls, err := fetch.DiscoveryURLs(issuer.URL)
	if err != nil {
		l.missed = err // with a query it is no issuer
		return fetch.Metadata{}, false
	}
	for _, u := range urls {
		t := issuer
		t.URL = u
		if l.missed = t.Prepare(); l.missed != nil {
			continue
		}
		body, status, err := l.get(ctx, t)
		if err == nil && status != 200 {
			err = fmt.Errorf("HTTP status %d", status)
		}
		if err != nil {
			l.missed = err
			continue
		}
		m, err := fetch.ParseMetadata(body)
		if err != nil {
			r.Notes = append(r.Notes, fmt.Sprintf("%s: %s", terminal(fetch.MaskURL(u)), terminal(err.Error())))
			continue
		}
		// A slash at the end is a slip of who typed the target; the daemon, which
		// knows the configured issuer, is stricter.
		if equal, slash := fetch.SameIssuer(issuer.URL, m.Issuer); !equal && !slash {
			r.Findings = append(r.Findings, findingRow{
				Type: event.DiscoveryIssuerMismatch, Severity: event.SeverityHigh, Codes: []string{"different"},
				Message: fmt.Sprintf("the discovery document is that of another issuer, %q", event.Text(m.Issuer)),
			})
		}
		return m, true
	}
	return fetch.Metadata{}, false
}

// follow gets the key set that a discovery document names.
func (l *linter) follow(ctx context.Context, r *lintResult, issuer fetch.Target, m fetch.Metadata) ([]byte, error) {
	r.JWKSURI = new(event.Text(fetch.MaskURL(m.JWKSURI)))
	t, err := issuer.Discovered(m.JWKSURI)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	body, status, err := l.get(ctx, t)
	if err != nil {
		return nil, fmt.Errorf("jwks_uri: %w", err)
	}
	if status != 200 {
		return nil, fmt.Errorf("jwks_uri: HTTP status %d", status)
	}
	return body, nil
}

// namesPrivate reports whether the URL itself names a loopback or private
// address: whoever types it means it. A name that resolves to one does not.
func namesPrivate(target string) bool {
	u, err := url.Parse(target)
	if err != nil {
		return false
	}
	if u.Hostname() == "localhost" {
		return true
	}
	a, err := netip.ParseAddr(u.Hostname())
	return err == nil && (a.Unmap().IsLoopback() || a.Unmap().IsPrivate())
}
