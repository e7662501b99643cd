package sinks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// sample makes entry i of an endpoint, with the members a sink looks at.
func sample(i int, endpoint string) state.Entry {
	return sampleOf(i, endpoint, "key.added", event.SeverityHigh, "a new key")
}

func sampleOf(i int, endpoint, typ string, severity event.Severity, message string) state.Entry {
	id := fmt.Sprintf("jw1-%026d", i)
	name := any(endpoint)
	facts := map[string]any{"type": typ, "severity": severity, "message": message}
	data := map[string]any{"event": facts, "endpoint": map[string]any{"name": name}}
	if endpoint == "" {
		data["endpoint"] = nil
	}
	b, err := json.Marshal(map[string]any{"specversion": "1.0", "id": id, "time": "2026-11-22T18:49:03.412Z", "data": data})
	if err != nil {
		panic(err)
	}
	return state.Entry{ID: id, Type: typ, Endpoint: endpoint, Severity: uint8(severity), JSON: b}
}

// samples makes n entries spread over some endpoints.
func samples(n, endpoints int) []state.Entry {
	var s []state.Entry
	for i := range n {
		s = append(s, sample(i, fmt.Sprintf("ep-%d", i%endpoints)))
	}
	return s
}

// patience is how long a test waits for what comes at once, on a machine that others
// use too.
const patience = time.Minute

// eventually waits for a condition.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting until %s", what)
		case <-tick.C:
		}
	}
}

// ops collects operational lines.
type ops struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *ops) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *ops) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *ops) count(text string) int { return bytes.Count([]byte(o.String()), []byte(text)) }

func (o *ops) logger() zerolog.Logger { return zerolog.New(o) }

// broker is a real NATS server with JetStream on loopback.
type broker struct {
	t    *testing.T
	opts server.Options
	s    *server.Server
}

func newBroker(t *testing.T, edit func(*server.Options)) *broker {
	t.Helper()
	b := &broker{t: t, opts: server.Options{
		Host: "127.0.0.1", Port: freePort(t), JetStream: true, StoreDir: t.TempDir(), NoLog: true, NoSigs: true,
	}}
	if edit != nil {
		edit(&b.opts)
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

// freePort is a port for who goes away and comes back on it. The kernel gives it to
// nobody who asks for any: an own connection of another test would have it meanwhile.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.N(10_000)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

func (b *broker) start() {
	b.t.Helper()
	o := b.opts
	s, err := server.NewServer(&o)
	if err != nil {
		b.t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(patience) {
		b.t.Fatal("the embedded NATS server does not start")
	}
	b.s = s
}

func (b *broker) stop() {
	b.s.Shutdown()
	b.s.WaitForShutdown()
}

// restart changes the settings of the server while it is down. Credentials are
// changed like this and not by reload, in which this server races with itself.
func (b *broker) restart(edit func(*server.Options)) {
	b.t.Helper()
	b.stop()
	edit(&b.opts)
	b.start()
}

// reload changes the settings of the running server.
func (b *broker) reload(edit func(*server.Options)) {
	b.t.Helper()
	edit(&b.opts)
	o := b.opts
	if err := b.s.ReloadOptions(&o); err != nil {
		b.t.Fatal(err)
	}
}

func (b *broker) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", b.opts.Port) }

// client is a connection of somebody else.
func (b *broker) client(options ...nats.Option) *nats.Conn {
	b.t.Helper()
	nc, err := nats.Connect(b.url(), append(options, nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return nc
}

// stream makes the stream JWKS of the default subjects.
func stream(t *testing.T, nc *nats.Conn, edit func(*jetstream.StreamConfig)) jetstream.Stream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	c := jetstream.StreamConfig{Name: "JWKS", Subjects: []string{"jwkswatch.v1.>"}, Duplicates: 2 * time.Hour}
	if edit != nil {
		edit(&c)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		s, err := js.CreateOrUpdateStream(t.Context(), c)
		if err == nil {
			return s
		}
		// A server that still clears the folder of a stream that was deleted says that
		// it cannot create the store of the next one.
		if refused, is := errors.AsType[*jetstream.APIError](err); !is || refused.ErrorCode != notCreated || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// notCreated is JSStreamCreateErrF of the server: any failure of its own.
const notCreated = 10049

// stored returns the ids in the stream, in its order.
func stored(t *testing.T, s jetstream.Stream) []string {
	t.Helper()
	var ids []string
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := s.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		id := m.Header.Get("Nats-Msg-Id")
		if id == "" { // sent again to a stream that still remembered the id
			id = m.Header.Get(eventIDHeader)
		}
		ids = append(ids, id)
	}
	return ids
}

func count(t *testing.T, s jetstream.Stream) int {
	t.Helper()
	info, err := s.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return int(info.State.Msgs)
}

func idsOf(entries []state.Entry) []string {
	var ids []string
	for _, e := range entries {
		ids = append(ids, e.ID)
	}
	return ids
}

// quick are the settings of a sink that has no time to lose.
func quick(b *broker) NATSConfig {
	return NATSConfig{
		URL: b.url(), Stream: "JWKS", Timeout: 2 * time.Second, ReconnectWait: 20 * time.Millisecond, VerifyEvery: 20 * time.Millisecond,
	}
}

func openNATS(t *testing.T, c NATSConfig, log zerolog.Logger) *NATS {
	t.Helper()
	n, err := OpenNATS(c, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// deliver runs a Delivery from the beginning of a journal until the test ends
// or stop is called.
func deliver(t *testing.T, j Journal, s Sink, log zerolog.Logger) (d *Delivery, stop func()) {
	t.Helper()
	d = &Delivery{
		Store: j, Sink: s, From: FromBeginning, Log: log, Drain: 200 * time.Millisecond,
		Backoff: Backoff{Min: 5 * time.Millisecond, Max: 40 * time.Millisecond},
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return d, stop
}
