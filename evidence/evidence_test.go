package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
)

// export is what a sink wrote: three streams, interleaved, each a chain, with a
// checkpoint after every sixth event and one at the end.
type export struct {
	t     *testing.T
	key   ed25519.PrivateKey
	pin   string
	heads map[string]evidence.Head
	lines [][]byte
	made  int
}

func newExport(t *testing.T, events int) *export {
	t.Helper()
	public, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	x := &export{t: t, key: key, pin: evidence.Thumbprint(public), heads: map[string]evidence.Head{}}
	for i := range events {
		x.say([]string{"a", "b", "c"}[i%3], event.KeyAdded, event.KeyAddedDetails{Class: "sig"})
		if i%6 == 5 {
			x.checkpoint()
		}
	}
	x.checkpoint()
	return x
}

func (x *export) say(stream string, typ event.Type, details any) {
	x.t.Helper()
	at := x.heads[stream]
	x.made++
	e := event.Event{ID: fmt.Sprintf("jw1-%026d", x.made), Source: "urn:x", Subject: stream, Time: event.At(time.Date(2026, 11, 23, 8, 0, x.made, 0, time.UTC))}
	e.Data = event.Data{
		Event:     event.Facts{Type: typ, Severity: event.SeverityLow, Verdict: event.Informational, Message: "x", Count: 1},
		Judgement: event.Judgement{BaseSeverity: event.SeverityLow}, Details: details,
		Integrity: event.Integrity{Stream: stream, Epoch: "e1", Sequence: at.Sequence + 1},
	}
	if at.Sequence > 0 {
		e.Data.Integrity.Previous = new(at.Hash)
	}
	line, err := e.Encode()
	if err != nil {
		x.t.Fatal(err)
	}
	sum, err := event.Hash(line)
	if err != nil {
		x.t.Fatal(err)
	}
	x.heads[stream] = evidence.Head{Stream: stream, Epoch: "e1", Sequence: at.Sequence + 1, Hash: "sha256:" + hex.EncodeToString(sum[:])}
	x.lines = append(x.lines, line)
}

func (x *export) checkpoint() {
	x.t.Helper()
	var heads []evidence.Head
	for _, h := range x.heads {
		heads = append(heads, h)
	}
	c := evidence.Checkpoints("soc-1", event.At(time.Now()), heads)
	jws, err := evidence.Sign(x.key, c[0])
	if err != nil {
		x.t.Fatal(err)
	}
	x.say(event.AgentStream, event.AgentCheckpoint, event.AgentCheckpointDetails{JWS: jws, Key: x.pin, Digest: c[0].Digest, Total: c[0].Total, Part: 1, Parts: 1})
}

func verify(v *evidence.Verifier, lines [][]byte) evidence.Report {
	for i, l := range lines {
		v.Line(i+1, l)
	}
	return v.Report()
}

// TestWholeExport finds nothing in what is whole, wrapped by the log sink or not,
// repeated or not.
func TestWholeExport(t *testing.T) {
	t.Parallel()
	x := newExport(t, 30)
	for name, lines := range map[string][][]byte{
		"as it is": x.lines, "twice": append(slices.Clone(x.lines), x.lines...), "with other lines": slices.Insert(slices.Clone(x.lines), 3, []byte(`{"stream":"ops","message":"x"}`), []byte("")),
	} {
		r := verify(&evidence.Verifier{Key: x.pin}, lines)
		if len(r.Findings) > 0 || r.Events != len(x.lines) || r.Streams != 4 || r.Checkpoints < 6 || !slices.Equal(r.Signers, []string{x.pin}) {
			t.Errorf("%s: %+v", name, r)
		}
	}
	var wrapped [][]byte
	for _, l := range x.lines {
		wrapped = append(wrapped, fmt.Appendf(nil, `{"level":"info","time":"x","stream":"event","event":%s,"message":"x"}`, l))
	}
	if r := verify(&evidence.Verifier{Key: x.pin}, wrapped); len(r.Findings) > 0 || r.Events != len(x.lines) {
		t.Errorf("wrapped: %+v", r)
	}
}

// TestEveryManipulationIsFound changes an export in every way, at every line: what is
// dropped, altered, exchanged, doubled or cut off is found, and where.
func TestEveryManipulationIsFound(t *testing.T) {
	t.Parallel()
	x := newExport(t, 18)
	last := len(x.lines) - 1 // of the last checkpoint nobody speaks but itself
	for i := range x.lines {
		event := i
		for name, change := range map[string]func() [][]byte{
			"dropped": func() [][]byte { return slices.Delete(slices.Clone(x.lines), i, i+1) },
			"altered": func() [][]byte {
				return replaced(x.lines, i, bytes.Replace(x.lines[i], []byte(`"message":"x"`), []byte(`"message":"y"`), 1))
			},
			"inserted": func() [][]byte {
				return slices.Insert(slices.Clone(x.lines), i, bytes.Replace(x.lines[i], []byte(`"count":1`), []byte(`"count":2`), 1))
			},
			"cut off": func() [][]byte { return slices.Clone(x.lines[:i]) },
			"a part":  func() [][]byte { return replaced(x.lines, i, x.lines[i][:len(x.lines[i])/2]) },
		} {
			lines := change()
			r := verify(&evidence.Verifier{Key: x.pin}, lines)
			switch {
			case name == "cut off":
				// What a checkpoint in the rest has signed is there, or it is found; what came
				// after the last one nobody signed.
				if len(r.Findings) > 0 && i > 0 && bytes.Contains(lines[i-1], []byte("agent.checkpoint")) {
					t.Errorf("cut off after line %d, a checkpoint: %+v", i, r.Findings)
				}
			case name == "dropped" && bytes.Contains(x.lines[i], []byte(`"previous":null`)):
				if !strings.Contains(strings.Join(r.Notes, "\n"), "begins with event 2") {
					t.Errorf("line %d dropped, the first of its stream: %+v", i+1, r)
				}
			case len(r.Findings) == 0 && (event != last || name == "inserted"):
				t.Errorf("line %d %s, and nothing was found: %+v", i+1, name, r)
			}
		}
	}
	swapped := slices.Clone(x.lines)
	swapped[0], swapped[3] = swapped[3], swapped[0]
	if r := verify(&evidence.Verifier{Key: x.pin}, swapped); !has(r, evidence.Reordered) {
		t.Errorf("exchanged: %+v", r.Findings)
	}
}

