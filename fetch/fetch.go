// Package fetch gets one document from one URL and says what it saw on the way.
// It is the only code that meets a hostile network: every limit, every refusal
// and every piece of evidence about a connection is made here.
//
// What a Client never does: follow a redirect to another origin, use a proxy of
// the environment, keep a cookie, send a Referer, ask conditionally, let the
// transport decompress, resume a TLS session, skip verification, speak HTTP/2.
package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"sync"
	"time"
)

// Limits and defaults. Octets, and durations of one request.
const (
	DefaultTimeout = 15 * time.Second // whole request, trickled bodies included
	DefaultMaxBody = 4 << 20

	// maxOtherBody is read of an answer that is not 200. Its body is for people
	// and can change nothing.
	maxOtherBody = 64 << 10
	// maxHeader counts every 1xx answer too, so a flood of them ends here.
	maxHeader = 64 << 10

	dialTimeout = 5 * time.Second // resolving and connecting, all addresses
	tlsTimeout  = 5 * time.Second

	// maxConnAge is how long a connection is used. A certificate is seen when a
	// connection is made: one that is kept warm for ever would hide that it has
	// expired, or that another host now stands behind the name.
	maxConnAge = 5 * time.Minute

	// maxLanes bounds the transports held: a lane has two.
	maxLanes = 64
)

// Policy is what decides whether two requests may share a connection: requests
// of different policy never do, because a connection made under a looser one
// would pass the guard unseen. Policies are compared by content: two TLS with
// the same digest are the same.
type Policy struct {
	// AllowPrivate lets the target resolve to a loopback, RFC 1918, unique local
	// or shared (RFC 6598) address. Link-local and metadata addresses are never
	// allowed.
	AllowPrivate bool
	// TLS is nil for the system's authorities and no client certificate. Another
	// one is for https alone: over http it would promise what is not kept.
	TLS *TLS
	// Proxy is "" or the URL of an HTTP proxy, as CheckProxy takes it. The proxy
	// resolves and connects, so neither where the target's name leads nor which
	// address answered can be seen or guarded here; an address in the URL itself
	// still is. The proxy's own address may be private: the operator named it.
	Proxy string
}

// Target is one request.
type Target struct {
	URL     string // http or https, checked as CheckURL does
	Policy  Policy
	Timeout time.Duration // of the whole request; 0 means DefaultTimeout
	MaxBody int64         // octets of a 200; 0 means DefaultMaxBody
	Header  http.Header   // extra request headers, checked as CheckHeader does; values are secret
	// Redirects says which ones are followed; the zero value is none.
	Redirects Redirects
	// Fresh makes a connection with a full handshake for this request alone. It
	// comes from no pool, goes into none, and looks the same to the server.
	Fresh bool
	// Addr is the address to ask in place of those that the name has; the zero
	// Addr is none in particular. The guard judges it like any other, the request
	// is as if Fresh were set, and there must be no proxy.
	Addr netip.Addr

	url    *url.URL // of a prepared target
	wire   *url.URL // as the request line has it
	masked string
}

// Prepare checks the target once, so that Get need not for each of many
// requests. URL and Header must not change afterwards.
func (t *Target) Prepare() error {
	u, err := parseURL(t.URL)
	if err != nil {
		return err
	}
	if err := CheckHeader(t.Header); err != nil {
		return err
	}
	if u.Scheme == "http" && t.Policy.TLS.Digest() != [32]byte{} {
		return errors.New("a TLS policy (CA, pins, client certificate) needs https")
	}
	if t.Policy.Proxy != "" {
		if err := CheckProxy(t.Policy.Proxy); err != nil {
			return err
		}
		if err := checkProxied(u, t.Policy); err != nil {
			return err
		}
	}
	t.aim(u)
	t.masked = MaskURL(t.URL)
	return nil
}

// aim sets where the next request goes.
func (t *Target) aim(u *url.URL) {
	t.url, t.wire = u, u
	if t.Policy.Proxy != "" && u.Scheme == "http" {
		t.wire = absolute(u)
	}
}

// Client fetches. Its zero value is ready to use; its fields must not change
// after the first Get, and it must not be copied. It is safe for concurrent use.
type Client struct {
	// UserAgent is sent with each request; "" means "jwkswatch".
	UserAgent string
	// Resolver resolves names; nil means net.DefaultResolver.
	Resolver *net.Resolver
	// Roots are the certificate authorities trusted; nil means the system's.
	Roots *x509.CertPool
	// Dial replaces the guarded dialer, for tests and for issuers inside the
	// process. There may be no socket then, so the address guard does not run:
	// of the guard only the check of the URL is left. Over a net.Pipe, which holds
	// nothing, both ends of a failing handshake wait for each other, and the phase
	// is timeout instead of tls.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	dog   watchdog
	mu    sync.Mutex
	lanes map[laneKey]*lane
	uses  uint64
	limit int // of lanes; 0 means maxLanes
}

