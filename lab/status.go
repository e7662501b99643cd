package lab

import (
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// Status sends a status with a header and a body and nothing of the set. Where
// HTTP forbids a body (204 and 304) none is sent.
func Status(code int, header http.Header, body string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		setHeader(w.Header(), header)
		w.WriteHeader(code)
		if code != http.StatusNoContent && code != http.StatusNotModified {
			_, _ = w.Write([]byte(body))
		}
	}
}

// Fixed sends the octets with status 200, whatever is published.
func Fixed(contentType, body string) Answer {
	return func(w http.ResponseWriter, _ *http.Request, _ []byte) {
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write([]byte(body))
	}
}

// HTMLLogin is the commonest lie of all: a page with status 200.
func HTMLLogin() Answer {
	return Fixed("text/html; charset=utf-8", "<!DOCTYPE html>\n<html><head><title>Sign in</title></head>"+
		`<body><form method="post" action="/login"><input name="user"><input name="password" type="password"></form></body></html>`)
}

// ErrorJSON is an error with status 200, as some gateways send it.
func ErrorJSON() Answer {
	return Fixed("application/json", `{"error":"temporarily_unavailable","error_description":"upstream timed out"}`)
}

// Redirect sends 302 to any place, relative or absolute.
func Redirect(to string) Answer {
	return Status(http.StatusFound, http.Header{"Location": {to}}, "")
}

// RedirectLoop sends every client to a new address of this same issuer, so that
// a client that only remembers addresses never sees the loop.
func RedirectLoop() Answer {
	return func(w http.ResponseWriter, r *http.Request, _ []byte) {
		n, _ := strconv.Atoi(r.URL.Query().Get("again")) // 0 at first
		to := url.URL{Path: r.URL.Path, RawQuery: "again=" + strconv.Itoa(n+1)}
		w.Header().Set("Location", to.String())
		w.WriteHeader(http.StatusMovedPermanently)
	}
}

// Partial sends 206 with the first half, though no range was asked for.
func Partial() Answer {
	return func(w http.ResponseWriter, _ *http.Request, current []byte) {
		half := len(current) / 2
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Range", "bytes 0-"+strconv.Itoa(half-1)+"/"+strconv.Itoa(len(current)))
		w.WriteHeader(http.StatusPartialContent)
		_, _ = w.Write(current[:half])
	}
}

// SameETag sends the current document under an ETag that never changes, and 304
// to whoever shows it: a client that trusts validators is blind from then on.
func SameETag() Answer {
	const tag = `"v1"`
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		if r.Header.Get("If-None-Match") == tag {
			w.Header().Set("ETag", tag)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		Honest(http.Header{"Etag": {tag}}).give(w, r, current)
	}
}

// StaleCache keeps the first document it sees and sends it for ever, with an Age
// that begins at the given one and grows, past the max-age of an hour: a cache
// that has lost its origin.
func StaleCache(age time.Duration) Answer {
	var (
		once  sync.Once
		kept  []byte
		since time.Time
	)
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		once.Do(func() {
			kept = append(kept, current...)
			since = time.Now().Add(-age)
		})
		seconds := strconv.FormatInt(int64(time.Since(since)/time.Second), 10)
		Honest(http.Header{"Age": {seconds}, "X-Cache": {"HIT"}}).give(w, r, kept)
	}
}

// Discovery answers the two well-known paths of OpenID Connect Discovery and
// RFC 8414 with a metadata document, and everything else by keys. An empty
// issuer or jwksURI is the honest one of this server: its own address, and
// /jwks below it.
func Discovery(issuer, jwksURI string, keys Answer) Answer {
	return func(w http.ResponseWriter, r *http.Request, current []byte) {
		switch r.URL.Path {
		case "/.well-known/openid-configuration", "/.well-known/oauth-authorization-server":
		default:
			keys.give(w, r, current)
			return
		}
		base := "http://" + r.Host
		if r.TLS != nil {
			base = "https://" + r.Host
		}
		id, uri := issuer, jwksURI
		if id == "" {
			id = base
		}
		if uri == "" {
			uri = base + "/jwks"
		}
		Honest(nil).give(w, r, encodeEntry(map[string]any{"issuer": id, "jwks_uri": uri}))
	}
}
