package fetch

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// Redirects says which redirects are followed.
type Redirects uint8

// The kinds of redirects followed.
const (
	NoRedirects Redirects = iota // none: a redirect is the answer
	// SameHost follows up to three redirects that stay at scheme, host and port.
	// Any other one is the answer.
	SameHost
)

const maxHops = 3

// Redirect is a redirect that was not followed.
type Redirect struct {
	Status    int
	Location  string // as MaskURL shows it, cleaned; "" when there was none
	CrossHost bool   // it leads to another host name
	Downgrade bool   // it leads from https to http

	next *url.URL // where SameHost may go on; nil for nowhere
}

// redirect reads a redirect, nil for other answers. A 304 is no redirect.
func redirect(t *Target, status int, h http.Header) *Redirect {
	if status < 300 || status > 399 || status == http.StatusNotModified {
		return nil
	}
	r := &Redirect{Status: status}
	locations := h["Location"]
	if len(locations) == 0 {
		return r
	}
	r.Location = scrub(event.Text(MaskURL(locations[0])), *t)
	u, err := t.url.Parse(locations[0])
	if err != nil {
		return r
	}
	r.CrossHost = !strings.EqualFold(u.Hostname(), t.url.Hostname())
	r.Downgrade = t.url.Scheme == "https" && u.Scheme == "http"
	followed := []int{
		http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect,
	}
	if len(locations) != 1 || !slices.Contains(followed, status) || !sameOrigin(t.url, u) {
		return r
	}
	u.Fragment, u.RawFragment = "", "" // RFC 9110, section 10.2.2 allows one; it is never sent
	if next, err := parseURL(u.String()); err == nil {
		r.next = next
	}
	return r
}

// follow goes on from a redirect as SameHost says. Each hop is a request like
// the first one: same lane, so same guard, and same limits and deadline.
func (l *lane) follow(ctx context.Context, t Target, r *Response, x *exchange) error {
	asked := []string{t.url.String()}
	for r.Redirect != nil && r.Redirect.next != nil {
		next := r.Redirect.next.String()
		switch {
		case slices.Contains(asked, next):
			return redirectError(r.Redirect, errors.New("redirects in a loop"))
		case len(asked) > maxHops:
			return redirectError(r.Redirect, fmt.Errorf("more than %d redirects", maxHops))
		}
		asked = append(asked, next)
		t.aim(r.Redirect.next)
		// The rest of the address is the issuer's, so it is cleaned.
		t.URL, t.masked = next, event.Text(MaskURL(next))
		x.served = nil
		if err := l.ask(ctx, &t, r.Body[:0], r); err != nil {
			return err
		}
	}
	return nil
}

func redirectError(last *Redirect, err error) error {
	return &Error{Phase: PhaseStatus, Code: CodeRedirect, Redirect: last, Err: err}
}

// sameOrigin reports whether two URLs have the same scheme, host and port (RFC
// 6454, section 5).
func sameOrigin(a, b *url.URL) bool {
	return a.Scheme == b.Scheme && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case u.Scheme == "https":
		return "443"
	default:
		return "80"
	}
}
