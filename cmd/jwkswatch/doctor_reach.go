package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/sinks"
)

const (
	// atOnce bounds the endpoints and sinks that are asked at the same time.
	atOnce = 16
	// skewed is how far the clock may be from those of the servers: windows,
	// approvals and the times in events are meant to the minute.
	skewed = 30 * time.Second
)

// inParallel makes a diagnosis of each of n things, in their order.
func inParallel[T any](n int, do func(i int) T) []T {
	out := make([]T, n)
	var group sync.WaitGroup
	turns := make(chan struct{}, atOnce)
	for i := range n {
		turns <- struct{}{}
		group.Go(func() {
			defer func() { <-turns }()
			out[i] = do(i)
		})
	}
	group.Wait()
	return out
}

// reached fetches each endpoint once, the way of the daemon's polls, and holds the
// clock against the servers'.
func reached(ctx context.Context, c *configs.Config, timeout time.Duration) []diagnosis {
	type one struct {
		diagnosis
		clock []time.Duration
	}
	client := &fetch.Client{UserAgent: "jwkswatch/" + version()}
	defer client.CloseIdle()
	all := inParallel(len(c.Endpoints), func(i int) one {
		l := &linter{client: client, timeout: timeout}
		d := l.reach(ctx, c.Endpoints[i], timeout)
		return one{d.of(c.Endpoints[i].Name), l.clock}
	})
	var out []diagnosis
	var clock []time.Duration
	for _, a := range all {
		out, clock = append(out, a.diagnosis), append(clock, a.clock...)
	}
	return append(out, clockOf(clock)...)
}

// reach fetches one endpoint.
func (l *linter) reach(ctx context.Context, e configs.Endpoint, timeout time.Duration) diagnosis {
	const part = "endpoint"
	w, err := endpoint(e)
	if err != nil {
		return say(part, broken, err.Error(), "the files under tls: of the endpoint")
	}
	t := w.Target
	t.Timeout = min(t.Timeout, timeout)
	if err := t.Prepare(); err != nil {
		return say(part, broken, err.Error(), "")
	}
	var r lintResult
	body, err := l.ask(ctx, &r, t, e.Issuer != "")
	switch {
	case err != nil:
		return say(part, broken, err.Error(), "jwkswatch explain endpoint.unreachable")
	case !jwks.Parse(body).Usable():
		return say(part, broken, "what answers is no key set", "jwkswatch lint shows what it is")
	}
	return say(part, well, fmt.Sprintf("%d keys", len(jwks.Parse(body).Keys)), "")
}

// ask gets the key set of an endpoint: of an issuer by discovery only, as the daemon.
func (l *linter) ask(ctx context.Context, r *lintResult, t fetch.Target, issuer bool) ([]byte, error) {
	if issuer {
		m, ok := l.discover(ctx, r, t)
		switch {
		case ok && len(r.Findings) > 0:
			return nil, errors.New(r.Findings[0].Message)
		case !ok && len(r.Notes) > 0:
			return nil, errors.New(r.Notes[0])
		case !ok:
			return nil, fmt.Errorf("no discovery document: %w", l.missed)
		}
		return l.follow(ctx, r, t, m)
	}
	body, status, err := l.get(ctx, t)
	if err == nil && status != 200 {
		err = fmt.Errorf("HTTP status %d", status)
	}
	return body, err
}

// clockOf holds the clock against the servers', by the middle one: a single server may
// be wrong by years.
func clockOf(behind []time.Duration) []diagnosis {
	if len(behind) == 0 {
		return []diagnosis{say("clock", unknown, "no server told its time", "")}
	}
	slices.Sort(behind)
	switch d := behind[len(behind)/2]; {
	case d > skewed:
		return []diagnosis{say("clock", warning, fmt.Sprintf("it is %s ahead of the servers", d.Round(time.Second)), "timedatectl says whether it is synchronised")}
	case d < -skewed:
		return []diagnosis{say("clock", warning, fmt.Sprintf("it is %s behind the servers", -d.Round(time.Second)), "timedatectl says whether it is synchronised")}
	}
	return []diagnosis{say("clock", well, "within 30 s of the servers", "")}
}

