package watcher

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/rules"
)

// facts are what the way of an answer showed.
func facts(l *look, r *fetch.Response, set *jwks.Set) *rules.Facts {
	f := &rules.Facts{
		Evidence: transport(r, set), Host: hostOf(l.target.URL), ContentType: r.ContentType, CacheControl: r.CacheControl,
		MaxAge: r.MaxAge, HasMaxAge: r.HasMaxAge, Age: time.Duration(r.AgeSeconds) * time.Second, Stale: r.Stale, Discovery: l.facts,
	}
	if r.HasTLS {
		f.LeafSPKI, f.LeafIssuer = hex.EncodeToString(r.LeafSPKI[:]), r.LeafIssuer
		f.LeafNotBefore, f.LeafNotAfter = r.LeafNotBefore, r.LeafNotAfter
	}
	return f
}

func statusError(status int) error {
	return &fetch.Error{Phase: fetch.PhaseStatus, Err: fmt.Errorf("HTTP status %d", status)}
}

// fault is a poll without an answer, as the next of the row of failures that
// before is the last of; nil begins a row.
func (w *Watcher) fault(ctx context.Context, s *slot, before *rules.Failure, t *fetch.Target, r *fetch.Response, cause error, now time.Time) *rules.Failure {
	f := &rules.Failure{
		Phase: string(fetch.PhaseRead), Error: event.Text(cause.Error()), Count: 1, Since: now,
		Host: hostOf(t.URL), Evidence: failed(t, r), Row: 1, RowSince: now,
	}
	if e, ok := errors.AsType[*fetch.Error](cause); ok {
		f.Phase, f.Code, f.Alias = string(e.Phase), code(e.Code), e.Alias
		if leaf := e.Leaf; leaf != nil {
			f.LeafSPKI, f.LeafIssuer, f.LeafNotAfter = hex.EncodeToString(leaf.SPKI[:]), leaf.Issuer, leaf.NotAfter
			f.Platform = leaf.Platform
		}
		f.Redirect = redirect(e.Redirect)
	}
	switch r.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests:
		f.Code = "blocked"
	}
	if r.Redirect != nil {
		f.Code, f.Redirect = string(fetch.CodeRedirect), redirect(r.Redirect)
	}
	if before != nil {
		// No later than now: a clock that was set back would make the row endless.
		f.Count, f.Since = before.Count+1, earlier(before.Since, now)
		if before.Code == f.Code {
			f.Row, f.RowSince = before.Row+1, earlier(before.RowSince, now)
		}
	}
	if f.Code == string(fetch.CodeNXDomain) {
		f.OthersResolve = w.othersResolve(ctx, s, f.Host, now)
	}
	return f
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// code is what the rules know a failure by. A name without an address is one
// that its owner still holds.
func code(c fetch.Code) string {
	if c == fetch.CodeNoAddress {
		return ""
	}
	return string(c)
}

func redirect(r *fetch.Redirect) *rules.Redirect {
	if r == nil {
		return nil
	}
	return &rules.Redirect{Status: r.Status, Location: r.Location, CrossHost: r.CrossHost, Downgrade: r.Downgrade}
}

// hostOf is the host name of a URL that was checked, in lower case.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// othersResolve reports whether the resolver answers for other names: an
// endpoint with another name was polled well lately, or the resolver says so.
func (w *Watcher) othersResolve(ctx context.Context, s *slot, host string, now time.Time) bool {
	since := now.Add(-max(5*time.Minute, 2*s.e.Interval))
	for _, o := range w.slots() {
		if o == s {
			continue
		}
		o.mu.Lock()
		other, good := o.want.host, o.lastGood
		o.mu.Unlock()
		if other == host || good.Before(since) {
			continue
		}
		if _, err := netip.ParseAddr(other); err != nil { // an address needs no resolver
			return true
		}
	}
	return w.Fetch.ResolverAnswers(ctx, host)
}

// transport is the evidence of an answer. The hash of a body that held a
// secret would be a hash of the secret.
func transport(r *fetch.Response, set *jwks.Set) *event.Transport {
	t := &event.Transport{
		URL: fetch.MaskURL(r.URL), Status: new(r.Status),
		ETag: event.TextOrNil(r.ETag), CacheControl: event.TextOrNil(r.CacheControl), ContentType: event.TextOrNil(r.ContentType),
		RemoteAddr: text(r.RemoteAddr), TLSVersion: text(r.TLSVersion), LeafIssuer: event.TextOrNil(r.LeafIssuer),
		BodyBytes: new(int64(len(r.Body))), DurationMS: r.Duration.Milliseconds(),
	}
	if r.HasMaxAge {
		t.MaxAgeS = new(int64(r.MaxAge / time.Second))
	}
	if r.HasTLS {
		t.LeafSPKISHA256 = new(hex.EncodeToString(r.LeafSPKI[:]))
	}
	if set != nil && !set.HeldSecret {
		t.BodySHA256 = new(hex.EncodeToString(r.BodySHA256[:]))
	} else {
		t.ETag = nil // of a static file it is a hash of the body too
	}
	return t
}

// failed is the evidence of a poll without an answer.
func failed(asked *fetch.Target, r *fetch.Response) *event.Transport {
	t := &event.Transport{URL: fetch.MaskURL(asked.URL), RemoteAddr: text(r.RemoteAddr), DurationMS: r.Duration.Milliseconds()}
	if r.Status != 0 {
		t.Status = new(r.Status)
	}
	return t
}
