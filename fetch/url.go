package fetch

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// masked stands for what must not be shown.
const masked = "***"

// CheckURL reports why a URL cannot be a target: it must be absolute, http or
// https, with a host, without userinfo and fragment, and must not name an
// address that is refused under every policy. Whether a private address is
// allowed is for the policy to say, and where a name leads is seen only when
// dialling. The error never quotes the URL.
func CheckURL(raw string) error {
	_, err := parseURL(raw)
	return err
}

func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil {
		// The error of url.Parse quotes the URL, and what it takes for a port may
		// be a password.
		return nil, errors.New("not a valid URL")
	}
	switch {
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("the URL must begin with https:// or http://")
	case u.User != nil:
		return nil, errors.New("the URL must not hold credentials: send them in a header")
	case u.Hostname() == "":
		return nil, errors.New("the URL has no host")
	case strings.Contains(raw, "#"):
		return nil, errors.New("the URL must not have a fragment: it is never sent")
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the port of the URL is not between 1 and 65535")
		}
	}
	if addr, err := netip.ParseAddr(u.Hostname()); err == nil {
		if r := check(addr, Policy{AllowPrivate: true}); r != nil {
			return nil, r
		}
	}
	return u, nil
}

// MaskURL returns a URL fit to be shown: without userinfo and fragment, and
// with each value in its query masked, because keys and signatures stand there.
func MaskURL(raw string) string {
	if !strings.ContainsAny(raw, "?@#") {
		return raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Opaque != "" {
		return masked
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	if u.RawQuery != "" {
		parts := strings.Split(u.RawQuery, "&")
		for i, part := range parts {
			name, _, named := strings.Cut(part, "=")
			switch {
			case named:
				parts[i] = name + "=" + masked
			case part != "":
				parts[i] = masked
			}
		}
		u.RawQuery = strings.Join(parts, "&")
	}
	return u.String()
}

// queryValues returns the values in the query of a URL, as written and decoded.
func queryValues(raw string) []string {
	_, query, _ := strings.Cut(raw, "?")
	var values []string
	for part := range strings.SplitSeq(query, "&") {
		_, value, named := strings.Cut(part, "=")
		if !named {
			value = part
		}
		values = append(values, value)
		if decoded, err := url.QueryUnescape(value); err == nil && decoded != value {
			values = append(values, decoded)
		}
	}
	return values
}

// CheckHeader reports why a header cannot be an extra one of a request. Those
// that frame the message or belong to the connection are refused, and those
// that make the answer another document: a conditional or partial answer, or
// an encoded one, is not evidence. The error never quotes a value.
func CheckHeader(h http.Header) error {
	for name, values := range h {
		canonical := http.CanonicalHeaderKey(name)
		if !token(name) {
			return errors.New("a header name is not a token (RFC 9110, section 5.6.2)")
		}
		if slices.Contains(ownHeaders(), canonical) || strings.HasPrefix(canonical, "Proxy-") {
			return fmt.Errorf("header %s is not for a configuration to set", canonical)
		}
		for _, value := range values {
			if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
				return fmt.Errorf("the value of header %s holds a control character", canonical)
			}
		}
	}
	return nil
}

func ownHeaders() []string {
	return []string{
		"Accept-Encoding", "Connection", "Content-Length", "Expect", "Host", "If-Match", "If-Modified-Since",
		"If-None-Match", "If-Range", "If-Unmodified-Since", "Keep-Alive", "Range", "Te", "Trailer",
		"Transfer-Encoding", "Upgrade",
	}
}

func token(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alphanumeric := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !alphanumeric && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}
