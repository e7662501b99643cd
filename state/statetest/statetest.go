// Package statetest is the conformance suite of state.Store: what an engine
// must do, sentence by sentence of the interface.
package statetest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// Run tests an engine. Open opens the state that lives in dir, and creates it
// when dir is empty; a state that is closed may be opened again. It must fail
// the test when it cannot.
func Run(t *testing.T, open func(t *testing.T, dir string) state.Store) {
	t.Helper()
	for _, c := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Empty", testEmpty},
		{"RoundTrip", testRoundTrip},
		{"BodyStands", testBodyStands},
		{"OnlyNewestMemory", testOnlyNewestMemory},
		{"LargeBody", testLargeBody},
		{"CallersBytes", testCallersBytes},
		{"Conflict", testConflict},
		{"Retry", testRetry},
		{"AllOrNothing", testAllOrNothing},
		{"RepeatedEventID", testRepeatedEventID},
		{"RefusedContext", testRefusedContext},
		{"EndpointsApart", testEndpointsApart},
		{"SnapshotsStop", testSnapshotsStop},
		{"Seen", testSeen},
		{"Cursors", testCursors},
		{"Notes", testNotes},
		{"Positions", testPositions},
		{"EventsEndAtHead", testEventsEndAtHead},
		{"EventsAndCommits", testEventsAndCommits},
		{"EventsStop", testEventsStop},
		{"BadPosition", testBadPosition},
		{"Wait", testWait},
		{"WaitContext", testWaitContext},
		{"WaitManySinks", testWaitManySinks},
		{"Concurrent", testConcurrent},
		{"OneWinner", testOneWinner},
		{"Reopen", testReopen},
		{"Closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := &suite{t: t, open: open, dir: t.TempDir()}
			s.Store = open(t, s.dir)
			t.Cleanup(func() { _ = s.Close() })
			c.test(t, s)
		})
	}
}

// suite is one store under test.
type suite struct {
	state.Store
	t    *testing.T
	open func(t *testing.T, dir string) state.Store
	dir  string
}

func (s *suite) reopen() {
	s.t.Helper()
	if err := s.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.Store = s.open(s.t, s.dir)
}

// begin is a time of no meaning, in another zone and with nanoseconds.
func begin() time.Time {
	return time.Date(2026, 11, 22, 18, 49, 3, 412_345_678, time.FixedZone("", 3600))
}

// step makes the Txn that leads to a revision, with n events; equal arguments
// make an equal Txn.
func step(endpoint string, revision uint64, n int) state.Txn {
	name := fmt.Sprintf("%s-%d", endpoint, revision)
	body := fmt.Appendf(nil, `{"keys":[{"kid":%q}]}`, name)
	at := begin().Add(time.Duration(revision) * time.Minute)
	t := state.Txn{Prev: revision - 1, Next: state.Record{
		Endpoint: endpoint, Revision: revision, At: at,
		Head:   state.Head{Epoch: "epoch", Sequence: revision * uint64(n), Hash: sha256.Sum256([]byte(name))},
		Digest: sha256.Sum256(body), Body: body, Memory: []byte("memory " + name), Evidence: fmt.Appendf(nil, `{"of":%q}`, name),
	}}
	for i := range n {
		id := fmt.Sprintf("jw1-%s-%d", name, i)
		t.Events = append(t.Events, state.Entry{
			ID: id, Type: "key.added", Endpoint: endpoint, Severity: uint8(1 + i%5), At: at,
			JSON: fmt.Appendf(nil, `{"id":%q}`, id),
		})
	}
	return t
}

func (s *suite) commit(txns ...state.Txn) {
	s.t.Helper()
	for _, txn := range txns {
		if err := s.Commit(s.t.Context(), txn); err != nil {
			s.t.Fatal(err)
		}
	}
}

func (s *suite) latest(endpoint string) state.Record {
	s.t.Helper()
	r, err := s.Latest(s.t.Context(), endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *suite) snapshots(endpoint string) []state.Record {
	s.t.Helper()
	var out []state.Record
	for r, err := range s.Snapshots(s.t.Context(), endpoint) {
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

func (s *suite) events(after string) []state.Entry {
	s.t.Helper()
	var out []state.Entry
	for e, err := range s.Events(s.t.Context(), after) {
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

func (s *suite) head() string {
	s.t.Helper()
	h, err := s.Head(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// sameRecord fails unless the records are equal. An empty Memory or Evidence
// may come back as nil; a Body that is nil may not come back as an empty one.
func (s *suite) sameRecord(got, want state.Record) {
	s.t.Helper()
	if got.Endpoint != want.Endpoint || got.Revision != want.Revision || !got.At.Equal(want.At) ||
		got.Head != want.Head || got.Digest != want.Digest || string(got.Body) != string(want.Body) ||
		(got.Body == nil) != (want.Body == nil) || string(got.Memory) != string(want.Memory) ||
		string(got.Evidence) != string(want.Evidence) {
		s.t.Fatalf("record is\n%+v\nwant\n%+v", got, want)
	}
}

// sameEvents fails unless the entries are the wanted ones, with positions that
// rise.
func (s *suite) sameEvents(got, want []state.Entry) {
	s.t.Helper()
	if len(got) != len(want) {
		s.t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	last := ""
	for i := range got {
		g, w := got[i], want[i]
		if g.ID != w.ID || g.Type != w.Type || g.Endpoint != w.Endpoint || g.Severity != w.Severity ||
			!g.At.Equal(w.At) || string(g.JSON) != string(w.JSON) {
			s.t.Fatalf("entry %d is\n%+v\nwant\n%+v", i, g, w)
		}
		if g.Position <= last {
			s.t.Fatalf("entry %d: position %q does not follow %q", i, g.Position, last)
		}
		last = g.Position
	}
}

func mustBe(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}

// refused fails unless an error says neither to read again nor to try again.
func refused(t *testing.T, err error) {
	t.Helper()
	if err == nil || errors.Is(err, state.ErrConflict) || errors.Is(err, state.ErrUnavailable) {
		t.Fatalf("error is %v, want one that is final", err)
	}
}

func join(txns ...state.Txn) []state.Entry {
	var out []state.Entry
	for _, t := range txns {
		out = slices.Concat(out, t.Events)
	}
	return out
}