func replaced(lines [][]byte, i int, with []byte) [][]byte {
	out := slices.Clone(lines)
	out[i] = with
	return out
}

func has(r evidence.Report, kind evidence.Kind) bool {
	return slices.ContainsFunc(r.Findings, func(f evidence.Finding) bool { return f.Kind == kind })
}

// TestRemadeChain finds a chain that somebody made anew: by the pinned key, and by
// the checkpoints that left the host before.
func TestRemadeChain(t *testing.T) {
	t.Parallel()
	x, forged := newExport(t, 18), newExport(t, 18)
	r := verify(&evidence.Verifier{Key: x.pin}, forged.lines)
	if !has(r, evidence.BadSignature) {
		t.Errorf("another key: %+v", r.Findings)
	}
	if r := verify(&evidence.Verifier{}, forged.lines); len(r.Findings) > 0 || !strings.Contains(strings.Join(r.Notes, "\n"), "no key is pinned") {
		t.Errorf("without a pin: %+v", r)
	}
	// The true checkpoints beside events of a chain that was made anew.
	var mixed [][]byte
	for i := range x.lines {
		line := forged.lines[i]
		if bytes.Contains(x.lines[i], []byte("agent.checkpoint")) {
			line = x.lines[i]
		} else {
			line = bytes.Replace(line, []byte(`"source":"urn:x"`), []byte(`"source":"urn:y"`), 1)
		}
		mixed = append(mixed, line)
	}
	if r := verify(&evidence.Verifier{Key: x.pin}, mixed); !has(r, evidence.Altered) {
		t.Errorf("signed before, made anew: %+v", r.Findings)
	}
}

// TestEnds says what the end of an export proves.
func TestEnds(t *testing.T) {
	t.Parallel()
	x := newExport(t, 12)
	// The last checkpoint is kept, the events that it covers are not.
	n := len(x.lines)
	r := verify(&evidence.Verifier{Key: x.pin}, slices.Delete(slices.Clone(x.lines), n-5, n-2))
	if !has(r, evidence.Missing) {
		t.Errorf("the end is missing: %+v", r)
	}
	if r := verify(&evidence.Verifier{Key: x.pin, Filtered: true}, slices.Delete(slices.Clone(x.lines), n-5, n-2)); len(r.Findings) > 0 || len(r.Notes) == 0 {
		t.Errorf("filtered: %+v", r)
	}
	if r := verify(&evidence.Verifier{Key: x.pin}, x.lines[4:]); !strings.Contains(strings.Join(r.Notes, "\n"), "begins with event") || has(r, evidence.Altered) {
		t.Errorf("the beginning is missing: %+v", r)
	}
	if r := verify(&evidence.Verifier{}, [][]byte{[]byte("x"), []byte("{}"), []byte(`{"id":"a"}`)}); len(r.Findings) != 3 || r.Findings[0].Kind != evidence.Unreadable {
		t.Errorf("%+v", r)
	}
}

// TestParts divides many heads so that each checkpoint fits into an event.
func TestParts(t *testing.T) {
	t.Parallel()
	var heads []evidence.Head
	for i := range 450 {
		heads = append(heads, evidence.Head{Stream: fmt.Sprintf("endpoint-with-the-longest-name-that-there-may-be-%014d", i), Epoch: "5kq2m7xw4zt3ahcj", Sequence: 1 << 40, Hash: "sha256:" + strings.Repeat("a", 64)})
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	parts := evidence.Checkpoints("soc-1", event.At(time.Now()), heads)
	n := 0
	for i, c := range parts {
		jws, err := evidence.Sign(key, c)
		if err != nil || len(jws) > 60_000 || c.Part != i+1 || c.Parts != 3 || c.Total != 450 {
			t.Errorf("%d octets, %+v, %v", len(jws), c.Parts, err)
		}
		n += len(c.Heads)
	}
	if n != 450 {
		t.Errorf("%d heads", n)
	}
}

// FuzzVerify reads any lines: it never panics, and finds a line that is no event.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"id":"a","data":{"integrity":{"stream":"a","epoch":"e","sequence":1}}}`))
	f.Add([]byte("{}\nx\n{\"stream\":\"event\",\"event\":{}}"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := verify(&evidence.Verifier{Key: "x"}, bytes.Split(b, []byte("\n")))
		if r.Findings == nil || r.Notes == nil {
			t.Fatal("lists are never null")
		}
	})
}
