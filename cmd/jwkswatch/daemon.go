package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/watcher"
	"github.com/jwkswatch/jwkswatch/web"
)

// daemon is a running agent: one state, one watcher, the couriers to the sinks,
// the voice that speaks of the agent itself, and who answers questions.
type daemon struct {
	db      *bolt.DB
	log     zerolog.Logger
	started time.Time
	systemd notifier
	keeper  *bolt.Keeper // nil for a state that nobody misses
	young   bool         // the state held nothing at the start

	watcher  *watcher.Watcher
	post     *couriers
	voice    *agent.Voice
	overseer *agent.Overseer
	notary   *agent.Notary
	exchange *exchange
	control  *control.Server
	web      *web.Server // nil without a listener
	health   health
}

func newDaemon(path string, c *configs.Config, db *bolt.DB, out io.Writer, log zerolog.Logger, systemd notifier) (*daemon, error) {
	in := db.Installation()
	ids := event.Identifier{Key: in.Key, Epoch: in.Epoch}
	voice := &agent.Voice{Store: db, IDs: ids, Log: log}
	granted, err := voice.Ledger(context.Background(), time.Now())
	if err != nil {
		return nil, err
	}
	list, err := endpoints(c, granted)
	if err != nil {
		return nil, err
	}
	d := &daemon{
		db: db, voice: voice, log: log, started: time.Now(), systemd: systemd,
		post: &couriers{db: db, out: out, instance: c.Observer.Name, log: log, lost: lost(voice)},
		watcher: &watcher.Watcher{
			Endpoints: list, Observer: observer(c), Fetch: &fetch.Client{UserAgent: "jwkswatch/" + version()},
			Store: db, Book: rules.Book(), Blocklists: c.Compromised.Lists, IDs: ids, Log: log,
		},
	}
	d.watcher.SetRules(c.Rules.Set)
	d.exchange = newExchange(d, path, c)
	voice.Observer, voice.Amend = d.observing, d.amend
	d.overseer = &agent.Overseer{
		Voice: d.voice, Fleet: d.fleet, Sinks: d.sinks, Heads: d.chains,
		Polls:    func() (uint64, uint64) { s := d.watcher.Stats(); return s.Polls, s.Failed },
		Lag:      d.watcher.Lag,
		Failing:  func() (time.Time, error) { return d.health.failing(time.Now(), d.watcher.Stats(), db.Writable) },
		Damaged:  d.damaged,
		Degraded: d.watcher.SetDegraded,
		Slept:    slept,
		StateSize: func() int64 {
			n, err := db.Size()
			if err != nil {
				return 0 // the state is closed: nobody will hear it
			}
			return n
		},
	}
	d.overseer.SetHeartbeat(c.Observer.Heartbeat)
	key, err := signingKey(c.SigningKey())
	if err != nil {
		return nil, err
	}
	d.notary = &agent.Notary{Voice: voice, Key: key, Heads: d.chains, Every: c.Evidence.Every}
	d.control = &control.Server{
		Path: c.State.Socket(), Answers: &query.State{Source: db, Live: d.live},
		Reload: d.exchange.reload, Backup: db.Backup, Replay: d.replay, Approve: d.exchange.approve, Revoke: d.exchange.revoke, Approvals: d.approvals, Drill: func(ctx context.Context, endpoint, scenario string, timeout time.Duration) (control.DrillResult, error) {
			return d.drill(ctx, endpoint, scenario, timeout, false)
		}, Healthy: d.healthy, Log: log,
	}
	if w := c.Web; w != nil {
		d.web = &web.Server{
			Listen: w.Listen, CertPEM: w.Cert, KeyPEM: w.Key, Token: w.Token.Reveal(),
			Snapshot: d.measure, Alive: d.watcher.Alive, Writable: d.writable, Log: log,
		}
	}
	return d, nil
}

// amend lets the operator's rules judge what the agent says.
func (d *daemon) amend(e *event.Event) { d.exchange.current().Rules.Set.Apply(e) }

