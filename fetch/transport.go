package fetch

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// laneKey is a policy by its content: a thousand endpoints that read the same
// CA file have a thousand policies in memory, and one lane.
type laneKey struct {
	private bool
	tls     [32]byte
	proxy   string
}

func (p Policy) key() laneKey { return laneKey{p.AllowPrivate, p.TLS.Digest(), p.Proxy} }

// lane is what requests of one policy share.
type lane struct {
	pooled, fresh *http.Transport
	header        http.Header // of a request without extra headers; never written after
	used          uint64
}

// lane returns the lane of a policy and makes it on first use. When there are
// too many, the one used least recently is closed.
func (c *Client) lane(p Policy) *lane {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uses++
	key := p.key()
	if l := c.lanes[key]; l != nil {
		l.used = c.uses
		return l
	}
	limit := c.limit
	if limit <= 0 {
		limit = maxLanes
	}
	if len(c.lanes) >= limit {
		var oldest laneKey
		least := c.uses
		for key, l := range c.lanes {
			if l.used < least {
				oldest, least = key, l.used
			}
		}
		c.lanes[oldest].pooled.CloseIdleConnections()
		delete(c.lanes, oldest)
	}
	if c.lanes == nil {
		c.lanes = make(map[laneKey]*lane)
	}
	l := c.newLane(p)
	l.used = c.uses
	c.lanes[key] = l
	return l
}

// agent is the User-Agent.
func (c *Client) agent() string {
	if c.UserAgent == "" {
		return "jwkswatch"
	}
	return c.UserAgent
}

func (c *Client) newLane(p Policy) *lane {
	return &lane{
		pooled: c.newTransport(p, 1),
		// A negative number: no connection is ever put into the pool, and so none
		// taken. DisableKeepAlives would do that too, but announces it with
		// "Connection: close", and an issuer must not be able to tell a confirming
		// fetch from the header.
		fresh: c.newTransport(p, -1),
		header: http.Header{
			"Accept": {"application/jwk-set+json, application/json"},
			// Evidence is the octets on the wire, and a bomb stays small.
			"Accept-Encoding": {"identity"},
			"User-Agent":      {c.agent()},
		},
	}
}

func (c *Client) newTransport(p Policy, idlePerHost int) *http.Transport {
	// HTTP/1.1 alone: cheaper for one small document, and none of the floods of
	// HTTP/2.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:            c.dialer(p),
		DialTLSContext:         c.tlsDialer(p),
		Protocols:              protocols,
		DisableCompression:     true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    idlePerHost,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxHeader,
		// Not smaller: a typical set then takes one read more, which costs more
		// than the 2 KiB of at most MaxIdleConns connections.
		ReadBufferSize:  4 << 10,
		WriteBufferSize: 1 << 10,
	}
}

func (l *lane) transport(fresh bool) *http.Transport {
	if fresh {
		return l.fresh
	}
	return l.pooled
}

// headers returns the headers of a request. Without extra ones it is the
// lane's own map, which the transport only reads.
func (l *lane) headers(extra http.Header) http.Header {
	if len(extra) == 0 {
		return l.header
	}
	h := make(http.Header, len(l.header)+len(extra))
	maps.Copy(h, l.header)
	for name, values := range extra {
		h[http.CanonicalHeaderKey(name)] = values
	}
	return h
}

// conn is a connection with the evidence taken when it was made, so that a poll
// over a warm connection does not make it again.
type conn struct {
	net.Conn
	remote  string
	hasTLS  bool
	version string
	spki    [32]byte
	issuer  string

	notBefore, notAfter time.Time
	made                time.Time
}

type dialFunc func(ctx context.Context, network, addr string) (net.Conn, error)

// dialer returns the guarded dialer of a policy, to the target or to the proxy.
// It makes a *conn, and its errors are *Error.
func (c *Client) dialer(p Policy) dialFunc {
	if p.Proxy != "" {
		return c.proxyDialer(p.Proxy)
	}
	return c.directDialer(p)
}

func (c *Client) directDialer(p Policy) dialFunc {
	dial := dialFunc(c.Dial)
	if dial == nil {
		d := &net.Dialer{
			Timeout:  dialTimeout,
			Resolver: c.Resolver,
			// After resolution, for each address that is tried: a name that
			// resolves to something else the second time gains nothing.
			ControlContext: p.control,
			KeepAlive:      -1, // idle connections live 90 s at most
		}
		dial = d.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		nc, err := dial(ctx, network, pin(ctx, addr))
		if err != nil {
			return nil, dialError(err)
		}
		made := &conn{Conn: nc, made: time.Now()}
		if a := nc.RemoteAddr(); a != nil {
			made.remote = a.String()
		}
		return made, nil
	}
}

// tlsDialer adds a full handshake with the target.
func (c *Client) tlsDialer(p Policy) dialFunc {
	dial, config := c.dialer(p), p.TLS.config(c.Roots)
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, &Error{Phase: PhaseDial, Err: err}
		}
		nc, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		made := nc.(*conn)
		if p.Proxy != "" {
			if err := tunnel(made.Conn, addr, c.agent()); err != nil {
				_ = made.Close()
				return nil, err
			}
		}
		tc, err := handshake(ctx, made.Conn, config, host)
		if err != nil {
			return nil, err
		}
		made.witness(tc.ConnectionState())
		made.Conn = tc
		return made, nil
	}
}

// handshake is a full handshake. It closes the connection when it fails.
func handshake(ctx context.Context, nc net.Conn, config *tls.Config, host string) (*tls.Conn, error) {
	config = config.Clone()
	config.ServerName = host
	tc := tls.Client(nc, config)
	// The transport detaches a dial from the request that asked for it, so the
	// deadline of the request does not end a stalled handshake.
	ctx, cancel := context.WithTimeout(ctx, tlsTimeout)
	defer cancel()
	if err := tc.HandshakeContext(ctx); err != nil {
		_ = nc.Close()
		return nil, tlsError(err)
	}
	return tc, nil
}

// witness keeps what a handshake showed.
func (c *conn) witness(s tls.ConnectionState) {
	c.hasTLS = true
	c.version = strings.TrimPrefix(tls.VersionName(s.Version), "TLS ")
	if len(s.PeerCertificates) == 0 {
		return
	}
	leaf := s.PeerCertificates[0]
	c.spki = sha256.Sum256(leaf.RawSubjectPublicKeyInfo)
	c.issuer = event.Text(leaf.Issuer.String())
	c.notBefore, c.notAfter = leaf.NotBefore, leaf.NotAfter
}