// connected connects to each sink, and sends nothing.
func connected(ctx context.Context, c *configs.Config, timeout time.Duration) []diagnosis {
	return inParallel(len(c.Sinks), func(i int) diagnosis {
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return connect(ctx, c, c.Sinks[i]).of(c.Sinks[i].Name)
	})
}

func connect(ctx context.Context, c *configs.Config, s configs.Sink) diagnosis {
	const part, drill = "sink", "jwkswatch drill shows whether an event arrives"
	var err error
	text := "connected"
	switch s.Type {
	case configs.TypeLog:
		return say(part, well, "standard output of the daemon", "")
	case configs.TypeFile:
		err, text = appendable(s.File.Path), s.File.Path+" can be written"
	case configs.TypeSyslog:
		if s.Syslog.Network() == "udp" {
			_, err = net.DefaultResolver.LookupHost(ctx, host(s.Syslog.HostPort()))
			if err == nil {
				return say(part, unknown, "datagrams: nobody says whether they arrive", drill)
			}
			break
		}
		err = dial(ctx, s.Syslog.HostPort(), s.Syslog.Network() == "tls", s.Syslog.TLS)
	case configs.TypeWebhook:
		if _, err = sinks.ReadWebhookSecrets(s.Webhook.SecretFile); err == nil {
			var u *url.URL
			if u, err = url.Parse(s.Webhook.URL); err == nil {
				err = dial(ctx, hostPort(u), u.Scheme == "https", s.Webhook.TLS)
			}
		}
	case configs.TypeNATS:
		return connectNATS(ctx, c, s)
	}
	if err != nil {
		return say(part, broken, err.Error(), "")
	}
	return say(part, well, text, "")
}

// appendable reports whether the daemon could write the file, without making it: a file
// that belongs to who calls this would be one that the daemon cannot open.
func appendable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	switch {
	case err == nil:
		return f.Close()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return writable(filepath.Dir(path))
}

func host(hostPort string) string {
	h, _, _ := net.SplitHostPort(hostPort)
	return h
}

func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[bool]string{true: "443", false: "80"}[u.Scheme == "https"]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// dial connects, with the handshake of TLS where it is used, and hangs up.
func dial(ctx context.Context, address string, secure bool, files configs.TLS) error {
	var d interface {
		DialContext(context.Context, string, string) (net.Conn, error)
	} = &net.Dialer{}
	if secure {
		c, err := tlsOf(files)
		if err != nil {
			return err
		}
		d = &tls.Dialer{Config: c}
	}
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// connectNATS connects as the daemon does and has the stream looked at. It makes no
// stream: create is for the daemon.
func connectNATS(ctx context.Context, c *configs.Config, s configs.Sink) diagnosis {
	const part = "sink"
	cfg := natsConfig(s, c.Observer.Name)
	cfg.ReconnectWait = 100 * time.Millisecond // only the second attempt says why the first failed
	makes := cfg.Manage == sinks.ManageCreate
	if makes {
		cfg.Manage = sinks.ManageVerify
	}
	n, err := sinks.OpenNATS(cfg, zerolog.New(io.Discard))
	if err != nil {
		return say(part, broken, err.Error(), "")
	}
	defer n.Close() //nolint:errcheck // nothing was sent
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var refused time.Time // the first failure: another server of the URL may do better
	for {
		st := n.Stats()
		switch {
		case st.Connected && cfg.Manage == sinks.ManageNone:
			return say(part, well, "connected", "")
		case st.Connected && st.StreamJudged && st.StreamProblems == "":
			return say(part, well, "connected, stream "+cfg.Stream+" is as it should be", "")
		case st.Connected && st.StreamJudged && makes:
			return say(part, warning, st.StreamProblems, "manage: create makes a stream that is absent, and changes none that is there")
		case st.Connected && st.StreamJudged:
			return say(part, warning, st.StreamProblems, "docs/siem/nats.md has the stream's definition")
		}
		if refused.IsZero() && st.LastError != "" {
			refused = time.Now()
		}
		if !st.Connected && !refused.IsZero() && time.Since(refused) > 2*time.Second {
			return say(part, broken, "not connected: "+st.LastError, "")
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if st.Connected {
				return say(part, unknown, "connected, but the stream could not be looked at: "+st.LastViolation, "")
			}
			return say(part, broken, "not connected in time", "")
		}
	}
}
