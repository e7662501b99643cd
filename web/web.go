// Package web serves what a machine asks a running agent over HTTP: /metrics,
// /livez and /readyz. It reads only: nothing here changes anything, so there is
// no session, no cookie and nothing to forge.
//
// It trusts neither the network nor the browser on the same machine: a listener
// that others can reach needs TLS and a token, and every request must name the
// host that it came to.
package web

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	stdlog "log"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/net/netutil"

	"github.com/jwkswatch/jwkswatch/event"
)

// Server answers over HTTP. Its exported fields must not change once Open or
// Run was called.
type Server struct {
	Listen string // host:port; port 0 takes a free one
	// CertPEM and KeyPEM are the chain and the key to serve HTTPS with, in PEM;
	// both or none.
	CertPEM, KeyPEM []byte
	// Token, if not empty, must come as "Authorization: Bearer …" with every
	// request but those of /livez and /readyz: they tell a few fixed words, and a
	// kubelet has no token.
	Token string

	Snapshot func(ctx context.Context) Metrics // asked for each scrape
	// Alive is when the scheduler's loop last turned. The loop must turn every few
	// seconds, also when no endpoint is due.
	Alive    func() time.Time
	Writable func(ctx context.Context) error // tries the state; asked at most every ten seconds
	Log      zerolog.Logger                  // operations

	ready probe

	mu       sync.Mutex
	listener net.Listener
	hosts    names
}

// The limits of one listener. A scrape is a request a minute and a probe one
// every few seconds: whatever needs more is no friend.
const (
	maxConns      = 64
	maxHeader     = 8 << 10 // octets of a request's line and headers
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 30 * time.Second // short: an idle connection holds one of few places
	stopTimeout   = 5 * time.Second  // for the answers under way at the end
)

// Open binds the address, so that a start fails at once where it must. It may
// be left to Run. Errors: a source is missing, the address cannot be bound, the
// certificate or the token cannot be used, or others could reach the listener
// and there is no TLS or no token.
func (s *Server) Open() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return nil
	}
	if s.Snapshot == nil || s.Alive == nil || s.Writable == nil {
		return errors.New("web: Snapshot, Alive and Writable must be set")
	}
	// Only these octets can come in a header (RFC 6750 section 2.1 allows fewer
	// still): with any other the token would never match.
	if strings.ContainsFunc(s.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("web: the token holds a space or an octet that is no visible ASCII")
	}
	config, err := s.tls()
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", s.Listen)
	if err != nil {
		return fmt.Errorf("web: %w", err)
	}
	addr := l.Addr().(*net.TCPAddr)
	// The bound address is judged, not the text: what localhost means is the
	// resolver's word.
	if !addr.IP.IsLoopback() && (config == nil || s.Token == "") {
		return errors.Join(
			fmt.Errorf("web: others can reach %s: it needs TLS and a token, or listen on 127.0.0.1", addr), l.Close())
	}
	if host, _, _ := net.SplitHostPort(s.Listen); !net.ParseIP(host).IsUnspecified() {
		s.hosts.listen = host
	}
	s.hosts.loopback = addr.IP.IsLoopback()
	l = netutil.LimitListener(l, maxConns)
	if config != nil {
		l = tls.NewListener(l, config)
	}
	s.listener = l
	return nil
}

// tls is nil without a certificate.
func (s *Server) tls() (*tls.Config, error) {
	if len(s.CertPEM) == 0 && len(s.KeyPEM) == 0 {
		return nil, nil
	}
	pair, err := tls.X509KeyPair(s.CertPEM, s.KeyPEM)
	if err != nil {
		return nil, fmt.Errorf("web: reading the certificate and its key: %w", err)
	}
	s.hosts.certificate = pair.Leaf
	return &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"},
	}, nil
}

// Addr is the address that is listened on, "" before Open.
func (s *Server) Addr() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Run serves until the context ends, then lets the answers under way end for at
// most five seconds, and returns nil. Errors: those of Open, or the listener
// failed.
func (s *Server) Run(ctx context.Context) error {
	if err := s.Open(); err != nil {
		return err
	}
	defer s.ready.end()
	server := &http.Server{
		Handler: s.handler(), DisableGeneralOptionsHandler: true,
		// net/http lets 4 KiB more through than it is told.
		MaxHeaderBytes:    maxHeader - 4<<10,
		ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		ErrorLog: stdlog.New(complaints{s.Log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute})}, "", 0),
	}
	server.Protocols = new(http.Protocols)
	server.Protocols.SetHTTP1(true) // one request a connection at a time: maxConns bounds both
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(s.listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("web: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		_ = server.Close() // who is still there is slower than the grace
	}
	<-failed
	return nil
}

// complaints takes what net/http says of its clients: their words, so they are
// cut and cleaned, and few of them are kept.
type complaints struct{ log zerolog.Logger }

func (c complaints) Write(b []byte) (int, error) {
	c.log.Warn().Str("text", event.Text(strings.TrimSpace(string(b)))).Msg("web: a request failed")
	return len(b), nil
}
