package evidence_test

import (
	"bytes"
	"errors"
	"fmt"
	mrand "math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/evidence"
)

// TestWholeExport finds nothing in what is whole, wrapped by the log sink or not,
// repeated or not, in one file or in two.
func TestWholeExport(t *testing.T) {
	t.Parallel()
	x := newExport(t, 30)
	for name, files := range map[string][][][]byte{
		"as it is": {x.lines}, "twice": {append(slices.Clone(x.lines), x.lines...)}, "two copies": {x.lines, x.lines}, "the later file first": {x.lines[20:], x.lines[:25]},
		"with other lines": {slices.Insert(slices.Clone(x.lines), 3, []byte(`{"stream":"ops","message":"x"}`), []byte(""))},
	} {
		r := verify(t, &evidence.Verifier{Keys: []string{x.pin}}, files...)
		if len(r.Findings) > 0 || r.Events != len(x.lines) || r.Streams != 4 || r.Checkpoints < 6 || !slices.Equal(r.Signers, []string{x.pin}) {
			t.Errorf("%s: %+v", name, r)
		}
		// Of the last checkpoint nobody speaks but itself.
		if r.Signed != len(x.lines)-1 || r.Unsigned != 1 || !noted(r, "no signature holds 1 event:") {
			t.Errorf("%s: %d signed, %q", name, r.Signed, r.Notes)
		}
	}
	wrap := func(message string) (wrapped [][]byte) {
		for i, l := range x.lines {
			at := time.Date(2026, 11, 23, 8, i+1, 0, 0, time.UTC).Format(event.TimeLayout)
			wrapped = append(wrapped, fmt.Appendf(nil, `{"level":"info","time":%q,"stream":"event","event":%s,"message":%q}`, at, l, message))
		}
		return wrapped
	}
	if r := x.pinned(wrap("x")); len(r.Findings) > 0 || r.Events != len(x.lines) {
		t.Errorf("wrapped: %+v", r)
	}
	if r := x.pinned(wrap("y")); len(r.Findings) != len(x.lines) || !has(r, evidence.Altered) {
		t.Errorf("wrapped with other words: %+v", r)
	}
}

// TestAnyPartOfTheTruth finds nothing in any part of a whole export without gaps: a
// file of one day, a sink that began later, one that is read while it is written.
func TestAnyPartOfTheTruth(t *testing.T) {
	t.Parallel()
	x := newExport(t, 24)
	for i := range x.lines {
		for j := i + 1; j <= len(x.lines); j++ {
			v := &evidence.Verifier{Keys: []string{x.pin}}
			if !slices.ContainsFunc(x.checkpoints(), func(at int) bool { return i <= at && at < j }) {
				v.Keys = nil
			}
			if r := verify(t, v, x.lines[i:j]); len(r.Findings) > 0 || r.Signed+r.Unsigned != j-i {
				t.Fatalf("lines %d to %d: %+v", i+1, j, r)
			}
		}
	}
	if r := x.pinned(x.lines[1:4]); !has(r, evidence.Unsigned) {
		t.Errorf("a key is pinned, and there is no checkpoint: %+v", r)
	}
}

