package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// couriers carry the journal to the sinks. Sinks come and go with the
// configuration; each keeps its cursor in the state.
type couriers struct {
	db       *bolt.DB
	out      io.Writer // of log sinks
	instance string    // name of the observer, for NATS
	log      zerolog.Logger
	lost     func(context.Context, sinks.Report) error

	mu      sync.Mutex
	running map[string]*courier
}

// courier is one delivery that runs.
type courier struct {
	*sinks.Delivery
	config configs.Sink
	close  func() error
	reopen func() // of a file; nil of other sinks
	stop   context.CancelFunc
	done   chan struct{}
	err    error // set before done is closed

	// What it lacked when the state was read last; the overseer's alone.
	pending uint64
	oldest  time.Time
}

// open makes the deliveries of the sinks and fixes the cursors of new ones, so
// that what is committed from now on is theirs, even when they cannot be
// reached for a day. Nothing runs yet; on an error nothing is left open.
func (c *couriers) open(ctx context.Context, list []configs.Sink) (made []*courier, err error) {
	defer func() {
		if err != nil {
			for _, m := range made {
				err = errors.Join(err, m.close())
			}
			made = nil
		}
	}()
	for _, s := range list {
		m, err := c.make(s)
		if err != nil {
			return made, fmt.Errorf("sink %s: %w", s.Name, err)
		}
		made = append(made, m)
		if err := m.Prepare(ctx); err != nil {
			return made, fmt.Errorf("preparing sink %s: %w", s.Name, err)
		}
	}
	return made, nil
}

func (c *couriers) make(s configs.Sink) (*courier, error) {
	least := event.SeverityInformational
	if s.MinSeverity != "" {
		if err := least.UnmarshalText([]byte(s.MinSeverity)); err != nil {
			return nil, err
		}
	}
	m := &courier{
		Delivery: &sinks.Delivery{Store: c.db, From: sinks.From(s.From), MinSeverity: least, Log: c.log, MaxBacklog: uint64(s.MaxBacklog), Lost: c.lost},
		config:   s, close: func() error { return nil }, done: make(chan struct{}),
	}
	form := format.Format(s.Format)
	switch s.Type {
	case configs.TypeLog:
		m.Sink = &sinks.Log{Sink: s.Name, Writer: c.out, Format: form}
	case configs.TypeFile:
		f := &sinks.File{Sink: s.Name, Path: s.File.Path, Format: form, MaxSize: s.File.MaxSize, Keep: int(s.File.Keep)}
		m.Sink, m.close, m.reopen = f, f.Close, f.Reopen
	case configs.TypeSyslog:
		y := &sinks.Syslog{
			Sink: s.Name, Network: s.Syslog.Network(), Address: s.Syslog.HostPort(), Format: form, Facility: s.Syslog.FacilityNumber(), Version: version(),
			TLS: func() (*tls.Config, error) { return tlsOf(s.Syslog.TLS) },
		}
		if _, err := y.TLS(); err != nil {
			return nil, err
		}
		m.Sink, m.close = y, y.Close
	case configs.TypeWebhook:
		if _, err := sinks.ReadWebhookSecrets(s.Webhook.SecretFile); err != nil {
			return nil, err
		}
		client, err := webhookClient(s.Webhook.TLS)
		if err != nil {
			return nil, err
		}
		w := &sinks.Webhook{
			Sink: s.Name, URL: s.Webhook.URL, Format: form, SecretFile: s.Webhook.SecretFile, UserAgent: "jwkswatch/" + version(), Client: client,
		}
		m.Sink, m.close = w, w.Close
	case configs.TypeNATS:
		n, err := sinks.OpenNATS(natsConfig(s, c.instance), c.log)
		if err != nil {
			return nil, err
		}
		m.Sink, m.close = n, n.Close
	default:
		return nil, fmt.Errorf("unknown type %q", s.Type)
	}
	return m, nil
}

// run starts deliveries that were opened.
func (c *couriers) run(list []*courier) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		c.running = map[string]*courier{}
	}
	for _, m := range list {
		ctx, stop := context.WithCancel(context.Background())
		m.stop = stop
		c.running[m.config.Name] = m
		go func() {
			defer close(m.done)
			if err := m.Run(ctx); err != nil {
				m.err = fmt.Errorf("sink %s: %w", m.config.Name, err)
			}
			m.err = errors.Join(m.err, m.close())
		}()
	}
}