// run watches until the context ends. The order of the start: what may fail,
// then the cursors of new sinks, so that all that is found from now on is
// theirs, then the first word, then the first poll. The order of the end: no
// poll, the last word, what is left in the journal, and then no answer any more.
func (d *daemon) run(ctx context.Context) error {
	c := d.exchange.current()
	if err := d.listen(); err != nil {
		return err
	}
	// A stop does not break a start off in the middle: it takes moments, and what is
	// begun ends in order.
	whole := context.WithoutCancel(ctx)
	made, err := d.post.open(whole, c.Sinks)
	if err != nil {
		return err
	}
	err = d.upgraded(ctx)
	stopped := ctx.Err() != nil // perhaps without the backup: this version writes nothing
	if err == nil && !stopped {
		err = d.begin(whole, c)
	}
	if err != nil || stopped {
		for _, m := range made {
			err = errors.Join(err, m.close())
		}
		return err
	}
	d.post.run(made)
	ctx, giveUp := context.WithCancelCause(ctx)
	defer giveUp(nil)
	// What answers and oversees outlives the polls, to see them end.
	serving, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	var side sync.WaitGroup
	errs := make([]error, 2)
	side.Go(func() { errs[0] = d.control.Serve(serving) })
	side.Go(func() { d.anchor(serving) }) // once more when all is said
	if d.web != nil {
		side.Go(func() { errs[1] = d.web.Run(serving) })
	}
	var watching sync.WaitGroup
	watching.Go(func() { d.overseer.Run(ctx) })
	watching.Go(func() { d.exchange.run(ctx) })
	signing, signed := context.WithCancel(context.WithoutCancel(ctx))
	defer signed()
	watching.Go(func() { d.notary.Run(signing) })
	watching.Go(func() { d.prune(ctx) })
	watching.Go(func() { d.drills(ctx) })
	watching.Go(func() { giveUp(d.db.Broken(ctx)) })
	watching.Go(func() { d.backups(ctx) })
	watching.Go(func() { d.systemd.watch(ctx, d.turns, d.log) })
	d.tell(d.systemd.ready())
	err = d.watcher.Run(ctx)
	giveUp(nil)
	d.tell(d.systemd.stopping())
	if err != nil {
		err = fmt.Errorf("watching: %w", err)
	}
	signed() // the last checkpoint is over all that was seen
	watching.Wait()
	err = d.finish(err)
	stop()
	side.Wait()
	return errors.Join(append(errs, err)...)
}

// finish says the last word and delivers what is left. After a disk that lost
// what it had taken nothing more can be said: the process ends with the reason,
// and the next one reads what is really there.
func (d *daemon) finish(err error) error {
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	broken := d.db.Broken(ended)
	if broken == nil {
		d.log.Info().Msg("polls ended; delivering what is left")
		return errors.Join(err, d.end(err), d.post.end())
	}
	d.log.Error().Err(broken).Msg("the state is not written any more, and the agent ends: what this disk has lost only a new start can tell")
	if err := d.post.end(); err != nil {
		d.log.Warn().Err(err).Msg("events may be sent again after the start")
	}
	if errors.Is(broken, bolt.ErrTaken) && d.keeper != nil {
		d.rescue()
	}
	return fmt.Errorf("the state is not written any more: %w", broken)
}

// listen opens what others reach, so that a start fails at once where it must.
func (d *daemon) listen() error {
	if d.web != nil {
		if err := d.web.Open(); err != nil {
			return err
		}
		d.log.Info().Str("addr", d.web.Addr()).Msg("serving metrics and health")
	}
	return d.control.Listen()
}

// begin says that the agent watches from now on.
func (d *daemon) begin(ctx context.Context, c *configs.Config) error {
	if err := d.loss(ctx); err != nil {
		return err
	}
	if err := d.voice.Start(ctx, time.Now(), coverage(c)); err != nil {
		return err
	}
	return d.voice.Approvals(ctx, time.Now(), announced(c))
}

// coverage is what is watched.
func coverage(c *configs.Config) agent.StartFacts {
	posture := c.Posture()
	f := agent.StartFacts{
		ConfigDigest: digest(c.Digest), Posture: posture.Encode(),
		Since: func(before []byte) (event.AgentConfigChangedDetails, bool, error) {
			d, err := posture.Since(before)
			return differing(d), d.Critical, err
		},
	}
	for _, e := range c.Endpoints {
		f.Endpoints = append(f.Endpoints, agent.Watched{Name: e.Name, Tier: e.Tier, Interval: e.Interval})
	}
	for _, s := range c.Sinks {
		f.Sinks = append(f.Sinks, s.Name)
	}
	return f
}

