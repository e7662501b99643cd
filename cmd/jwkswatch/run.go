package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	stdlog "log"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/watcher"
)

func newRun() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Watch, until asked to stop",
		Long: `Watch the configured endpoints. Events go to the configured sinks; the log sink
writes them to standard output, operations go to standard error, both as JSON
lines. SIGTERM finishes the polls under way, delivers what is in the journal and
exits 0. SIGHUP loads the configuration again; so does a change of its files
within 30 seconds.

Exits 78 when the configuration is bad, 1 when the state cannot be opened.`,
		Example: "  jwkswatch run -c /etc/jwkswatch/jwkswatch.yaml",
		Args:    cobra.NoArgs,
	}
	file := configFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		// From here to the very end, or one that comes while the state is opened or
		// the journal drained ends the process.
		hangup := make(chan os.Signal, 1)
		signal.Notify(hangup, syscall.SIGHUP)
		path := configPath(*file)
		c, err := loadConfig(path, cmd.ErrOrStderr())
		if err != nil {
			if e, ok := errors.AsType[*ended](err); ok && e.code == exitBlind {
				return &ended{exitConfig, e.err}
			}
			return err
		}
		if err := run(cmd.Context(), path, c, hangup, cmd.OutOrStdout(), cmd.ErrOrStderr()); err != nil {
			return &ended{exitFailed, err}
		}
		return nil
	}
	return cmd
}

// run is the daemon. It loads its configuration again at each hangup.
func run(ctx context.Context, path string, c *configs.Config, hangup <-chan os.Signal, out, errs io.Writer) error {
	log := operations(errs)
	// net/http writes to the standard logger what a server sends beyond its
	// answer: an issuer's text, which must not break the stream of JSON lines.
	stdlog.SetFlags(0)
	stdlog.SetOutput(library{log.Sample(&zerolog.BurstSampler{Burst: 5, Period: time.Minute})})
	// A log pipe that nobody reads any more is a sink that is down, and no reason
	// to stop watching: writes fail instead of ending the process.
	signal.Ignore(syscall.SIGPIPE)
	for _, p := range c.Warnings {
		log.Warn().Str("file", p.File).Int("line", p.Line).Str("hint", p.Hint).Msg(p.Message)
	}
	db, keeper, err := recovered(ctx, c, log)
	if err != nil && ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		// It did what it was told: a supervisor must not take that for a failure.
		log.Info().Err(err).Msg("stopped before it began")
		return nil
	}
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w; set state.path to a file in a folder that this user may write", err)
	}
	if err != nil {
		return err
	}
	d, err := newDaemon(path, c, db, out, log, newNotifier(os.Getenv))
	if err != nil {
		return errors.Join(err, db.Close())
	}
	d.keeper, d.young = keeper, db.Written() == 0
	d.exchange.hangup = hangup
	log.Info().Str("version", version()).Int("endpoints", len(c.Endpoints)).Int("sinks", len(c.Sinks)).
		Str("state", c.State.Path).Str("config_digest", digest(c.Digest)).Msg("watching")
	err = errors.Join(d.run(ctx), db.Close())
	log.Info().Err(err).Msg("stopped")
	return err
}

// operations is the log of the agent itself. Times have the layout of events,
// without a word to zerolog's package variables.
func operations(w io.Writer) zerolog.Logger {
	stamp := zerolog.HookFunc(func(e *zerolog.Event, _ zerolog.Level, _ string) {
		e.Str("time", time.Now().UTC().Format(event.TimeLayout))
	})
	return zerolog.New(zerolog.SyncWriter(w)).With().Str("stream", "ops").Logger().Hook(stamp)
}

// library takes what libraries write to the standard logger.
type library struct{ log zerolog.Logger }

func (l library) Write(b []byte) (int, error) {
	text := strings.TrimSpace(string(b))
	if strings.HasPrefix(text, "Unsolicited response") {
		// What follows is the server's, who may send back what we sent.
		text = "a server sent more than it was asked for"
	}
	l.log.Warn().Str("text", event.Text(text)).Msg("a library reports")
	return len(b), nil
}

func endpoints(c *configs.Config, granted []agent.Approval) ([]watcher.Endpoint, error) {
	var out []watcher.Endpoint
	for _, e := range c.Endpoints {
		w, err := endpoint(e)
		w.Windows = c.WindowsOf(&e)
		w.Compromised = compromised(c)
		w.Approvals = approvalsOf(e.Name, c, granted)
		if err != nil {
			return nil, fmt.Errorf("endpoint %s: %w", e.Name, err)
		}
		out = append(out, w)
	}
	return out, nil
}

func endpoint(e configs.Endpoint) (watcher.Endpoint, error) {
	t := fetch.Target{
		URL: cmp.Or(e.Issuer, e.JWKSURI), Timeout: e.Timeout, MaxBody: e.MaxBody,
		Policy: fetch.Policy{AllowPrivate: e.AllowPrivate, Proxy: e.Proxy},
	}
	if e.Redirects == "same-host" {
		t.Redirects = fetch.SameHost
	}
	if l := e.TLS; l.CA != nil || l.Pins != nil || l.Cert != nil {
		var err error
		if t.Policy.TLS, err = fetch.NewTLS(fetch.TLSOptions{CA: l.CA, Pins: l.Pins, Cert: l.Cert, Key: l.Key}); err != nil {
			return watcher.Endpoint{}, err
		}
	}
	for name, value := range e.Headers {
		if t.Header == nil {
			t.Header = http.Header{}
		}
		t.Header.Set(name, value.Reveal())
	}
	return watcher.Endpoint{
		Name: e.Name, Issuer: e.Issuer, Target: t, Interval: e.Interval, Tier: e.Tier, Owner: e.Owner, Group: e.Group, Labels: e.Labels,
		MaxEvents: int(e.MaxEvents), EachAddress: e.Addresses == "each",
		Expect: expected(&e),
	}, nil
}

// expected is what is declared of an endpoint.
func expected(e *configs.Endpoint) rules.Expect {
	return rules.Expect{
		Cadence: e.Expect.Cadence, Overlap: e.Expect.Overlap, TokenLifetime: e.Expect.TokenLifetime, MaxKeyAge: e.Expect.MaxKeyAge,
		KeysMin: e.Expect.Keys.Min, KeysMax: e.Expect.Keys.Max, Algs: e.Expect.Algs, Thumbprints: e.Expect.Thumbprints, NoLearning: e.Learn == "off",
	}
}

// compromised are the keys of own incidents, each with what is said of it; nil for
// none.
func compromised(c *configs.Config) map[string]string {
	if len(c.Compromised.Thumbprints) == 0 {
		return nil
	}
	out := map[string]string{}
	for _, t := range c.Compromised.Thumbprints {
		out[t] = "the list of the operator"
	}
	return out
}
