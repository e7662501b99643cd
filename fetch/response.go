package fetch

import (
	"crypto/sha256"
	"encoding/binary"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Response is one answer and the evidence of the connection that brought it.
// Texts of headers and certificates are the issuer's: they are capped and
// cleaned as event.Text does.
type Response struct {
	Body []byte // as on the wire; may alias the buffer given to Get
	// BodySHA256 is of Body, whatever it holds. When the body turns out to hold a
	// secret it must not leave the process.
	BodySHA256 [32]byte
	Status     int
	// Truncated says that Body is not all there was. It is never set with 200.
	Truncated bool
	URL       string // of the document, after redirects, as MaskURL shows it

	ETag            string
	CacheControl    string
	ContentType     string
	ContentEncoding string // anything but "" and "identity" was not asked for; Body is still encoded
	Age             string
	AgeSeconds      int64 // of Age, when HasAge
	HasAge          bool
	Date            string
	LastModified    string
	Location        string // of a redirect that was not followed, as MaskURL shows it
	RetryAfter      string
	MaxAge          time.Duration // max-age of Cache-Control, when HasMaxAge
	HasMaxAge       bool
	// StaleWhileRevalidate is how long after MaxAge a cache may go on (RFC 5861).
	StaleWhileRevalidate time.Duration
	// Stale says that a cache serves what it should not: Age is more than a
	// minute beyond the time of freshness and StaleWhileRevalidate. It is never
	// set without both Age and max-age.
	Stale bool
	// Redirect is set for a 3xx that was not followed, except 304.
	Redirect *Redirect

	RemoteAddr    string // address and port, of the proxy when Proxied; "" when a Dial hook gave none
	Proxied       bool
	HasTLS        bool
	TLSVersion    string   // "1.3", "1.2"; "" for plain http
	LeafSPKI      [32]byte // SHA-256 of the leaf's SubjectPublicKeyInfo
	LeafIssuer    string   // RFC 2253 form
	LeafNotBefore time.Time
	LeafNotAfter  time.Time

	Duration time.Duration // from the call of Get to the last octet

	asked string // the URL unmasked, for Key alone
}

// Key tells whether anything that matters changed since another answer of the
// same target: body, status, leaf key, URL, content type, cache control, content
// encoding and Stale. ETag, Date and Age differ between two nodes that serve the
// same set, so they are not part of it.
func (r *Response) Key() [32]byte {
	var space [512]byte // on the stack; longer headers spill to the heap
	b := append(space[:0], r.BodySHA256[:]...)
	b = append(b, r.LeafSPKI[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(r.Status))
	if r.Stale {
		b = append(b, 1)
	} else {
		b = append(b, 0)
	}
	for _, s := range [...]string{r.URL, r.asked, r.ContentType, r.CacheControl, r.ContentEncoding} {
		// The length keeps two neighbours apart: "a","bc" is not "ab","c".
		b = binary.BigEndian.AppendUint64(b, uint64(len(s)))
		b = append(b, s...)
	}
	return sha256.Sum256(b)
}

// headers keeps what the headers say. A server may send back what the request
// brought: secrets of the target are taken out.
func (r *Response) headers(h http.Header, t Target) {
	fact := func(h http.Header, canonical string) string { return scrub(fact(h, canonical), t) }
	r.ETag = fact(h, "Etag")
	r.CacheControl = fact(h, "Cache-Control")
	r.ContentType = fact(h, "Content-Type")
	r.ContentEncoding = fact(h, "Content-Encoding")
	r.Age = fact(h, "Age")
	r.Date = fact(h, "Date")
	r.LastModified = fact(h, "Last-Modified")
	r.RetryAfter = fact(h, "Retry-After")
	if location := h.Get("Location"); location != "" {
		r.Location = event.Text(scrub(MaskURL(location), t))
	}
	r.freshness()
}

// fact returns a header that may stand on several lines as one text (RFC 9110,
// section 5.3).
func fact(h http.Header, canonical string) string {
	switch values := h[canonical]; len(values) {
	case 0:
		return ""
	case 1:
		return event.Text(values[0])
	default:
		return event.Text(strings.Join(values, ", "))
	}
}

func (r *Response) connection(c *conn) {
	if c == nil {
		return
	}
	r.RemoteAddr = c.remote
	r.HasTLS = c.hasTLS
	r.TLSVersion = c.version
	r.LeafSPKI = c.spki
	r.LeafIssuer = c.issuer
	r.LeafNotBefore, r.LeafNotAfter = c.notBefore, c.notAfter
}

// readBody reads to the end or to one octet beyond the limit, into buf as far
// as it reaches. length is what the peer announced, -1 for nothing: it is
// believed for a first allocation of 64 KiB at most.
func readBody(r io.Reader, buf []byte, length, limit int64) (body []byte, over bool, err error) {
	body = buf[:0]
	if want := min(length, limit, 64<<10) + 1; length >= 0 && int64(cap(body)) < want {
		body = make([]byte, 0, want)
	}
	for {
		if len(body) == cap(body) {
			body = slices.Grow(body, 512)
		}
		room := body[len(body):min(int64(cap(body)), limit+1)]
		n, err := r.Read(room)
		body = body[:len(body)+n]
		if int64(len(body)) > limit {
			return body[:limit], true, nil
		}
		if err == io.EOF {
			return body, false, nil
		}
		if err != nil {
			return body, false, err
		}
	}
}
