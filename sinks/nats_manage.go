package sinks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
)

const (
	duplicateWindow    = 24 * time.Hour // of a stream we make
	minDuplicateWindow = time.Hour      // below it, a sink that was down for a while stores events twice

	// Below these a consumer that is down over a weekend, or for a burst, misses
	// events: about what a day of a thousand endpoints makes.
	minAge   = 72 * time.Hour
	minCount = 100_000
	minBytes = 256 << 20
)

// manage looks at the stream after each connection, and every VerifyEvery while
// there is a problem. It never keeps an event from being sent: a stream with
// poor settings is better than none.
func (n *NATS) manage(l *link) {
	changed := l.nc.StatusChanged(nats.CONNECTED, nats.CLOSED)
	defer l.nc.RemoveStatusListener(changed)
	for !l.nc.IsClosed() {
		well := n.look(l)
		var again <-chan time.Time
		if !well {
			again = time.After(n.cfg.VerifyEvery)
		}
		select {
		case <-n.ctx.Done():
			return
		case <-again:
		case <-l.kick:
		case <-changed:
		}
	}
}

// look tells of the problems of the stream when they are new, and reports
// whether there are none.
func (n *NATS) look(l *link) bool {
	if !l.nc.IsConnected() {
		return true // the connection tells of itself, and wakes manage
	}
	ctx, cancel := context.WithTimeout(n.ctx, n.cfg.Timeout)
	defer cancel()
	err := n.verify(ctx, l.js)
	if n.ctx.Err() != nil {
		return true
	}
	var text string
	if err != nil {
		text = event.Text(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	n.mu.Lock()
	same := n.stats.StreamProblems == text
	n.stats.StreamProblems, n.stats.StreamJudged = text, true
	n.mu.Unlock()
	switch {
	case same:
	case text == "":
		n.log.Info().Str("nats_stream", n.cfg.Stream).Msg("the stream is well set up")
	default:
		n.log.Error().Str("nats_stream", n.cfg.Stream).Str("error", text).Msg("the stream is not set up as it should be; events are sent to it nevertheless")
	}
	return text == ""
}

// verify returns every problem of the stream, joined.
func (n *NATS) verify(ctx context.Context, js jetstream.JetStream) error {
	s, err := js.Stream(ctx, n.cfg.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) && n.cfg.Manage == ManageCreate {
		if s, err = js.CreateStream(ctx, n.stream()); errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = js.Stream(ctx, n.cfg.Stream) // another agent was faster
		} else if err == nil {
			n.log.Info().Str("nats_stream", n.cfg.Stream).Msg("made the stream, which was absent")
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer about the stream: manage: %s needs the right to publish to $JS.API.STREAM.INFO.%s", n.cfg.Manage, n.cfg.Stream)
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("there is no stream %s: make it, or let the agent do it with manage: create", n.cfg.Stream)
	case err != nil:
		return err
	}
	return problems(s.CachedInfo().Config, n.cfg.Prefix)
}

func (n *NATS) stream() jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:        n.cfg.Stream,
		Description: "Security events of jwkswatch",
		Subjects:    []string{n.cfg.Prefix + ".>"},
		Retention:   jetstream.LimitsPolicy,
		Storage:     jetstream.FileStorage,
		Discard:     jetstream.DiscardOld,
		Duplicates:  duplicateWindow,
		DenyDelete:  true,
		DenyPurge:   true,
	}
}

// covers reports whether every subject that matches want, whose only wildcard
// is *, matches the pattern too.
func covers(pattern, want string) bool {
	p, w := strings.Split(pattern, "."), strings.Split(want, ".")
	for i, t := range p {
		switch {
		case i >= len(w):
			return false
		case t == ">":
			return true
		case t != "*" && t != w[i]:
			return false
		}
	}
	return len(p) == len(w)
}