// TestEveryManipulationIsFound changes an export in every way, at every line. What
// every checkpoint but the last one covers is held: only of the last line nobody
// speaks.
func TestEveryManipulationIsFound(t *testing.T) {
	t.Parallel()
	x := newExport(t, 18)
	last := len(x.lines) - 1
	for i, line := range x.lines[:last] {
		for name, lines := range map[string][][]byte{
			"dropped":   slices.Delete(slices.Clone(x.lines), i, i+1),
			"altered":   replaced(x.lines, i, bytes.Replace(line, []byte(`"message":"x"`), []byte(`"message":"y"`), 1)),
			"given up":  replaced(x.lines, i, []byte(`{"stream":"ops"}`)),
			"inserted":  slices.Insert(slices.Clone(x.lines), i, bytes.Replace(line, []byte(`"count":1`), []byte(`"count":2`), 1)),
			"appended":  append(slices.Clone(x.lines), bytes.Replace(line, []byte(`"count":1`), []byte(`"count":2`), 1)),
			"halved":    replaced(x.lines, i, line[:len(line)/2]),
			"two apart": slices.Delete(slices.Delete(slices.Clone(x.lines), max(i, 6), max(i, 6)+1), i/2, i/2+1),
		} {
			r := x.pinned(lines)
			if i == 0 && (name == "dropped" || name == "given up") {
				// An export that begins later is no lie; it is said.
				if len(r.Findings) > 0 || !noted(r, "the first event is not in this export") {
					t.Errorf("the first line %s: %+v", name, r)
				}
				continue
			}
			if len(r.Findings) == 0 {
				t.Errorf("line %d %s, and nothing was found: %+v", i+1, name, r)
			}
		}
	}
	for i := range last {
		for j := i + 1; j < last; j++ {
			lines := slices.Clone(x.lines)
			lines[i], lines[j] = lines[j], lines[i]
			same := false // no two of a stream changed places: nobody promises more
			for k := i; k < j; k++ {
				same = same || stream(lines[k]) == stream(lines[j]) || stream(lines[i]) == stream(lines[k+1])
			}
			if r := x.pinned(lines); has(r, evidence.Reordered) != same || len(r.Findings) > 0 != same {
				t.Errorf("lines %d and %d exchanged: %+v", i+1, j+1, r.Findings)
			}
		}
	}
}

func stream(line []byte) string {
	_, rest, _ := strings.Cut(string(line), `"stream":"`)
	name, _, _ := strings.Cut(rest, `"`)
	return name
}

// TestAnyOctet alters single octets: unless the event stays the very same, it is found.
// JWKSWATCH_LONG=1 takes each octet of each line, otherwise some of each.
func TestAnyOctet(t *testing.T) {
	t.Parallel()
	x := newExport(t, 9)
	rnd := mrand.New(mrand.NewPCG(5, 6))
	n := 0
	for i, line := range x.lines[:len(x.lines)-1] {
		places := rnd.Perm(len(line))
		if os.Getenv("JWKSWATCH_LONG") == "" {
			places = places[:25]
		}
		for _, at := range places {
			other := slices.Clone(line)
			other[at] ^= byte(1 + rnd.IntN(255))
			if sum, err := event.Hash(other); err == nil && hashes(x.lines, sum) {
				continue
			}
			n++
			if r := x.pinned(replaced(x.lines, i, other)); len(r.Findings) == 0 {
				t.Errorf("line %d, octet %d: %q became %q, and nothing was found", i+1, at, line[at], other[at])
			}
		}
	}
	t.Logf("%d octets of %d lines altered, all found", n, len(x.lines)-1)
}

func hashes(lines [][]byte, sum [32]byte) bool {
	return slices.ContainsFunc(lines, func(l []byte) bool {
		got, err := event.Hash(l)
		return err == nil && got == sum
	})
}

// TestRemadeChain finds a chain that somebody made anew: by the pinned key, and by
// the checkpoints that left the host before.
func TestRemadeChain(t *testing.T) {
	t.Parallel()
	x, forged := newExport(t, 18), newExport(t, 18)
	if r := x.pinned(forged.lines); !has(r, evidence.BadSignature) || !has(r, evidence.Unsigned) || r.Signed > 0 {
		t.Errorf("another key: %+v", r)
	}
	if r := verify(t, &evidence.Verifier{}, forged.lines); len(r.Findings) > 0 || !noted(r, "no key is pinned") {
		t.Errorf("without a pin: %+v", r)
	}
	if r := verify(t, &evidence.Verifier{Keys: []string{forged.pin, x.pin}}, forged.lines); len(r.Findings) > 0 {
		t.Errorf("one of two keys: %+v", r)
	}
	// An event is altered, and all that follows in its stream made to fit.
	for i, line := range x.lines[:len(x.lines)-1] {
		altered := replaced(x.lines, i, bytes.Replace(line, []byte(`"message":"x"`), []byte(`"message":"y"`), 1))
		r := x.pinned(rechained(t, altered, stream(line)))
		if !has(r, evidence.Altered) {
			t.Errorf("line %d altered, and its chain made anew: %+v", i+1, r.Findings)
		}
	}
	// The key changes, and nothing is pinned.
	half := newExport(t, 6)
	half.key = x.key
	half.say("a", event.KeyAdded, event.KeyAddedDetails{Class: "sig"})
	half.checkpoint()
	if r := verify(t, &evidence.Verifier{}, half.lines); len(r.Findings) != 1 || r.Findings[0].Kind != evidence.BadSignature || r.Findings[0].Line != len(half.lines) {
		t.Errorf("another key from somewhere on: %+v", r)
	}
}