// end says that it does not any more.
func (d *daemon) end(cause error) error {
	reason := "signal"
	if cause != nil {
		reason = "error"
	}
	return d.voice.Stop(context.Background(), time.Now(), reason)
}

// adopt puts another configuration in use. An error means that nothing has
// changed. The word of the change is said before a sink goes: who takes the
// sink away must not take the word with it.
func (d *daemon) adopt(ctx context.Context, c *configs.Config, delta configs.Delta, say func() error) error {
	granted, err := d.voice.Ledger(ctx, time.Now())
	if err != nil {
		return err
	}
	list, err := endpoints(c, granted)
	if err != nil {
		return err
	}
	var coming []configs.Sink
	for _, s := range c.Sinks {
		if has(delta.SinksAdded, s.Name) || has(delta.SinksChanged, s.Name) {
			coming = append(coming, s)
		}
	}
	made, err := d.post.open(ctx, coming)
	if err != nil {
		return err
	}
	if err := d.watcher.Update(list, observer(c)); err != nil {
		for _, m := range made {
			err = errors.Join(err, m.close())
		}
		return err
	}
	d.watcher.SetRules(c.Rules.Set)
	d.watcher.SetBlocklists(c.Compromised.Lists)
	if err := say(); err != nil {
		d.log.Error().Err(err).Msg("that the configuration changed is not stored yet; it is tried again")
	}
	if going := append(append([]string{}, delta.SinksRemoved...), delta.SinksChanged...); len(going) > 0 {
		if err := d.post.end(going...); err != nil {
			d.log.Error().Err(err).Msg("a sink that is not used any more did not end in order")
		}
	}
	d.post.run(made)
	d.overseer.SetHeartbeat(c.Observer.Heartbeat)
	return nil
}

// beatsKept is how long heartbeats are kept, and the snapshots of the agent's
// own stream, of which each makes one.
const beatsKept = 24 * time.Hour

// prune drops once an hour what is older than the retention, and thins the
// heartbeats of the day before, when every sink has them.
func (d *daemon) prune(ctx context.Context) {
	t := time.NewTicker(time.Hour)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-t.C:
			if err := d.drop(ctx, now); err != nil && ctx.Err() == nil {
				d.log.Error().Err(err).Msg("old records are not dropped; trying again in an hour")
			}
		}
	}
}

// drop drops what is too old now.
func (d *daemon) drop(ctx context.Context, now time.Time) error {
	retain := d.exchange.current().State.Retain
	if _, err := d.db.Prune(ctx, now.Add(-retain), d.post.names()); err != nil {
		return err
	}
	if _, err := d.db.Thin(ctx, now.Add(-beatsKept), []string{string(event.AgentHeartbeat)}, d.post.names()); err != nil {
		return err
	}
	if _, err := d.db.Forget(ctx, event.AgentStream, now.Add(-beatsKept)); err != nil {
		return err
	}
	return d.compact(ctx)
}

// sparse is from how much free room on a state is made smaller, in octets, when more
// than half of it is free: less is soon written to again.
const sparse = 64 << 20

// compact makes the file of the state smaller where most of it is free.
func (d *daemon) compact(ctx context.Context) error {
	size, err := d.db.Size()
	if err != nil {
		return err
	}
	if spare := d.db.Spare(); spare < sparse || spare < size/2 {
		return nil
	}
	begun := time.Now()
	sizes, err := d.db.Compact(ctx, d.exchange.current().State.Path)
	if err != nil {
		return err
	}
	d.log.Info().Int64("before", sizes.Before).Int64("after", sizes.After).Dur("took", time.Since(begun)).Msg("the file of the state is smaller now")
	return nil
}

// tell logs that systemd could not be told; that stops nothing.
func (d *daemon) tell(err error) {
	if err != nil {
		d.log.Warn().Err(err).Msg("systemd does not listen")
	}
}