// lingers is how long deliveries that were stopped are waited for: longer than their
// grace, the last word to the state and a connection that is hard to close.
const lingers = 20 * time.Second

// end stops the named deliveries, all when there are no names, and waits until
// each has sent what the journal holds, or its grace is over. One that hangs, as on a
// file system that does not answer, is left behind: it holds neither a reload nor the end.
func (c *couriers) end(names ...string) error {
	c.mu.Lock()
	var list []*courier
	for name, m := range c.running {
		if len(names) == 0 || slices.Contains(names, name) {
			list = append(list, m)
			delete(c.running, name)
		}
	}
	c.mu.Unlock()
	for _, m := range list {
		m.stop()
	}
	var errs []error
	over, cancel := context.WithTimeout(context.Background(), lingers)
	defer cancel()
	for _, m := range list {
		select {
		case <-m.done:
		case <-over.Done():
		}
		select {
		case <-m.done:
			errs = append(errs, m.err)
		default:
			errs = append(errs, fmt.Errorf("sink %s hangs, and is left behind: what it did not send yet stays in the journal", m.config.Name))
		}
	}
	return errors.Join(errs...)
}

// list returns the running deliveries by name.
func (c *couriers) list() []*courier {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []*courier
	for _, m := range c.running {
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b *courier) int { return cmp.Compare(a.config.Name, b.config.Name) })
	return out
}

// names are the cursors that hold old events back.
func (c *couriers) names() []string {
	var out []string
	for _, m := range c.list() {
		out = append(out, m.config.Name)
	}
	return out
}

// reopen has every file opened anew: whoever sends SIGHUP may have moved it.
func (c *couriers) reopen() {
	for _, m := range c.list() {
		if m.reopen != nil {
			m.reopen()
		}
	}
}

// tlsOf reads the files of a sink's TLS.
func tlsOf(t configs.TLS) (*tls.Config, error) {
	out := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CAFile != "" {
		b, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("reading the authorities: %w", err)
		}
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM(b) {
			return nil, fmt.Errorf("%s holds no certificate", t.CAFile)
		}
	}
	if t.CertFile != "" {
		pair, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("reading the client certificate: %w", err)
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// webhookClient asks without a proxy: the environment must not lead events
// elsewhere. The files of TLS are read for each connection, so that a certificate
// can be renewed while the agent runs.
func webhookClient(t configs.TLS) (*http.Client, error) {
	if _, err := tlsOf(t); err != nil {
		return nil, err
	}
	transport := &http.Transport{
		ForceAttemptHTTP2: true, TLSHandshakeTimeout: 15 * time.Second, MaxIdleConns: 1, IdleConnTimeout: time.Minute, MaxResponseHeaderBytes: 64 << 10,
		// A connection of HTTP/2 outlives a request that nobody answered. Where a firewall
		// has forgotten it, every attempt would go the same way for a quarter of an hour.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 5 * time.Second},
	}
	transport.DialTLSContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := tlsOf(t)
		if err != nil {
			return nil, err
		}
		c.NextProtos = []string{"h2", "http/1.1"}
		// The transport detaches a dial from the request that asked for it, and leaves
		// the handshake to us: nothing else ends one that stalls.
		ctx, cancel := context.WithTimeout(ctx, transport.TLSHandshakeTimeout)
		defer cancel()
		return (&tls.Dialer{Config: c}).DialContext(ctx, network, address)
	}
	return &http.Client{Transport: transport}, nil
}

func natsConfig(s configs.Sink, instance string) sinks.NATSConfig {
	n := s.NATS
	return sinks.NATSConfig{
		Sink: s.Name, URL: n.URL, Stream: n.Stream, Prefix: n.Subject, Manage: sinks.Manage(n.Manage),
		Format: format.Format(s.Format), Instance: instance, Insecure: n.Insecure,
		CredentialsFile: n.CredentialsFile, NkeySeedFile: n.NkeyFile, TokenFile: n.TokenFile,
		User: n.User, PasswordFile: n.PasswordFile,
		CAFile: n.TLS.CAFile, CertFile: n.TLS.CertFile, KeyFile: n.TLS.KeyFile, HandshakeFirst: n.TLS.HandshakeFirst,
	}
}
