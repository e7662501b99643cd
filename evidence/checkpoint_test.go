package evidence_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
)

// TestParts divides many heads so that each part fits into an event.
func TestParts(t *testing.T) {
	t.Parallel()
	var heads []evidence.Head
	for i := range 250 {
		heads = append(heads, evidence.Head{Stream: fmt.Sprintf("endpoint-with-the-longest-name-that-there-may-be-%014d", i), Epoch: strings.Repeat("4f", 16), Sequence: 1 << 40, Hash: "sha256:" + strings.Repeat("a", 64)})
	}
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, c := range evidence.Checkpoints("soc-1", event.At(time.Now()), heads, nil) {
		jws, err := evidence.Sign(key, c)
		if err != nil || len(jws) > 40_000 || c.Part != i+1 || c.Parts != 3 || c.Total != 250 || !c.Full || c.Changed != 250 {
			t.Errorf("%d octets, %+v, %v", len(jws), c.Parts, err)
		}
		n += len(c.Heads)
	}
	if n != 250 {
		t.Errorf("%d heads", n)
	}
	some := evidence.Checkpoints("soc-1", event.At(time.Now()), heads, func(s string) bool { return s == heads[7].Stream })
	if len(some) != 1 || some[0].Full || some[0].Changed != 1 || some[0].Heads[0] != heads[7] || some[0].Digest != evidence.Digest(heads) {
		t.Errorf("%+v", some)
	}
}

// TestOpen refuses what is not signed as a checkpoint.
func TestOpen(t *testing.T) {
	t.Parallel()
	x := newExport(t, 3)
	c := evidence.Checkpoints("soc-1", event.At(x.at), []evidence.Head{x.heads["a"]}, nil)[0]
	good, err := evidence.Sign(x.key, c)
	if err != nil {
		t.Fatal(err)
	}
	if got, signer, err := evidence.Open(good); err != nil || signer != x.pin || len(got.Heads) != 1 {
		t.Fatal(got, signer, err)
	}
	c.Version = 2
	newer, err := evidence.Sign(x.key, c)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	other := strings.Split(newer, ".")
	for name, s := range map[string]string{
		"nothing": "", "another payload": parts[0] + "." + other[1] + "." + parts[2], "no signature": parts[0] + "." + parts[1] + ".",
		"alg none": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "a version that is not known": newer,
	} {
		if _, _, err := evidence.Open(s); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
}

// FuzzVerify reads any lines: it never panics, and what it says fits a terminal.
func FuzzVerify(f *testing.F) {
	f.Add([]byte(`{"id":"a","data":{"integrity":{"stream":"a","epoch":"e","sequence":1}}}`))
	f.Add([]byte("{}\nx\n{\"stream\":\"event\",\"event\":{}}"))
	f.Add([]byte(`{"id":"a","data":{"event":{"type":"agent.checkpoint"},"integrity":{"stream":"_agent","epoch":"e","sequence":2,"previous":"sha256:0"},"details":{"jws":"a.b.c"}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		v := &evidence.Verifier{Keys: []string{"x"}}
		if err := v.Read("f", bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		r := v.Report()
		if r.Findings == nil || r.Notes == nil || r.Signers == nil || r.Signed > 0 || r.Unsigned != r.Events {
			t.Fatalf("%+v", r)
		}
		for _, finding := range r.Findings {
			if finding.Message != event.Text(finding.Message) || finding.Stream != event.Text(finding.Stream) {
				t.Fatalf("%+v", finding)
			}
		}
	})
}

// BenchmarkCheckpoint signs what twelve of ten thousand streams have said.
func BenchmarkCheckpoint(b *testing.B) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	var heads []evidence.Head
	for i := range 10_000 {
		heads = append(heads, evidence.Head{Stream: fmt.Sprintf("e%05d", i), Epoch: strings.Repeat("4f", 16), Sequence: uint64(i), Hash: "sha256:" + strings.Repeat("a", 64)})
	}
	size := 0
	for b.Loop() {
		for _, c := range evidence.Checkpoints("soc-1", event.At(time.Now()), heads, func(s string) bool { return s < "e00012" }) {
			jws, err := evidence.Sign(key, c)
			if err != nil {
				b.Fatal(err)
			}
			size = len(jws)
		}
	}
	b.ReportMetric(float64(size), "octets")
}

// BenchmarkVerify reads some thousand events with a checkpoint to every six.
func BenchmarkVerify(b *testing.B) {
	x := newExport(b, 3000)
	text := append(bytes.Join(x.lines, []byte("\n")), '\n')
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		v := &evidence.Verifier{Keys: []string{x.pin}}
		if err := v.Read("f", bytes.NewReader(text)); err != nil {
			b.Fatal(err)
		}
		if r := v.Report(); len(r.Findings) > 0 {
			b.Fatal(r.Findings)
		}
	}
	b.ReportMetric(float64(len(x.lines))*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}
