package control

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// shortDir is a folder with a path that has room for a socket, whatever the
// name of the test.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "jw-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// daemon is what a running daemon is to this package: a state, and a server.
type daemon struct {
	*Server
	db    *bolt.DB
	state string // path
	ops   *buffer
	stop  func() error // ends Serve and returns its error
	sent  int
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// at is a time of the test: minutes after its beginning.
func at(minutes int) time.Time {
	return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
}

func openState(t *testing.T, path string) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// start runs a server over a state with a set and ten events.
func start(t *testing.T, edit func(*Server)) *daemon {
	t.Helper()
	d := &daemon{state: filepath.Join(shortDir(t), "s.db"), ops: &buffer{}}
	d.db = openState(t, d.state)
	fill(t, d.db)
	d.sent = 10
	d.Server = &Server{
		Path: DefaultPath(d.state),
		Answers: &query.State{Source: d.db, Live: func() query.Live {
			return query.Live{Version: "1.2.3", Started: at(0), Endpoints: []query.LiveEndpoint{{Name: "corp", LastGood: at(10)}}}
		}},
		Backup: d.db.Backup,
		Log:    zerolog.New(d.ops),
	}
	if edit != nil {
		edit(d.Server)
	}
	if err := d.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- d.Serve(ctx) }()
	d.stop = sync.OnceValue(func() error { cancel(); return <-served })
	t.Cleanup(func() {
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func (d *daemon) client() *Client { return &Client{Path: d.Path} }

// fill makes the endpoint corp with one key and ten events.
func fill(t *testing.T, db *bolt.DB) {
	t.Helper()
	x := sha256.Sum256([]byte("one"))
	body := fmt.Appendf(nil, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":%q}]}`, base64.RawURLEncoding.EncodeToString(x[:]))
	set := jwks.Parse(body)
	m := &history.Memory{URL: "https://corp.example/jwks.json"}
	m.Accept(set.Keys, time.Time{}, at(0))
	m.Note(history.Digest{Sum: set.Digest, At: at(0), Keys: 1})
	memory, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	commit(t, db, state.Record{Endpoint: "corp", Revision: 1, At: at(0), Digest: set.Digest, Body: set.Body, Memory: memory}, 0, 10)
}

// commit stores a step with the events from one number up to another.
func commit(t *testing.T, db *bolt.DB, next state.Record, from, to int) {
	t.Helper()
	txn := state.Txn{Prev: next.Revision - 1, Next: next}
	txn.Next.Head = state.Head{Epoch: "e", Sequence: uint64(to)}
	for i := from; i < to; i++ {
		e := event.Event{
			ID: fmt.Sprintf("jw1-%s-%d", next.Endpoint, i), Source: "urn:x", Subject: "corp", Time: event.At(at(i)),
			Data: event.Data{
				Event:     event.Facts{Type: event.KeyAdded, Severity: event.SeverityLow, Verdict: event.Unexpected, Message: fmt.Sprint("m", i)},
				Details:   event.KeyAddedDetails{},
				Judgement: event.Judgement{BaseSeverity: event.SeverityLow},
				Integrity: event.Integrity{Stream: next.Endpoint, Epoch: "e", Sequence: uint64(i + 1)},
			},
		}
		b, err := e.Encode()
		if err != nil {
			t.Fatal(err)
		}
		txn.Events = append(txn.Events, state.Entry{ID: e.ID, Type: string(event.KeyAdded), Endpoint: next.Endpoint, Severity: 2, At: at(i), JSON: b})
	}
	if err := db.Commit(t.Context(), txn); err != nil {
		t.Fatal(err)
	}
}

// more commits some events of another endpoint, each as its own step.
func (d *daemon) more(t *testing.T, n int) {
	t.Helper()
	for range n {
		rec, err := d.db.Latest(t.Context(), "more")
		if err != nil {
			t.Fatal(err)
		}
		commit(t, d.db, state.Record{Endpoint: "more", Revision: rec.Revision + 1, At: at(d.sent)}, d.sent, d.sent+1)
		d.sent++
	}
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}

func problem(err error) query.Problem {
	if p, ok := errors.AsType[*query.Problem](err); ok {
		return *p
	}
	return query.Problem{}
}

// follower reads a stream in the background and counts.
type follower struct {
	n    atomic.Int64
	end  chan error
	stop context.CancelFunc
}

func (d *daemon) follow(t *testing.T, f query.Filter) *follower {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	out := &follower{end: make(chan error, 1), stop: cancel}
	go func() {
		var last error
		for _, err := range d.client().Follow(ctx, f) {
			if last = err; err == nil {
				out.n.Add(1)
			}
		}
		out.end <- last
	}()
	return out
}

func (f *follower) has(n int64) func() bool { return func() bool { return f.n.Load() == n } }

var errDisk = errors.New("disk on fire\nat the third platter")

func failAfter(n int) func(context.Context, io.Writer) error {
	return func(_ context.Context, w io.Writer) error {
		_, err := w.Write(make([]byte, n))
		return errors.Join(err, errDisk)
	}
}