// TestForgedEvents finds events that fit into no signed chain: a stream that never
// was, and one event more at an end, when they say that they are old.
func TestForgedEvents(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(*export){
		"a new stream": func(x *export) {
			x.add("forged", event.KeyAdded, event.KeyAddedDetails{Class: "sig"}, x.at.Add(-20*time.Minute))
		},
		"one more": func(x *export) {
			x.add("a", event.KeyAdded, event.KeyAddedDetails{Class: "sig"}, x.at.Add(-20*time.Minute))
		},
	} {
		x := newExport(t, 24)
		forge(x)
		if r := x.pinned(x.lines); len(r.Findings) != 1 || r.Findings[0].Kind != evidence.Inserted || r.Findings[0].Line != len(x.lines) {
			t.Errorf("%s: %+v", name, r.Findings)
		}
		x = newExport(t, 24)
		x.say("a", event.KeyAdded, event.KeyAddedDetails{Class: "sig"})
		if r := x.pinned(x.lines); len(r.Findings) > 0 || r.Unsigned != 2 {
			t.Errorf("new, and not signed yet: %+v", r)
		}
	}
}

// TestTwoHistories finds what only who has the key can do: sign two versions of an
// event, or a chain that went back.
func TestTwoHistories(t *testing.T) {
	t.Parallel()
	for name, with := range map[string]func(h evidence.Head) evidence.Head{
		"another version": func(h evidence.Head) evidence.Head { h.Hash = "sha256:" + strings.Repeat("0", 64); return h },
		"went back":       func(h evidence.Head) evidence.Head { h.Sequence--; return h },
	} {
		x := newExport(t, 18)
		x.heads["a"] = with(x.heads["a"])
		x.changed["a"] = true
		x.checkpoint()
		if r := x.pinned(x.lines); !has(r, evidence.Conflicting) {
			t.Errorf("%s: %+v", name, r.Findings)
		}
	}
}

// TestEnds says what the ends of an export prove.
func TestEnds(t *testing.T) {
	t.Parallel()
	x := newExport(t, 12)
	n := len(x.lines)
	// The last checkpoint is kept, what it covers is not.
	cut := slices.Delete(slices.Clone(x.lines), n-5, n-2)
	if r := x.pinned(cut); !has(r, evidence.Missing) {
		t.Errorf("the end is missing: %+v", r)
	}
	if r := verify(t, &evidence.Verifier{Keys: []string{x.pin}, Filtered: true}, cut); len(r.Findings) > 0 || !noted(r, "the end is not here") {
		t.Errorf("filtered: %+v", r)
	}
	// A whole stream is missing: since the beginning of the state, and later.
	without := func(from int, name string) (out [][]byte) {
		for _, l := range x.lines[from:] {
			if stream(l) != name {
				out = append(out, l)
			}
		}
		return out
	}
	if r := x.pinned(without(0, "quiet")); len(r.Findings) != 1 || r.Findings[0].Kind != evidence.Missing || r.Findings[0].Stream != "quiet" {
		t.Errorf("a stream is missing since the beginning: %+v", r.Findings)
	}
	if r := x.pinned(without(2, "a")); len(r.Findings) != 1 || r.Findings[0].Stream != "a" {
		t.Errorf("a stream is missing that went on: %+v", r.Findings)
	}
	if r := x.pinned(without(9, "quiet")); len(r.Findings) > 0 {
		t.Errorf("a stream that said nothing meanwhile: %+v", r.Findings)
	}
	// What the state gives up of itself.
	agents := slices.IndexFunc(x.lines, func(l []byte) bool { return bytes.Contains(l, []byte(`"agent.heartbeat"`)) })
	thinned := slices.Delete(slices.Clone(x.lines), agents, agents+1)
	if r := verify(t, &evidence.Verifier{Thinned: true}, thinned); len(r.Findings) > 0 || !noted(r, "_agent: event 2 is not here") {
		t.Errorf("thinned: %+v", r)
	}
	if r := verify(t, &evidence.Verifier{Thinned: true}, slices.Delete(slices.Clone(x.lines), 5, 6)); !has(r, evidence.Missing) {
		t.Errorf("thinned, and a stream has a gap: %+v", r)
	}
}

