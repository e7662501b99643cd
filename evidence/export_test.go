package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
)

// export is what a sink wrote: the agent's first word, then three streams, each a
// chain, with a checkpoint of what changed after every sixth event and at the end.
type export struct {
	t       testing.TB
	key     ed25519.PrivateKey
	pin     string
	epoch   string
	at      time.Time
	heads   map[string]evidence.Head
	changed map[string]bool // since the last checkpoint; nil before the first
	lines   [][]byte
}

func newExport(t testing.TB, events int) *export {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &export{
		t: t, key: key, pin: evidence.Thumbprint(public), epoch: "e1", heads: map[string]evidence.Head{},
		at: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC),
	}
	x.say(event.AgentStream, event.AgentStarted, event.AgentStartedDetails{Endpoints: 3})
	for i := range events {
		// One of the streams says nothing any more after its first two events.
		x.say([]string{"a", "b", "quiet"}[min(i%3, max(0, 8-i))], event.KeyAdded, event.KeyAddedDetails{Class: "sig"})
		switch i % 6 {
		case 2:
			x.say(event.AgentStream, event.AgentHeartbeat, event.AgentHeartbeatDetails{})
		case 5:
			x.checkpoint()
		}
	}
	x.checkpoint()
	return x
}

// say adds an event a minute after the last one.
func (x *export) say(stream string, typ event.Type, details any) {
	x.t.Helper()
	x.at = x.at.Add(time.Minute)
	x.add(stream, typ, details, x.at)
}

func (x *export) add(stream string, typ event.Type, details any, at time.Time) {
	x.t.Helper()
	was := x.heads[stream]
	e := event.Event{ID: fmt.Sprintf("jw1-%026d", len(x.lines)), Source: "urn:jwkswatch:soc-1:" + stream, Subject: stream, Time: event.At(at)}
	e.Data = event.Data{
		Event:     event.Facts{Type: typ, Severity: event.SeverityLow, Verdict: event.Informational, Message: "x", Count: 1},
		Judgement: event.Judgement{BaseSeverity: event.SeverityLow}, Details: details,
		Integrity: event.Integrity{Stream: stream, Epoch: x.epoch, Sequence: was.Sequence + 1},
	}
	if was.Sequence > 0 {
		e.Data.Integrity.Previous = new(was.Hash)
	}
	line, err := e.Encode()
	if err != nil {
		x.t.Fatal(err)
	}
	x.heads[stream] = evidence.Head{Stream: stream, Epoch: x.epoch, Sequence: was.Sequence + 1, Hash: hash(x.t, line)}
	if x.changed != nil {
		x.changed[stream] = true
	}
	x.lines = append(x.lines, line)
}

func hash(t testing.TB, line []byte) string {
	t.Helper()
	sum, err := event.Hash(line)
	if err != nil {
		t.Fatal(err)
	}
	return "sha256:" + hex.EncodeToString(sum[:])
}

func (x *export) checkpoint() {
	x.t.Helper()
	var heads []evidence.Head
	for _, h := range x.heads {
		heads = append(heads, h)
	}
	var changed func(string) bool
	if x.changed != nil {
		changed = func(stream string) bool { return x.changed[stream] }
	}
	parts := evidence.Checkpoints("soc-1", event.At(x.at), heads, changed)
	x.changed = map[string]bool{}
	for _, c := range parts {
		jws, err := evidence.Sign(x.key, c)
		if err != nil {
			x.t.Fatal(err)
		}
		x.say(event.AgentStream, event.AgentCheckpoint, event.AgentCheckpointDetails{
			JWS: jws, Key: x.pin, Digest: c.Digest, Total: c.Total, Changed: c.Changed, Full: c.Full, Part: c.Part, Parts: c.Parts,
		})
	}
}

// checkpoints are the places of the checkpoints.
func (x *export) checkpoints() (at []int) {
	for i, l := range x.lines {
		if bytes.Contains(l, []byte(`"agent.checkpoint"`)) {
			at = append(at, i)
		}
	}
	return at
}

// pinned verifies against the key of the export.
func (x *export) pinned(lines [][]byte) evidence.Report {
	x.t.Helper()
	return verify(x.t, &evidence.Verifier{Keys: []string{x.pin}}, lines)
}

func verify(t testing.TB, v *evidence.Verifier, files ...[][]byte) evidence.Report {
	t.Helper()
	for i, lines := range files {
		text := append(bytes.Join(lines, []byte("\n")), '\n')
		if err := v.Read(fmt.Sprintf("file%d", i), bytes.NewReader(text)); err != nil {
			t.Fatal(err)
		}
	}
	return v.Report()
}

func replaced(lines [][]byte, i int, with []byte) [][]byte {
	out := slices.Clone(lines)
	out[i] = with
	return out
}

func has(r evidence.Report, kind evidence.Kind) bool {
	return slices.ContainsFunc(r.Findings, func(f evidence.Finding) bool { return f.Kind == kind })
}

func noted(r evidence.Report, text string) bool {
	return strings.Contains(strings.Join(r.Notes, "\n"), text)
}

// rechained makes a chain fit again after an event was altered: what who has the
// export, and not the key, can do.
func rechained(t *testing.T, lines [][]byte, stream string) [][]byte {
	t.Helper()
	out, previous := slices.Clone(lines), any(nil)
	for i, l := range out {
		var e map[string]any
		if err := json.Unmarshal(l, &e); err != nil {
			t.Fatal(err)
		}
		at := e["data"].(map[string]any)["integrity"].(map[string]any)
		if at["stream"] != stream {
			continue
		}
		at["previous"] = previous
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		out[i], previous = line, hash(t, line)
	}
	return out
}
