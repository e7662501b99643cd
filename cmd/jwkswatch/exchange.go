package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/web"
)

// lookEvery is how often the content of the configuration's files is compared.
// Notifications of the file system miss the symlink swap of a mounted
// ConfigMap; content does not lie.
const lookEvery = 30 * time.Second

// What made the configuration be loaded again.
const (
	byFile    = "file"
	bySignal  = "signal"
	byCommand = "command"
)

// exchange replaces the configuration of a running daemon, whole or not at all.
// One goroutine does it, so that two reloads never meet.
type exchange struct {
	d      *daemon
	path   string
	hangup <-chan os.Signal           // nil in tests that send none
	work   chan func(context.Context) // for the goroutine of run
	tried  [32]byte                   // fingerprint of what was tried last
	untold *configs.Config            // in use when the first change came that is not told yet
	unsaid func() error               // tells of a change that could not be stored yet; nil without one

	mu     sync.Mutex
	config *configs.Config // in use
	counts web.Config
	bad    string // the first problem of the file on disk; "" while it is the one in use
}

func newExchange(d *daemon, path string, c *configs.Config) *exchange {
	if whole, err := filepath.Abs(path); err == nil {
		path = whole // who asks for a reload is told it, and may be in another folder
	}
	return &exchange{
		d: d, path: path, work: make(chan func(context.Context)), tried: c.Fingerprint,
		config: c, counts: web.Config{Loaded: time.Now()},
	}
}

// run serves reloads until the context ends.
func (x *exchange) run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			x.look(ctx)
		case <-x.hangup:
			x.d.post.reopen()
			x.load(ctx, bySignal)
		case do := <-x.work:
			do(ctx)
		}
	}
}

// look does what is done every 30 seconds: what could not be told of the last change
// is tried again, and files whose content changed are loaded.
func (x *exchange) look(ctx context.Context) {
	if x.unsaid != nil && x.unsaid() == nil {
		x.unsaid, x.untold = nil, nil
	}
	x.approvals(ctx)
	if now, err := configs.Fingerprint(x.path); err == nil && now != x.tried {
		x.load(ctx, byFile)
	}
}

// reload loads the configuration again because somebody asked for it.
func (x *exchange) reload(ctx context.Context) (control.ReloadResult, error) {
	return inTurn(ctx, x, func(ctx context.Context) (control.ReloadResult, error) { return x.load(ctx, byCommand), nil })
}

// inTurn has the goroutine of run do something, and waits for it.
func inTurn[T any](ctx context.Context, x *exchange, do func(context.Context) (T, error)) (out T, err error) {
	done := make(chan struct{})
	var got T
	var failed error
	work := func(ctx context.Context) {
		defer close(done)
		got, failed = do(ctx)
	}
	select {
	case x.work <- work:
	case <-ctx.Done():
		return out, ctx.Err()
	}
	select {
	case <-done:
		return got, failed
	case <-ctx.Done():
		return out, ctx.Err()
	}
}

// load loads the configuration again and tells what became of it.
func (x *exchange) load(ctx context.Context, by string) control.ReloadResult {
	x.d.tell(x.d.systemd.reloading())
	defer func() { x.d.tell(x.d.systemd.ready()) }()
	if now, err := configs.Fingerprint(x.path); err == nil {
		x.tried = now
	}
	old := x.current()
	next, err := configs.Load(x.path)
	var delta configs.Delta
	if err == nil {
		delta = configs.Changes(old, next)
		if len(delta.Restart) > 0 {
			err = needsRestart(next, delta.Restart)
		} else {
			err = x.d.adopt(ctx, next, delta, func() error {
				// What is not told yet is told together with this: a change that was
				// undone meanwhile is none, one that was not must not be forgotten.
				if x.untold == nil {
					x.untold = old
				}
				from := x.untold
				x.unsaid = func() error { return x.said(ctx, by, from, next, configs.Changes(from, next)) }
				err := x.unsaid()
				if err == nil {
					x.unsaid, x.untold = nil, nil
				}
				return err
			})
		}
	}
	if err != nil {
		return x.refused(ctx, by, old, err)
	}
	r := control.ReloadResult{
		Outcome: control.Applied, Digest: digest(next.Digest), File: x.path,
		EndpointsAdded: delta.EndpointsAdded, EndpointsRemoved: delta.EndpointsRemoved, EndpointsChanged: delta.EndpointsChanged,
		SinksAdded: delta.SinksAdded, SinksRemoved: delta.SinksRemoved, SinksChanged: delta.SinksChanged,
		Settings: delta.Settings, Shrinks: delta.Shrinks,
	}
	if delta.Empty() {
		r.Outcome = control.Unchanged
	}
	x.mu.Lock()
	x.config = next
	if r.Outcome == control.Applied {
		x.counts.Applied++
	}
	x.counts.Loaded, x.counts.Failed, x.bad = time.Now(), false, ""
	x.mu.Unlock()
	x.approvals(ctx)
	x.d.log.Info().Str("by", by).Str("outcome", r.Outcome).Str("config_digest", r.Digest).Msg("configuration loaded again")
	return r
}

