package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/watcher"
	"github.com/jwkswatch/jwkswatch/web"
)

// What the parts of the daemon know of each other, as values.

func observer(c *configs.Config) watcher.Observer {
	return watcher.Observer{
		Name: c.Observer.Name, Vantage: c.Observer.Vantage, Version: version(), ConfigDigest: digest(c.Digest),
	}
}

// observing is who observes now, for events of the agent itself.
func (d *daemon) observing() event.Observer {
	c := d.exchange.current()
	o := event.Observer{
		Name: c.Observer.Name, Version: version(), ConfigDigest: digest(c.Digest), RulesDigest: digest(d.watcher.RulesDigest()),
	}
	if c.Observer.Vantage != "" {
		o.Vantage = new(c.Observer.Vantage)
	}
	return o
}

func (d *daemon) fleet() []rules.FleetEndpoint {
	list := d.watcher.Status()
	out := make([]rules.FleetEndpoint, len(list))
	for i := range list {
		e := &list[i]
		out[i] = rules.FleetEndpoint{
			Name: e.Name, Host: e.Host, Site: e.Site, Tier: e.Tier, Interval: e.Interval, LastGood: e.LastGood,
			Failures: e.Failures, Phase: e.Phase, Code: e.Code, Watched: e.Watched,
		}
		if e.Failures > 0 {
			out[i].FailingSince = e.Since
		}
	}
	return out
}

func (d *daemon) sinks(ctx context.Context) []agent.SinkState {
	var out []agent.SinkState
	for _, c := range d.post.list() {
		t := c.Stats()
		s := agent.SinkState{Name: c.config.Name, Connected: t.Connected, Suspicious: t.Suspicious, Parked: t.Parked}
		if n, ok := c.Sink.(*sinks.NATS); ok {
			t := n.Stats()
			s.Problem, s.Judged = t.StreamProblems, t.StreamJudged
		}
		var err error
		if s.Pending, s.Oldest, err = d.db.Pending(ctx, s.Name); err != nil {
			// Nothing is known, which is not the same as nothing waits. That the
			// state cannot be read is told by who reads it for the endpoints.
			s.Pending, s.Oldest = c.pending, c.oldest
		}
		c.pending, c.oldest = s.Pending, s.Oldest
		out = append(out, s)
	}
	return out
}

// damaged are the endpoints of which the state is damaged, and why of the first.
func (d *daemon) damaged() (names []string, why string) {
	for i, e := range d.watcher.Damaged() {
		names = append(names, e.Endpoint)
		if i == 0 {
			why = e.Cause
		}
	}
	return names, why
}

// live is what only the running daemon knows, for questions.
func (d *daemon) live() query.Live {
	l := query.Live{
		Version: version(), Started: d.started, ConfigDigest: digest(d.exchange.current().Digest), Refused: d.exchange.refusal(), Degraded: d.degraded(),
	}
	for _, e := range d.watcher.Status() {
		l.Endpoints = append(l.Endpoints, query.LiveEndpoint{
			Name: e.Name, Issuer: e.Issuer, URL: e.URL, Tier: e.Tier, LastPoll: e.LastPoll, LastGood: e.LastGood,
			NextPoll: e.NextPoll, Failures: e.Failures, Since: e.Since, Phase: e.Phase, Code: e.Code,
		})
	}
	for _, c := range d.post.list() {
		s := c.Stats()
		l.Sinks = append(l.Sinks, query.LiveSink{
			Name: s.Sink, Type: c.config.Type, Connected: s.Connected, LastError: s.LastError, Parked: s.Parked, Lost: s.Lost,
		})
	}
	return l
}

// measure gathers what the agent counts, for one scrape.
func (d *daemon) measure(ctx context.Context) web.Metrics {
	s := d.watcher.Stats()
	m := web.Metrics{
		Version: version(), Started: d.started,
		Polls:  web.Polls{Unchanged: s.Unchanged, Failed: s.Failed, Changed: s.Polls - s.Unchanged - s.Failed},
		Parses: s.Parses, Commits: s.Commits, StoreErrors: s.StoreErrs, Degraded: d.degraded(), ScheduleLag: d.watcher.Lag(),
		Events: map[web.EventKind]uint64{}, Conditions: d.health.conditions(ctx, d.control.Answers), Config: d.exchange.counted(),
	}
	for _, counts := range []map[watcher.EventCount]uint64{d.watcher.EventCounts(), d.voice.EventCounts()} {
		for k, n := range counts {
			m.Events[web.EventKind{Type: k.Type, Severity: k.Severity}] += n
		}
	}
	for _, e := range d.watcher.Status() {
		m.Endpoints = append(m.Endpoints, web.Endpoint{
			Name: e.Name, LastSuccess: e.LastGood, Failures: e.Failures, Keys: e.Keys, Interval: e.Interval,
		})
		switch {
		case e.LastGood.IsZero():
			m.Fleet.Unseen++
		case e.Failures > 0:
			m.Fleet.Failing++
		default:
			m.Fleet.Good++
		}
	}
	for _, c := range d.post.list() {
		t := c.Stats()
		sink := web.Sink{
			Name: t.Sink, Type: c.config.Type, Sent: t.Sent, Retries: t.Retries, Parked: t.Parked, Connected: t.Connected,
			Lost: t.Lost, Suspicious: t.Suspicious,
		}
		if n, oldest, err := d.db.Pending(ctx, t.Sink); err == nil && n > 0 {
			sink.Pending, sink.Oldest = n, max(0, time.Since(oldest))
		}
		m.Sinks = append(m.Sinks, sink)
	}
	m.JournalHead = d.db.Written()
	m.StateBytes = d.overseer.StateSize()
	return m
}