// Get makes one request, and those to which redirects lead that the target
// allows. Whatever status is answered is a Response, a redirect that was not
// followed and a 304 as well; only a body that is complete by its own framing is
// handed out for a 200. The error is a *Error, except that a ctx cancelled by the
// caller gives an error that wraps context.Canceled and says nothing about the
// target.
//
// Response.Body may alias buf; hand the same slice to the next Get to read an
// unchanged document without allocating for it. buf may be nil.
func (c *Client) Get(ctx context.Context, t Target, buf []byte) (Response, error) {
	start := time.Now()
	if t.url == nil {
		if err := t.Prepare(); err != nil {
			return Response{}, &Error{Phase: PhaseRefused, Err: err}
		}
	}
	if t.Addr.IsValid() {
		if t.Policy.Proxy != "" {
			return Response{}, &Error{Phase: PhaseRefused, Err: errors.New("a proxy chooses the address")}
		}
		t.Fresh = true // a pooled connection may be to another one
	}
	if t.Timeout <= 0 {
		t.Timeout = DefaultTimeout
	}
	if t.MaxBody <= 0 {
		t.MaxBody = DefaultMaxBody
	}

	reqCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := c.dog.watch(start.Add(t.Timeout), cancel)
	defer w.release()
	var x exchange
	x.trace.GotConn = x.connected
	traced := httptrace.WithClientTrace(towards(reqCtx, &t), &x.trace)
	l := c.lane(t.Policy)
	var r Response
	err := l.ask(traced, &t, buf, &r)
	if err == nil && r.Redirect != nil && t.Redirects == SameHost {
		err = l.follow(traced, t, &r, &x)
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled) && (err != nil || r.Truncated):
		return Response{}, fmt.Errorf("fetch stopped by its caller: %w", ctx.Err())
	case err != nil:
		e := describe(t, x.served, time.Since(start), err)
		if c.unfound(t, e) {
			e.Code, e.Alias = c.missing(reqCtx, t.url.Hostname())
		}
		return Response{}, e
	}
	r.connection(x.served)
	r.Proxied = t.Policy.Proxy != ""
	now := time.Now()
	r.Duration = now.Sub(start)
	if x.served != nil && now.Sub(x.served.made) > maxConnAge {
		_ = x.served.Close() // the transport sees it, and drops it from its pool
	}
	return r, nil
}

// ask makes one request and reads its answer into r.
func (l *lane) ask(ctx context.Context, t *Target, buf []byte, r *Response) error {
	req := (&http.Request{
		Method: http.MethodGet, URL: t.wire, Host: t.url.Host,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: l.headers(t.Header),
	}).WithContext(ctx)
	// RoundTrip and not http.Client: no redirects, no jar, no Referer by
	// construction, and a dozen allocations fewer.
	answer, err := l.transport(t.Fresh).RoundTrip(req)
	if err != nil {
		return err
	}
	return receive(t, answer, buf, r)
}

// unfound reports whether the target's own name was looked up here and not
// found.
func (c *Client) unfound(t Target, e *Error) bool {
	dns, ok := errors.AsType[*net.DNSError](e)
	return ok && dns.IsNotFound && e.Phase == PhaseResolve && e.Code == "" && t.Policy.Proxy == "" && c.Dial == nil
}

// exchange is what one request learns on its way.
type exchange struct {
	trace  httptrace.ClientTrace
	served *conn
}

// connected is the only way to learn which connection serves the answer: the
// transport retries by itself when a pooled one turns out to be dead, and the
// last one it got is then the one that counts.
func (x *exchange) connected(info httptrace.GotConnInfo) {
	x.served, _ = info.Conn.(*conn)
}

// CloseIdle closes the pooled connections. Requests under way are not touched.
func (c *Client) CloseIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range c.lanes {
		l.pooled.CloseIdleConnections()
		l.fresh.CloseIdleConnections()
	}
}

// receive reads an answer into a Response and closes it.
func receive(t *Target, answer *http.Response, buf []byte, r *Response) error {
	defer answer.Body.Close()
	*r = Response{Status: answer.StatusCode, URL: t.masked, asked: t.URL}
	r.headers(answer.Header, *t)
	if r.Redirect = redirect(t, answer.StatusCode, answer.Header); r.Redirect != nil {
		r.Location = r.Redirect.Location
	}
	// After 101 the body is the bare connection, which no deadline of the
	// request closes any more: a peer could hold the reader for ever.
	if answer.StatusCode == http.StatusSwitchingProtocols {
		r.Truncated = true
		r.BodySHA256 = sha256.Sum256(nil)
		return nil
	}
	limit := int64(maxOtherBody)
	if answer.StatusCode == http.StatusOK {
		limit = t.MaxBody
		if answer.ContentLength > limit {
			return tooLarge(limit)
		}
	}
	body, over, err := readBody(answer.Body, buf, answer.ContentLength, limit)
	switch {
	case answer.StatusCode != http.StatusOK:
		// The status is the fact. A redirect must not turn into a mere timeout
		// because its body is trickled.
		r.Truncated = over || err != nil
	case err != nil:
		return err
	case over:
		return tooLarge(limit)
	}
	r.Body = body
	r.BodySHA256 = sha256.Sum256(body)
	return nil
}
