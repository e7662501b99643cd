package web

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"net"
	"net/http"
	"strings"
)

// names are the hosts that a request may name.
type names struct {
	listen      string // the host of Listen, "" for all addresses
	loopback    bool
	certificate *x509.Certificate // nil without TLS
}

// allow judges the Host header of a request that came to the address at.
//
// A page of an attacker can point its own name at 127.0.0.1 and then read what
// answers there as if it were its own (DNS rebinding). The browser still says
// that name in Host. An attacker cannot rebind an IP literal, so the literal of
// the very address that was reached is fine, which a kubelet needs.
func (n names) allow(hostport string, at net.Addr) bool {
	host := hostport
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		host = h
	} else {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if host == "" {
		return false
	}
	if ip := net.ParseIP(host); ip != nil {
		if a, ok := at.(*net.TCPAddr); ok && a.IP.Equal(ip) {
			return true
		}
	}
	if n.loopback && (strings.EqualFold(host, "localhost") || host == "127.0.0.1" || host == "::1") {
		return true
	}
	if strings.EqualFold(host, n.listen) {
		return true
	}
	return n.certificate != nil && n.certificate.VerifyHostname(host) == nil
}

// guard answers what must not reach the handlers.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		at, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case !s.hosts.allow(r.Host, at):
			http.Error(w, "this server has another name", http.StatusMisdirectedRequest)
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			http.Error(w, "only GET and HEAD", http.StatusMethodNotAllowed)
		case !s.authorised(r):
			h.Set("WWW-Authenticate", `Bearer realm="jwkswatch"`)
			http.Error(w, "a token is needed", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// authorised compares hashes, so that the time taken depends on neither the
// token nor its length.
func (s *Server) authorised(r *http.Request) bool {
	if s.Token == "" || r.URL.Path == "/livez" || r.URL.Path == "/readyz" {
		return true
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	want, got := sha256.Sum256([]byte(s.Token)), sha256.Sum256([]byte(token))
	// RFC 9110 section 11.1: the name of a scheme is case-insensitive.
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}
