package agent_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
	"github.com/jwkswatch/jwkswatch/state"
)

// notary signs with a key that the number makes.
func (s *scene) notary(seed byte) *agent.Notary {
	return &agent.Notary{
		Voice: s.voice, Key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)),
		Heads: func(ctx context.Context) (out []evidence.Head, err error) {
			for h, err := range s.db.Heads(ctx) {
				if err != nil {
					return nil, err
				}
				out = append(out, evidence.Head{Stream: h.Endpoint, Epoch: h.Head.Epoch, Sequence: h.Head.Sequence, Hash: "sha256:" + hex.EncodeToString(h.Head.Hash[:])})
			}
			return out, nil
		},
	}
}

// tells commits an event of an endpoint, as the watcher does.
func (s *scene) tells(endpoint string) {
	s.t.Helper()
	rec, err := s.db.Latest(s.t.Context(), endpoint)
	if err != nil {
		s.t.Fatal(err)
	}
	next := state.Record{Endpoint: endpoint, Revision: rec.Revision + 1, At: time.Now(), Head: rec.Head, Evidence: []byte("{}"), Memory: []byte("{}")}
	next.Head.Epoch = s.voice.IDs.Epoch
	none := [32]byte{}
	e := event.Event{
		ID:     s.voice.IDs.Event(endpoint, next.Revision, none, none, event.KeyAdded, endpoint, 0),
		Source: event.Source("soc-1", endpoint), Subject: endpoint, Time: event.At(time.Now().Truncate(time.Millisecond)),
	}
	e.Data = event.Data{
		Event:     event.Facts{Type: event.KeyAdded, Severity: event.SeverityLow, Verdict: event.Informational, Message: "a key was added", Count: 1},
		Judgement: event.Judgement{BaseSeverity: event.SeverityLow}, Details: event.KeyAddedDetails{Class: "sig"}, Observer: observer(),
		Integrity: event.Integrity{Stream: endpoint, Epoch: next.Head.Epoch, Sequence: next.Head.Sequence + 1},
	}
	if next.Head.Sequence > 0 {
		e.Data.Integrity.Previous = new("sha256:" + hex.EncodeToString(next.Head.Hash[:]))
	}
	line, err := e.Encode()
	if err != nil {
		s.t.Fatal(err)
	}
	if next.Head.Hash, err = event.Hash(line); err != nil {
		s.t.Fatal(err)
	}
	next.Head.Sequence++
	entry := state.Entry{ID: e.ID, Endpoint: endpoint, Type: string(event.KeyAdded), Severity: 2, At: time.Now(), JSON: line}
	if err := s.db.Commit(s.t.Context(), state.Txn{Prev: rec.Revision, Next: next, Events: []state.Entry{entry}}); err != nil {
		s.t.Fatal(err)
	}
}

// verified holds the whole journal against its chains and checkpoints.
func (s *scene) verified(key ...string) evidence.Report {
	s.t.Helper()
	v, n := &evidence.Verifier{Keys: key}, 0
	for e, err := range s.db.Events(s.t.Context(), "") {
		if err != nil {
			s.t.Fatal(err)
		}
		n++
		v.Line("journal", n, e.JSON)
	}
	return v.Report()
}

// signs makes a checkpoint if one is due and returns what its parts sign.
func (s *scene) signs(n *agent.Notary, always bool) (streams []string, parts []*event.Event) {
	s.t.Helper()
	before := len(s.events())
	if err := n.Sign(s.t.Context(), time.Now(), always); err != nil {
		s.t.Fatal(err)
	}
	for _, e := range s.events()[before:] {
		if e.Data.Event.Type != event.AgentCheckpoint {
			continue
		}
		c, _, err := evidence.Open(e.Data.Details.(*event.AgentCheckpointDetails).JWS)
		if err != nil {
			s.t.Fatal(err)
		}
		for _, h := range c.Heads {
			streams = append(streams, h.Stream)
		}
		parts = append(parts, e)
	}
	return streams, parts
}

// TestCheckpoints holds that a checkpoint has the heads that changed since the last
// one, over restarts too; that a pulse alone is signed once an hour; that all of it
// verifies; and that another key is told.
func TestCheckpoints(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.beat = time.Minute
		s.start()
		for i := range 230 {
			s.tells(fmt.Sprintf("e%03d", i))
		}
		n := s.notary(1)
		if streams, parts := s.signs(n, false); len(streams) != 231 || len(parts) != 3 {
			t.Fatalf("the first has %d heads in %d parts", len(streams), len(parts))
		}
		s.pass(10 * time.Minute)
		if streams, _ := s.signs(n, false); streams != nil {
			t.Errorf("nothing but heartbeats, and %q is signed", streams)
		}
		s.tells("e007")
		s.pass(time.Minute)
		if streams, _ := s.signs(n, false); !slices.Equal(streams, []string{event.AgentStream, "e007"}) {
			t.Errorf("signed %q", streams)
		}
		s.tells("e008")
		s.end()
		s.start()
		n = s.notary(1)
		s.tells("e007")
		if streams, _ := s.signs(n, false); !slices.Equal(streams, []string{event.AgentStream, "e007", "e008"}) {
			t.Errorf("after a restart %q", streams)
		}
		s.pass(time.Hour)
		if streams, _ := s.signs(n, false); !slices.Equal(streams, []string{event.AgentStream}) {
			t.Errorf("after an hour of heartbeats %q", streams)
		}
		if streams, _ := s.signs(n, true); !slices.Equal(streams, []string{event.AgentStream}) {
			t.Errorf("at the end %q", streams)
		}
		pin := evidence.Thumbprint(n.Key.Public().(ed25519.PublicKey))
		if r := s.verified(pin); len(r.Findings) > 0 || r.Unsigned != 1 || r.Checkpoints != 7 {
			t.Errorf("%d unsigned, %d checkpoints, %+v", r.Unsigned, r.Checkpoints, r.Findings)
		}
		other := s.notary(2)
		_, parts := s.signs(other, true)
		if f := parts[0].Data.Event; f.Severity != event.SeverityHigh || f.Reasons[0] != "key_changed" || parts[0].Data.Rules[0].ID != "agent-checkpoint-key" {
			t.Errorf("another key: %+v", f)
		}
		if _, parts := s.signs(other, true); parts[0].Data.Event.Severity != event.SeverityInformational {
			t.Error("another key is told again")
		}
		if r := s.verified(pin); len(r.Findings) != 2 || r.Findings[0].Kind != evidence.BadSignature {
			t.Errorf("another key: %+v", r.Findings)
		}
	})
}

// TestCheckpointUnderWay commits an event while the heads are read, at each of them: it
// is in that checkpoint or in the next one, and all of it verifies.
func TestCheckpointUnderWay(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		for _, name := range []string{"a", "b", "c"} {
			s.tells(name)
		}
		n := s.notary(1)
		read := n.Heads
		for _, name := range []string{"a", "b", "c", "d"} {
			n.Heads = func(ctx context.Context) ([]evidence.Head, error) {
				s.tells(name)
				heads, err := read(ctx)
				s.tells(name)
				return heads, err
			}
			s.signs(n, false)
			s.pass(5 * time.Minute)
		}
		n.Heads = read
		s.signs(n, false)
		if r := s.verified(); len(r.Findings) > 0 || r.Unsigned != 1 {
			t.Errorf("%d unsigned, %+v", r.Unsigned, r.Findings)
		}
	})
}