// said commits the event that tells of the change.
func (x *exchange) said(ctx context.Context, by string, old, next *configs.Config, d configs.Delta) error {
	if d.Empty() {
		return x.d.voice.ConfigMended(ctx, time.Now(), by, digest(next.Digest))
	}
	details := differing(d)
	details.Outcome, details.Trigger = "applied", by
	details.DigestBefore, details.DigestAfter = new(digest(old.Digest)), new(digest(next.Digest))
	return x.d.voice.ConfigChanged(ctx, time.Now(), details, d.Critical, coverage(next))
}

// differing are the lists of an event about a change.
func differing(d configs.Delta) event.AgentConfigChangedDetails {
	return event.AgentConfigChangedDetails{
		EndpointsAdded: d.EndpointsAdded, EndpointsRemoved: d.EndpointsRemoved, EndpointsChanged: d.EndpointsChanged,
		SinksAdded: d.SinksAdded, SinksRemoved: d.SinksRemoved, SinksChanged: d.SinksChanged, Settings: d.Settings, Shrinks: d.Shrinks,
	}
}

// refused tells of a configuration that is not used.
func (x *exchange) refused(ctx context.Context, by string, old *configs.Config, cause error) control.ReloadResult {
	problems := told(cause)
	x.mu.Lock()
	x.counts.Refused++
	x.counts.Failed, x.bad = true, problems[0]
	x.mu.Unlock()
	x.d.log.Error().Str("by", by).Strs("problems", problems[:min(len(problems), 8)]).
		Msg("the configuration is refused; the old one goes on")
	err := x.d.voice.ConfigChanged(ctx, time.Now(), event.AgentConfigChangedDetails{
		Outcome: "refused", Trigger: by, DigestBefore: new(digest(old.Digest)), Problems: problems,
	}, false, agent.StartFacts{})
	if err != nil {
		x.d.log.Error().Err(err).Msg("that a configuration was refused is not stored")
	}
	return control.ReloadResult{Outcome: control.Refused, Digest: digest(old.Digest), File: x.path, Problems: problems}
}

// told are the problems of a configuration, one a line.
func told(err error) []string {
	list, ok := errors.AsType[configs.Errors](err)
	if !ok {
		return []string{event.Text(err.Error())}
	}
	var out []string
	for _, p := range list {
		line := fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Message)
		if p.Hint != "" {
			line += "; " + p.Hint
		}
		out = append(out, event.Text(line))
	}
	return out
}

func needsRestart(c *configs.Config, values []string) error {
	var list configs.Errors
	for _, v := range values {
		p := c.Place(v)
		p.Message, p.Hint = v+" cannot change while the daemon runs", "restart the daemon, or put the old value back"
		list = append(list, p)
	}
	return list
}

// refusal is the first problem of the file on disk, "" while it is the one in use.
func (x *exchange) refusal() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bad
}

// current is the configuration in use.
func (x *exchange) current() *configs.Config {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.config
}

func (x *exchange) counted() web.Config {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.counts
}