// TestHeads holds chains against where the state says that they end.
func TestHeads(t *testing.T) {
	t.Parallel()
	x := newExport(t, 12)
	for name, c := range map[string]struct {
		with func(*evidence.Head)
		want evidence.Kind
	}{
		"as it is": {func(*evidence.Head) {}, ""}, "a later one": {func(h *evidence.Head) { h.Sequence++ }, evidence.Missing},
		"another": {func(h *evidence.Head) { h.Hash = "sha256:" + strings.Repeat("0", 64) }, evidence.Altered}, "given up": {func(h *evidence.Head) { h.Stream = "c" }, ""},
	} {
		h := x.heads["a"]
		c.with(&h)
		v := &evidence.Verifier{Keys: []string{x.pin}, Thinned: true}
		v.Heads([]evidence.Head{h, x.heads["b"]})
		if r := verify(t, v, x.lines); len(r.Findings) > 0 != (c.want != "") || c.want != "" && !has(r, c.want) || noted(r, "in the journal any more") != (h.Stream == "c") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestTotal finds a checkpoint that is not there by the digest over all heads, also
// where the chain of the agent is known to have gaps.
func TestTotal(t *testing.T) {
	t.Parallel()
	x := newExport(t, 24)
	at := x.checkpoints()[1]
	r := verify(t, &evidence.Verifier{Keys: []string{x.pin}, Thinned: true}, slices.Delete(slices.Clone(x.lines), at, at+1))
	if !noted(r, "do not add up") {
		t.Errorf("%+v", r)
	}
}

// TestLines reads what is no event.
func TestLines(t *testing.T) {
	t.Parallel()
	x := newExport(t, 3)
	long := bytes.Repeat([]byte("a"), evidence.MaxLine+2)
	r := verify(t, &evidence.Verifier{}, [][]byte{[]byte("x"), []byte("{}"), long, []byte(`{"id":"a"}`), x.lines[0], []byte(`{"stream":"event","event":"CEF:0|x"}`)})
	if len(r.Findings) != 5 || r.Findings[2].Line != 3 || r.Findings[4].Line != 6 || r.Events != 1 {
		t.Errorf("%+v", r)
	}
	for _, f := range r.Findings {
		if f.Kind != evidence.Unreadable || f.File != "file0" {
			t.Errorf("%+v", f)
		}
	}
	v := &evidence.Verifier{}
	if err := v.Read("f", strings.NewReader(string(x.lines[0])+"\n"+string(x.lines[1][:80]))); err != nil {
		t.Fatal(err)
	}
	if r := v.Report(); len(r.Findings) > 0 || !noted(r, "the last line of f is not whole") {
		t.Errorf("%+v", r)
	}
	broken := errors.New("broken")
	if err := new(evidence.Verifier).Read("f", iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Error(err)
	}
}
