package sinks

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// Manage says what the sink may do about the stream.
type Manage string

// The kinds of stream management. The zero value is ManageNone: then publishing
// to the prefix and reading the inbox are all the rights the agent needs.
const (
	ManageNone   Manage = "none"
	ManageVerify Manage = "verify" // look at its settings and tell of problems
	ManageCreate Manage = "create" // make it when it is absent, then verify; never update or delete it
)

// NATSConfig says where and how to publish. Zero fields mean the default.
// Files are read again for each connection or handshake, so that they may be
// rotated while the agent runs.
type NATSConfig struct {
	Sink   string // name of the cursor; default "nats"
	URL    string // tls://host:port or nats://host:port, several separated by commas
	Stream string // that must take the events; "" takes any
	Prefix string // of subjects; default DefaultPrefix
	Manage Manage // needs Stream unless ManageNone
	Format format.Format

	Client   string // makes the inbox prefix _INBOX_<client>; default "jwkswatch"
	Instance string // names the connection jwkswatch/<instance>
	Insecure bool   // allows nats:// without TLS to a host that is not loopback

	// At most one kind of credentials.
	CredentialsFile    string // JWT and nkey seed, as nsc writes them
	NkeySeedFile       string
	TokenFile          string
	User, PasswordFile string

	CAFile            string
	CertFile, KeyFile string
	HandshakeFirst    bool // TLS before the server's first word; the server must be set up for it

	Timeout       time.Duration // of a connection attempt, of an acknowledgement, of an API call; default 5 s
	ReconnectWait time.Duration // between connection attempts, plus jitter; default 2 s
	VerifyEvery   time.Duration // between looks at a stream that has problems; default 1 min
	// ReconcileEvery is the time between two questions to the stream, with Manage,
	// whether it still has what it acknowledged; default 5 min.
	ReconcileEvery time.Duration
}

func (c NATSConfig) withDefaults() NATSConfig {
	for _, d := range []struct {
		field *string
		value string
	}{{&c.Sink, "nats"}, {&c.Prefix, DefaultPrefix}, {&c.Client, "jwkswatch"}} {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{{&c.Timeout, 5 * time.Second}, {&c.ReconnectWait, 2 * time.Second}, {&c.VerifyEvery, time.Minute}, {&c.ReconcileEvery, 5 * time.Minute}} {
		if *d.field <= 0 {
			*d.field = d.value
		}
	}
	if c.Manage == "" {
		c.Manage = ManageNone
	}
	return c
}

func (c *NATSConfig) inboxPrefix() string { return "_INBOX_" + c.Client }

// check finds what is wrong with the configuration without reading a file.
func (c *NATSConfig) check() error {
	var errs []error
	if !tokens(c.Prefix) {
		errs = append(errs, fmt.Errorf("subject prefix %q: want tokens of a-z, 0-9, _ and - with dots between them", c.Prefix))
	}
	if !token(c.Client) {
		errs = append(errs, fmt.Errorf("client %q: want a-z, 0-9, _ and -", c.Client))
	}
	if strings.ContainsAny(c.Stream, ".*>/\\ \t\r\n") {
		errs = append(errs, fmt.Errorf("stream %q is no name of a stream", c.Stream))
	}
	switch c.Manage {
	case ManageNone:
	case ManageVerify, ManageCreate:
		if c.Stream == "" {
			errs = append(errs, fmt.Errorf("manage: %s needs the name of the stream", c.Manage))
		}
	default:
		errs = append(errs, fmt.Errorf("manage is %q, want %s, %s or %s", c.Manage, ManageNone, ManageVerify, ManageCreate))
	}
	kinds := 0
	for _, set := range []string{c.CredentialsFile, c.NkeySeedFile, c.TokenFile, c.User + c.PasswordFile} {
		if set != "" {
			kinds++
		}
	}
	if kinds > 1 {
		errs = append(errs, errors.New("more than one kind of credentials"))
	}
	if (c.User == "") != (c.PasswordFile == "") {
		errs = append(errs, errors.New("user and password_file go together"))
	}
	if (c.CertFile == "") != (c.KeyFile == "") {
		errs = append(errs, errors.New("cert_file and key_file go together"))
	}
	_, err := c.servers()
	return errors.Join(append(errs, err)...)
}

// servers returns the servers of the URL. Errors never show it, for it may hold
// a password.
func (c *NATSConfig) servers() ([]string, error) {
	var servers []string
	for i, s := range strings.Split(c.URL, ",") {
		s = strings.TrimSpace(s)
		u, err := url.Parse(s)
		switch {
		case err != nil || u.Hostname() == "":
			return nil, fmt.Errorf("url: server %d is not of the form tls://host:port", i+1)
		case u.Scheme != "tls" && u.Scheme != "nats":
			return nil, fmt.Errorf("url: server %d: the scheme must be tls or nats", i+1)
		case u.User != nil:
			return nil, fmt.Errorf("url: server %d: credentials in a URL end up in logs; use credentials_file, nkey_file, token_file or password_file", i+1)
		case u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "":
			return nil, fmt.Errorf("url: server %d: a server has no path or query", i+1)
		case !c.secure() && !c.Insecure && !loopback(u.Hostname()):
			return nil, fmt.Errorf("url: server %d: nats:// would send events and credentials in clear text to %s; use tls:// or set insecure: true", i+1, u.Hostname())
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// secure reports whether every connection is by TLS, or fails. One tls:// in
// the list is enough: nats.go then insists on TLS for all of them.
func (c *NATSConfig) secure() bool {
	if c.CAFile != "" || c.CertFile != "" || c.HandshakeFirst {
		return true
	}
	for s := range strings.SplitSeq(c.URL, ",") {
		if strings.HasPrefix(strings.ToLower(strings.TrimSpace(s)), "tls://") {
			return true
		}
	}
	return false
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// options makes the settings of a connection and reads every file once, so that
// one that is missing is told at once and not by a broker's refusal. stale is
// called when the nkey seed file has come to hold another key.
func (c *NATSConfig) options(stale func()) (*nats.Options, error) {
	servers, err := c.servers()
	if err != nil {
		return nil, err
	}
	o := nats.GetDefaultOptions()
	o.Servers = servers
	o.Name = strings.TrimSuffix("jwkswatch/"+c.Instance, "/")
	o.MaxReconnect = -1
	o.RetryOnFailedConnect = true
	// Without it two refusals in a row close the connection for good, and
	// credentials that are rotated on both sides at once look like that.
	o.IgnoreAuthErrorAbort = true
	// The journal is the buffer. One in memory would hide that the broker is
	// away, and send behind our back.
	o.ReconnectBufSize = -1
	o.ReconnectOnFlusherError = true
	o.ReconnectWait = c.ReconnectWait
	o.ReconnectJitter, o.ReconnectJitterTLS = c.ReconnectWait/4, c.ReconnectWait
	o.Timeout = c.Timeout
	o.PingInterval = 20 * time.Second
	o.MaxPingsOut = 2
	// An inbox of our own: the broker can forbid everybody else to publish to
	// it, and only then an acknowledgement cannot be forged.
	o.InboxPrefix = c.inboxPrefix()
	o.NoEcho = true
	o.NoCallbacksAfterClientClose = true
	if !c.secure() && !c.Insecure {
		// A server may announce others. In clear text we speak to loopback only.
		o.IgnoreDiscoveredServers = true
	}
	for _, option := range append(c.tlsOptions(), c.authOptions(stale)...) {
		if err := option(&o); err != nil {
			return nil, fmt.Errorf("setting up the connection: %w", err)
		}
	}
	return &o, nil
}
