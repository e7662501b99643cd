package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/sinks"
	"github.com/jwkswatch/jwkswatch/state/bolt"
	"github.com/jwkswatch/jwkswatch/watcher"
)

const (
	demoEndpoint = "demo-idp"
	demoStream   = "JWKSWATCH"
	demoInterval = 250 * time.Millisecond
	demoLook     = 100 * time.Millisecond
	demoPatience = 8 * time.Second // for one act on a slow machine
)

func newDemo() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Show the whole job offline: an issuer rotates properly, then is attacked",
		Long: `Show the whole job offline. A local issuer rotates its keys properly and then is
attacked; it is really polled, its history is kept in a temporary state file, and
the events are published to an embedded NATS JetStream server and read back from
there. Nothing leaves this machine and nothing is left behind.

Exits 0 only if exactly the expected events arrived, each once.`,
		Example: "  jwkswatch demo",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Minute)
			defer cancel()
			d := &demo{story: newStory(cmd.OutOrStdout())}
			if err := d.run(ctx); err != nil {
				return &ended{exitFailed, fmt.Errorf("demo: %w", err)}
			}
			return nil
		},
	}
}

// act is one scene of the demo: what the issuer does and what must be told.
type act struct {
	title, text string
	do          func(*lab.Issuer)
	want        []string // severity and type, in order; " closed" for a closing
	whole       string   // show this event whole
}

func acts() []act {
	return []act{
		{
			title: "First sight", text: "An issuer with two keys. Everything after is judged against them.",
			do:   func(i *lab.Issuer) { i.Publish(lab.NewEC("2026-a", "P-256"), lab.NewEC("2026-b", "P-256")) },
			want: []string{"informational baseline.established"},
		},
		{
			title: "An orderly rotation begins", text: "A new key is published before the old one goes.",
			do:   func(i *lab.Issuer) { i.Add(lab.NewEC("2026-c", "P-256")) },
			want: []string{"low key.added"},
		},
		{
			title: "An orderly rotation ends", text: "The oldest key is withdrawn. One answer is not believed; a second one is.",
			do:   func(i *lab.Issuer) { i.Remove("2026-a") },
			want: []string{"informational key.removed", "informational rotation.completed"},
		},
		{
			title: "A key is exchanged under its name", text: "Same kid, other material: what a substitution looks like.",
			do:    func(i *lab.Issuer) { i.Mutate("2026-b") },
			want:  []string{"critical key.mutated"},
			whole: "key.mutated",
		},
		{
			title: "A private key is published", text: "Whoever reads the set can now sign for anyone. The event names the member, never its value.",
			do:   func(i *lab.Issuer) { i.Leak("2026-c") },
			want: []string{"critical key.private"},
		},
		{
			title: "The leak is mended", text: "The stolen key is withdrawn and a new one takes its place.",
			do: func(i *lab.Issuer) { i.Rotate(lab.NewEC("2026-d", "P-256"), "2026-c") },
			want: []string{
				"low key.added", "informational key.removed", "informational rotation.completed", "high rotation.removed_early",
				"informational key.private closed",
			},
		},
		{
			title: "The set is emptied", text: "No token verifies any more. The known keys stay the baseline.",
			do:   func(i *lab.Issuer) { i.Answer(lab.Set()) },
			want: []string{"critical set.emptied"},
		},
		{
			title: "The set is back", text: "The known keys return, so nothing was removed.",
			do:   func(i *lab.Issuer) { i.Answer(nil) },
			want: []string{"informational set.emptied closed"},
		},
		{
			title: "A login page instead of a set", text: "HTTP 200 and HTML: a broken answer removes nothing.",
			do:   func(i *lab.Issuer) { i.Answer(lab.HTMLLogin()) },
			want: []string{"medium document.invalid"},
		},
		{
			title: "The set is back again", text: "The same keys as before: no change.",
			do:   func(i *lab.Issuer) { i.Answer(nil) },
			want: []string{"informational document.invalid closed"},
		},
		{
			title: "All keys are replaced at once", text: "A hard cut-over, or a takeover of the issuer: every token in flight fails.",
			do: func(i *lab.Issuer) { i.Publish(lab.NewEC("x-1", "P-256"), lab.NewEC("x-2", "P-256")) },
			want: []string{
				"high set.replaced", "low key.added", "low key.added", "informational key.removed", "informational key.removed",
			},
		},
	}
}

// demo is one run. What it starts it stops.
type demo struct {
	story  *story
	issuer lab.Issuer
	read   jetstream.Consumer
	seen   map[string]bool
}

func (d *demo) run(ctx context.Context) (err error) {
	dir, err := os.MkdirTemp("", "jwkswatch-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	play := acts()
	play[0].do(&d.issuer) // before the first poll: nothing is judged against nothing
	url, stopIssuer, err := d.issuer.Start()
	if err != nil {
		return fmt.Errorf("starting the issuer: %w", err)
	}
	defer stopIssuer()
	broker, err := startBroker(filepath.Join(dir, "nats"))
	if err != nil {
		return err
	}
	defer broker.Shutdown()
	if err := d.subscribe(ctx, broker.ClientURL()); err != nil {
		return fmt.Errorf("reading from NATS: %w", err)
	}
	d.story.open(url, broker.ClientURL())
	watching, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- d.watch(watching, filepath.Join(dir, "state.db"), url, broker.ClientURL()) }()
	err = d.play(ctx, play)
	stop()
	return errors.Join(err, <-done)
}

