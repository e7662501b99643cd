package query_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// world is a real state that a test fills as the daemon would.
type world struct {
	*testing.T
	db    *bolt.DB
	path  string
	heads map[string]state.Head
	last  map[string]uint64 // revision
	mem   map[string]*history.Memory
}

func newWorld(t *testing.T) *world {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &world{t, db, path, map[string]state.Head{}, map[string]uint64{}, map[string]*history.Memory{}}
}

// at is a time of the test: minutes after its beginning.
func at(minutes int) time.Time {
	return time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC).Add(time.Duration(minutes) * time.Minute)
}

// key is an OKP key of its own for each name.
func key(kid, name string, more ...string) string {
	x := sha256.Sum256([]byte(name))
	quoted, err := json.Marshal(kid)
	if err != nil {
		panic(err)
	}
	members := append([]string{fmt.Sprintf(`"kty":"OKP","crv":"Ed25519","kid":%s,"x":%q`, quoted, base64.RawURLEncoding.EncodeToString(x[:]))}, more...)
	return "{" + strings.Join(members, ",") + "}"
}

func set(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

// told is one event to be told.
type told struct {
	typ      event.Type
	severity event.Severity
	message  string
	passes   event.Severity // what filters judge by, if not the severity
}

// step commits a step of an endpoint. Body "" lets the one before stand.
func (w *world) step(name string, minutes int, body string, events ...told) {
	w.Helper()
	m := w.mem[name]
	if m == nil {
		m = &history.Memory{URL: "https://" + name + ".example/jwks.json?token=secret"}
		w.mem[name] = m
	}
	head := w.heads[name]
	head.Epoch = w.db.Installation().Epoch
	next := state.Record{Endpoint: name, Revision: w.last[name] + 1, At: at(minutes), Evidence: w.evidence(name)}
	if body != "" {
		parsed := jwks.Parse([]byte(body))
		if !parsed.Usable() {
			w.Fatalf("no set: %s", body)
		}
		m.Accept(parsed.Keys, at(minutes-1), at(minutes))
		m.Note(history.Digest{Sum: parsed.Digest, At: at(minutes), Keys: len(parsed.Keys)})
		next.Body = parsed.Body
	}
	if n := len(m.Digests); n > 0 {
		next.Digest = m.Digests[n-1].Sum
	}
	txn := state.Txn{Prev: w.last[name]}
	for i, e := range events {
		txn.Events = append(txn.Events, w.event(name, minutes, i, e, &head))
	}
	var err error
	if next.Memory, err = m.Encode(); err != nil {
		w.Fatal(err)
	}
	next.Head = head
	txn.Next = next
	if err := w.db.Commit(w.Context(), txn); err != nil {
		w.Fatal(err)
	}
	w.heads[name], w.last[name] = head, next.Revision
}

func (w *world) evidence(name string) []byte {
	b, err := json.Marshal(event.Transport{URL: "https://" + name + ".example/jwks.json", ETag: new("\"a\x1b[31m\u202e\""), RemoteAddr: new("192.0.2.1:443")})
	if err != nil {
		w.Fatal(err)
	}
	return b
}

// event makes a real event and moves the head over it.
func (w *world) event(name string, minutes, ordinal int, e told, head *state.Head) state.Entry {
	w.Helper()
	ids := event.Identifier{Key: w.db.Installation().Key, Epoch: head.Epoch}
	ev := event.Event{
		ID:     ids.Event(name, w.last[name]+1, [32]byte{}, [32]byte{}, e.typ, name, ordinal),
		Source: event.Source("soc-1", name), Subject: name, Time: event.At(at(minutes)),
		Data: event.Data{
			Event:     event.Facts{Type: e.typ, Severity: e.severity, Verdict: event.Unexpected, Message: e.message},
			Details:   event.NewDetails(e.typ),
			Judgement: event.Judgement{BaseSeverity: e.severity},
			Integrity: event.Integrity{Stream: name, Epoch: head.Epoch, Sequence: head.Sequence + 1},
		},
	}
	if head.Sequence > 0 {
		ev.Data.Integrity.Previous = new("sha256:" + hex.EncodeToString(head.Hash[:]))
	}
	encoded, err := ev.Encode()
	if err == nil {
		head.Hash, err = event.Hash(encoded)
	}
	if err != nil {
		w.Fatal(err)
	}
	head.Sequence++
	entry := state.Entry{ID: ev.ID, Type: string(e.typ), Endpoint: name, Severity: uint8(max(e.severity, e.passes)), At: at(minutes), JSON: encoded}
	if name == event.AgentStream {
		entry.Endpoint = ""
	}
	return entry
}

// open opens a condition with the next step of the endpoint.
func (w *world) open(name string, minutes int, typ event.Type, severity event.Severity) {
	m := w.mem[name]
	if m == nil {
		m = &history.Memory{}
		w.mem[name] = m
	}
	m.Conditions = append(m.Conditions, &history.Condition{
		ID: "c-" + name + string(typ), Type: string(typ), OpenedAt: at(minutes), OpenedBy: "jw1-opening", Severity: uint8(severity),
	})
}

func (w *world) seen(name string, minutes int) {
	w.Helper()
	if err := w.db.Seen(w.Context(), map[string]time.Time{name: at(minutes)}); err != nil {
		w.Fatal(err)
	}
}

// resting answers without a daemon, running with one.
func (w *world) resting() *query.State { return &query.State{Source: w.db} }

func (w *world) running(l query.Live) *query.State {
	return &query.State{Source: w.db, Live: func() query.Live { return l }}
}

func problem(err error) query.Problem {
	if p, ok := errors.AsType[*query.Problem](err); ok {
		return *p
	}
	return query.Problem{}
}

// messages reads the events of an iteration.
func messages(t *testing.T, all iter.Seq2[json.RawMessage, error]) (out []string) {
	t.Helper()
	for raw, err := range all {
		if err != nil {
			t.Fatal(err)
		}
		e, err := event.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e.Data.Event.Message)
	}
	return out
}

func ptr[T comparable](p *T) T {
	if p == nil {
		return *new(T)
	}
	return *p
}