// degraded returns the codes of what is wrong with the agent, that of a state
// which cannot take the event too.
func (d *daemon) degraded() []string {
	codes := d.voice.Open()
	d.health.mu.Lock()
	defer d.health.mu.Unlock()
	if !d.health.since.IsZero() {
		codes = append(codes, "state_unwritable")
	}
	return codes
}

// turns reports whether the scheduler's loop turns.
func (d *daemon) turns() bool { return time.Since(d.watcher.Alive()) < aliveWithin }

// aliveWithin is how long ago the loop of the scheduler may have turned.
const aliveWithin = 30 * time.Second

// healthy says why the daemon does not do its work.
func (d *daemon) healthy(ctx context.Context) error {
	if at := d.watcher.Alive(); !d.turns() {
		if at.IsZero() {
			return errors.New("the first poll is not due yet")
		}
		return fmt.Errorf("the scheduler has not turned for %s", time.Since(at).Round(time.Second))
	}
	if err := d.writable(ctx); err != nil {
		return fmt.Errorf("the state cannot be written: %w", err)
	}
	return nil
}

// writable says why the state does not take what it should.
func (d *daemon) writable(ctx context.Context) error {
	d.health.mu.Lock()
	since, cause := d.health.since, d.health.cause
	d.health.mu.Unlock()
	if !since.IsZero() {
		return cause
	}
	return d.db.Writable(ctx)
}

// health remembers what is dear to find out.
type health struct {
	mu    sync.Mutex
	errs  uint64 // of the watcher, when they were looked at last
	since time.Time
	cause error
	tried time.Time // the last write that failed, or that was tried for this

	counting sync.Mutex // another one: what is counted asks for what stands above
	open     map[event.Severity]int
	openedAt time.Time
}

// probeEvery is how often a state that failed is tried, and how old the counts
// of open conditions may be.
const (
	probeEvery  = 10 * time.Second
	countsEvery = time.Minute
)

// failing says since when the state cannot be written and why: since a write
// failed, until none has failed for a while and a small one succeeds. A small
// one alone proves little: on a full disk it may find room where a step does
// not, and the trouble would seem to come and go. One goroutine asks.
func (h *health) failing(now time.Time, s watcher.Stats, writable func(context.Context) error) (time.Time, error) {
	since, cause, probe := h.noted(now, s)
	if !probe {
		return since, cause
	}
	err := writable(context.Background()) // without the lock: it may hang, and others ask
	h.mu.Lock()
	defer h.mu.Unlock()
	if err != nil {
		h.cause = err
	} else {
		h.since, h.cause = time.Time{}, nil
	}
	return h.since, h.cause
}

// noted takes in what failed since the last look, and says whether a write is to be
// tried now.
func (h *health) noted(now time.Time, s watcher.Stats) (since time.Time, cause error, probe bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.StoreErrs > h.errs {
		h.errs, h.cause, h.tried = s.StoreErrs, s.StoreErr, now
		if h.since.IsZero() {
			h.since = now
		}
	}
	if h.since.IsZero() || now.Sub(h.tried) < probeEvery {
		return h.since, h.cause, false
	}
	h.tried = now
	return h.since, h.cause, true
}

// conditions counts the open conditions by severity. That reads the memory of
// every endpoint, so it is done once a minute at most.
func (h *health) conditions(ctx context.Context, a query.Answers) map[event.Severity]int {
	h.counting.Lock()
	defer h.counting.Unlock()
	if time.Since(h.openedAt) < countsEvery && h.open != nil {
		return h.open
	}
	r, err := a.Status(ctx)
	if err != nil {
		return h.open // the last that is known
	}
	h.openedAt = time.Now()
	h.open = map[event.Severity]int{
		event.SeverityCritical: r.Conditions.Critical, event.SeverityHigh: r.Conditions.High, event.SeverityMedium: r.Conditions.Medium,
		event.SeverityLow: r.Conditions.Low, event.SeverityInformational: r.Conditions.Informational,
	}
	return h.open
}

func has(list []string, name string) bool { return slices.Contains(list, name) }