func startBroker(dir string) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true,
	})
	if err != nil {
		return nil, fmt.Errorf("starting NATS: %w", err)
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		s.Shutdown()
		return nil, errors.New("starting NATS: not ready after 10 s")
	}
	return s, nil
}

// subscribe makes the stream and a consumer of its own connection: what it reads
// went through the broker.
func (d *demo) subscribe(ctx context.Context, url string) error {
	nc, err := nats.Connect(url)
	if err != nil {
		return err
	}
	context.AfterFunc(ctx, nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	_, err = js.CreateStream(ctx, jetstream.StreamConfig{
		Name: demoStream, Subjects: []string{sinks.DefaultPrefix + ".>"}, Storage: jetstream.FileStorage,
	})
	if err != nil {
		return err
	}
	d.read, err = js.OrderedConsumer(ctx, demoStream, jetstream.OrderedConsumerConfig{})
	return err
}

// watch is the daemon without its tools: the same watcher, state and delivery
// as run's, with a faster clock. It watches until the context ends.
func (d *demo) watch(ctx context.Context, path, url, broker string) (err error) {
	db, err := bolt.Open(ctx, bolt.Options{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	log := zerolog.New(d.story.ops()).Level(zerolog.ErrorLevel)
	post := couriers{db: db, instance: "demo", log: log}
	made, err := post.open(ctx, []configs.Sink{{
		Name: "demo", Type: configs.TypeNATS, From: configs.FromBeginning,
		NATS: &configs.NATS{URL: broker, Stream: demoStream, Subject: sinks.DefaultPrefix},
	}})
	if err != nil {
		return err
	}
	post.run(made)
	in := db.Installation()
	w := &watcher.Watcher{
		Endpoints: []watcher.Endpoint{{
			Name: demoEndpoint, Interval: demoInterval, Tier: "standard",
			Target: fetch.Target{URL: url, Policy: fetch.Policy{AllowPrivate: true}},
		}},
		Fetch: &fetch.Client{UserAgent: "jwkswatch-demo"}, Store: db, Book: rules.Book(),
		IDs:      event.Identifier{Key: in.Key, Epoch: in.Epoch},
		Observer: watcher.Observer{Name: "demo", Version: version(), ConfigDigest: digest([32]byte{})},
		Log:      log, Look: func(time.Duration) time.Duration { return demoLook },
	}
	return errors.Join(w.Run(ctx), post.end())
}

// play plays act after act and holds each to what must arrive.
func (d *demo) play(ctx context.Context, list []act) error {
	d.seen = map[string]bool{}
	for n, a := range list {
		d.story.act(n+1, a.title, a.text)
		if n > 0 {
			a.do(&d.issuer)
		}
		for _, want := range a.want {
			e, raw, err := d.next(demoPatience)
			if err != nil {
				return fmt.Errorf("act %d (%s): want %s: %w", n+1, a.title, want, err)
			}
			d.story.event(e)
			if got := named(e); got != want {
				return fmt.Errorf("act %d (%s): want %s, got %s", n+1, a.title, want, got)
			}
			if d.seen[e.ID] {
				return fmt.Errorf("act %d (%s): id %s came twice", n+1, a.title, e.ID)
			}
			d.seen[e.ID] = true
			if string(e.Data.Event.Type) == a.whole {
				d.story.whole(raw)
			}
		}
	}
	// Nothing more may come: some polls later the stream holds what was read.
	if e, _, err := d.next(4 * demoInterval); err == nil {
		return fmt.Errorf("an event nobody expected: %s", named(e))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.story.close(len(d.seen))
	return nil
}

// next reads one event back from JetStream.
func (d *demo) next(patience time.Duration) (*event.Event, []byte, error) {
	msg, err := d.read.Next(jetstream.FetchMaxWait(patience))
	if err != nil {
		return nil, nil, fmt.Errorf("nothing arrived within %v: %w", patience, err)
	}
	e, err := event.Decode(msg.Data())
	if err != nil {
		return nil, nil, err
	}
	if id := msg.Headers().Get(nats.MsgIdHdr); id != e.ID {
		return nil, nil, fmt.Errorf("event %s was published as %q", e.ID, id)
	}
	return e, msg.Data(), nil
}

// named is an event as the acts name it.
func named(e *event.Event) string {
	s := e.Data.Event.Severity.String() + " " + string(e.Data.Event.Type)
	if c := e.Data.Event.Condition; c != nil && c.State == event.Closed {
		s += " closed"
	}
	return s
}

// indented is an event for reading.
func indented(raw []byte) string {
	var v json.RawMessage = raw
	b, err := json.MarshalIndent(v, "    ", "  ")
	if err != nil {
		return string(raw)
	}
	return string(b)
}
