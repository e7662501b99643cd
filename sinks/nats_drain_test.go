package sinks

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// size is the short form of a count; the long one is run by hand with
// JWKSWATCH_LONG=1.
func size(short, long int) int {
	if os.Getenv("JWKSWATCH_LONG") != "" {
		return long
	}
	return short
}

// queued fills a real state with events of two kilobytes each while nobody reads
// them, spread over endpoints.
func queued(t *testing.T, n, endpoints int) (db *bolt.DB, ids []string) {
	t.Helper()
	db, err := bolt.Open(t.Context(), bolt.Options{Path: filepath.Join(t.TempDir(), "state.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	const step = 500
	for from := 0; from < n; from += step {
		var events []state.Entry
		for i := from; i < min(from+step, n); i++ {
			e := sample(i, fmt.Sprintf("ep-%d", i%endpoints))
			var m map[string]any
			if err := json.Unmarshal(e.JSON, &m); err != nil {
				t.Fatal(err)
			}
			m["padding"] = fmt.Sprintf("%01800d", i)
			if e.JSON, err = json.Marshal(m); err != nil {
				t.Fatal(err)
			}
			e.At = time.Now()
			events = append(events, e)
			ids = append(ids, e.ID)
		}
		r := uint64(from / step)
		err := db.Commit(t.Context(), state.Txn{Prev: r, Events: events, Next: state.Record{
			Endpoint: "all", Revision: r + 1, At: time.Now(), Evidence: []byte("{}"), Memory: []byte{1},
			Head: state.Head{Epoch: "e", Sequence: uint64(from + len(events)), Hash: [32]byte{byte(r), byte(r >> 8), 1}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	return db, ids
}

// A broker that was down for a day comes back: what is queued is drained, in the
// order of the journal, in less than a minute.
func TestNATSDrain(t *testing.T) {
	n := size(2_000, 100_000)
	for name, endpoints := range map[string]int{"of 1000 endpoints": 1000, "of one endpoint": 1} {
		t.Run(name, func(t *testing.T) {
			db, ids := queued(t, n, endpoints)
			b := newBroker(t, nil)
			stream(t, b.client(), nil)
			b.stop()
			log := &ops{}
			c := quick(b)
			c.Manage = ManageVerify
			d, stop := deliver(t, db, openNATS(t, c, log.logger()), log.logger())
			eventually(t, "the missing broker is told of", func() bool { return d.Stats().Retries > 0 })
			b.start()
			begin := time.Now()
			for d.Stats().Sent < uint64(n) && time.Since(begin) < time.Minute {
				time.Sleep(5 * time.Millisecond)
			}
			took := time.Since(begin)
			if got := d.Stats(); got.Sent != uint64(n) || got.LastError != "" {
				t.Fatalf("%d of %d after %s: %+v\n%s", got.Sent, n, took, got, log)
			}
			stop()
			js, err := jetstream.New(b.client())
			if err != nil {
				t.Fatal(err)
			}
			s, err := js.Stream(t.Context(), "JWKS")
			if err != nil {
				t.Fatal(err)
			}
			inOrder(t, s, ids)
			t.Logf("%d events %s drained in %s, %.0f a second, in order", n, name, took.Round(time.Millisecond), float64(n)/took.Seconds())
		})
	}
}

// inOrder holds a stream against the ids that it must have, by one ordered
// consumer: a stream of 100,000 is too long to ask for one by one.
func inOrder(t *testing.T, s jetstream.Stream, ids []string) {
	t.Helper()
	consumer, err := s.OrderedConsumer(t.Context(), jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Stop()
	for i, want := range ids {
		m, err := messages.Next(jetstream.NextMaxWait(patience))
		if err != nil {
			t.Fatalf("event %d: %v", i, err)
		}
		if got := m.Headers().Get("Nats-Msg-Id"); got != want {
			t.Fatalf("event %d is %s, want %s", i, got, want)
		}
	}
	if got := count(t, s); got != len(ids) {
		t.Errorf("stored %d, want %d", got, len(ids))
	}
}

// A broker that is restarted again and again while events flow ends with each of
// them once, and those of an endpoint in order.
func TestNATSRestartedMidPublish(t *testing.T) {
	t.Parallel()
	b := newBroker(t, nil)
	stream(t, b.client(), nil)
	n := size(3_000, 30_000)
	all := samples(n, 300)
	l, log := &losses{}, &ops{}
	s := openNATS(t, asking(b), log.logger())
	d, _ := runs(t, newJournal(all...), s, l, log)
	for i := range 5 {
		until := uint64(n * (i + 1) / 7)
		eventually(t, "some are sent", func() bool { return d.Stats().Sent >= until })
		b.stop()
		b.start()
	}
	eventually(t, "all is sent", func() bool { return d.Stats().CaughtUp })
	got := holds(t, b, all)
	last := map[int]string{}
	for _, id := range got {
		var i int
		if _, err := fmt.Sscanf(id, "jw1-%d", &i); err != nil {
			t.Fatal(err)
		}
		if id < last[i%300] {
			t.Fatalf("%s comes after %s of the same endpoint", id, last[i%300])
		}
		last[i%300] = id
	}
	if st := s.Stats(); st.UnexpectedDuplicates != 0 || len(l.all()) != 0 {
		t.Errorf("%+v, told %+v", st, l.all())
	}
}

// lossy forwards to a broker and lets nothing back while it is deaf.
type lossy struct {
	mu   sync.Mutex
	deaf bool
	ends []net.Conn
}

func (p *lossy) serve(t *testing.T, target string) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close(); p.cut() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", target)
			if err != nil {
				_ = in.Close()
				continue
			}
			p.mu.Lock()
			p.ends = append(p.ends, in, out)
			p.mu.Unlock()
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(p.back(in), out); _ = in.Close() }()
		}
	}()
	return l.Addr().String()
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func (p *lossy) back(w io.Writer) io.Writer {
	return writerFunc(func(b []byte) (int, error) {
		p.mu.Lock()
		deaf := p.deaf
		p.mu.Unlock()
		if deaf {
			return len(b), nil
		}
		return w.Write(b)
	})
}

func (p *lossy) set(deaf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deaf = deaf
}

// cut breaks every connection.
func (p *lossy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.ends {
		_ = c.Close()
	}
	p.ends = nil
}

// An acknowledgement that is lost on the way makes a repetition, which the stream
// drops, and no alarm.
func TestNATSAckLost(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"one by one": 3, "in a window": 200} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBroker(t, nil)
			s := stream(t, b.client(), nil)
			p, log := &lossy{}, &ops{}
			c := quick(b)
			c.URL = "nats://" + p.serve(t, b.url()[len("nats://"):])
			c.Timeout = 300 * time.Millisecond
			nats := openNATS(t, c, log.logger())
			j := newJournal(sampleOf(100_000, "first", "key.added", event.SeverityHigh, "first"))
			d, _ := deliver(t, j, nats, log.logger())
			eventually(t, "the first is sent", func() bool { return d.Stats().Sent == 1 })
			p.set(true)
			all := samples(n, n)
			j.add(all...)
			eventually(t, "some are stored, and nobody hears of it", func() bool { return count(t, s) > 1 && d.Stats().Retries > 0 })
			p.set(false)
			p.cut()
			eventually(t, "all is sent", func() bool { return d.Stats().Sent == uint64(n)+1 })
			if got := stored(t, s); !slices.Equal(slices.Sorted(slices.Values(got[1:])), idsOf(all)) {
				t.Errorf("stored %d", len(got))
			}
			if st := nats.Stats(); st.Duplicates == 0 || st.UnexpectedDuplicates != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}
