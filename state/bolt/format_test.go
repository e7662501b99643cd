package bolt

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// A committed format is for ever: a test that fails here says that files in
// the field can no longer be read. Run with -update only to add a version.
var update = flag.Bool("update", false, "write the golden values anew: a new version of the format")

func fill(n byte) (h [32]byte) {
	for i := range h {
		h[i] = n
	}
	return h
}

// samples are payloads of every kind, with the decoder that must take them
// back to the same octets.
func samples() []sample {
	at := time.Date(2026, 11, 22, 18, 49, 3, 412_345_678, time.UTC)
	return []sample{
		{"ledger", ledger{first: 3, last: 9, body: 4, endpoints: 2, cursors: 1, seen: 2}.encode(), roundLedger(valueVersion)},
		{"head", head{revision: 7, oldest: 2, step: fill(1)}.encode(), roundHead},
		{"step", hashOf(stepOf(state.Txn{
			Next:   state.Record{Head: state.Head{Epoch: "e", Sequence: 2, Hash: fill(1)}, Digest: fill(2)},
			Events: []state.Entry{{ID: "a"}, {ID: "bc"}},
		})), nil},
		{"record", record{at, state.Head{Epoch: "epoch", Sequence: 41, Hash: fill(2)}, fill(3), 5, fill(4), []byte(`{"status":200}`)}.encode(), roundRecord},
		{"record zero", record{}.encode(), roundRecord},
		{"memory", encodeMemory(7, []byte("memory")), roundMemory},
		{"body ref", bodyRef{id: 5, refs: 2}.encode(), roundBodyRef},
		{"entry", encodeEntry(state.Entry{ID: "jw1-a", Type: "key.added", Endpoint: "corp", Severity: 4, At: at, JSON: []byte("{}")}), roundEntry},
		{"number", number(258), roundNumber},
		{"seen", encodeSeen([]sighting{{"corp", at}, {"partner", at.Add(time.Hour)}}), roundSeen},
		{"seen key", seenKey("corp"), nil},
		{"record key", recordKey("corp", 258), nil},
		{"position", []byte(formatPosition(258)), nil},
		{"sealed", seal(bucketHeads, []byte("corp"), []byte("payload")), nil},
		// Format 2.
		{"ledger of marks", ledger{first: 3, last: 9, body: 4, endpoints: 2, cursors: 1, seen: 2, thinned: 3, thin: 8}.encode(), roundLedger(markVersion)},
		{"mark", encodeMark(at), roundMark},
		{"sealed mark", sealAs(markVersion, bucketJournal, number(258), encodeMark(at)), nil},
	}
}

type sample struct {
	name    string
	payload []byte
	round   func([]byte) ([]byte, error) // decodes and encodes
}

func sha(s string) [32]byte { return sha256.Sum256([]byte(s)) }

func hashOf(h [32]byte) []byte { return h[:] }

func roundLedger(version byte) func([]byte) ([]byte, error) {
	return func(b []byte) ([]byte, error) { v, err := decodeLedger(version, b); return v.encode(), err }
}

func roundMark(b []byte) ([]byte, error) {
	p, err := decodePlace(258, sealAs(markVersion, bucketJournal, number(258), b))
	return encodeMark(p.At), err
}
func roundHead(b []byte) ([]byte, error)   { v, err := decodeHead(b); return v.encode(), err }
func roundRecord(b []byte) ([]byte, error) { v, err := decodeRecord(b); return v.encode(), err }
func roundMemory(b []byte) ([]byte, error) {
	revision, memory, err := decodeMemory(b)
	return encodeMemory(revision, memory), err
}
func roundBodyRef(b []byte) ([]byte, error) { v, err := decodeBodyRef(b); return v.encode(), err }
func roundEntry(b []byte) ([]byte, error)   { v, err := decodeEntry(b); return encodeEntry(v), err }
func roundNumber(b []byte) ([]byte, error)  { v, err := decodeNumber(b); return number(v), err }
func roundSeen(b []byte) ([]byte, error)    { v, err := decodeSeen(b); return encodeSeen(v), err }

func TestGoldenValues(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for _, s := range samples() {
		fmt.Fprintf(&b, "%s: %x\n", s.name, s.payload)
		if s.round == nil {
			continue
		}
		if back, err := s.round(s.payload); err != nil || !bytes.Equal(back, s.payload) {
			t.Errorf("%s: comes back as %x (%v)", s.name, back, err)
		}
		for n := range s.payload {
			if _, err := s.round(s.payload[:n]); err == nil && s.name != "memory" && s.name != "entry" {
				t.Errorf("%s: %d octets of %d are taken for all", s.name, n, len(s.payload))
			}
		}
		if _, err := s.round(append(bytes.Clone(s.payload), 0)); err == nil && s.name != "memory" && s.name != "entry" {
			t.Errorf("%s: octets left over are accepted", s.name)
		}
	}
	golden := filepath.Join("testdata", "values.golden")
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != b.String() {
		t.Errorf("the format changed (%v):\n%s\nwant\n%s", err, b.String(), want)
	}
}

// TestGoldenBody holds that a body once packed is read for ever; how it is
// packed is the library's choice.
func TestGoldenBody(t *testing.T) {
	t.Parallel()
	packed, err := hex.DecodeString("0000000b" + "28b52ffd200b590000" + "7b226b657973223a5b5d7d")
	if err != nil {
		t.Fatal(err)
	}
	p, err := newPacker()
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{"", `{"keys":[]}`, strings.Repeat("jwks", 100_000)} {
		hash := sha(body)
		if got, err := p.unpack(p.pack([]byte(body)), hash); err != nil || string(got) != body || got == nil {
			t.Errorf("%d octets come back as %d (%v)", len(body), len(got), err)
		}
		if _, err := p.unpack(p.pack([]byte(body+"x")), hash); err == nil {
			t.Error("another body is accepted")
		}
	}
	if got, err := p.unpack(packed, sha(`{"keys":[]}`)); err != nil || string(got) != `{"keys":[]}` {
		t.Errorf("golden body is %q (%v)", got, err)
	}
}

// goldenStep is in every golden file. The file of format 2 has three heartbeats
// after it, of which two are marks.
func goldenStep() state.Txn {
	return state.Txn{
		Next: state.Record{
			Endpoint: "corp", Revision: 1, At: time.Unix(1_800_000_000, 5).UTC(), Head: state.Head{Epoch: "e", Sequence: 1, Hash: fill(1)},
			Digest: fill(2), Body: []byte(`{"keys":[]}`), Memory: []byte("memory"), Evidence: []byte(`{}`),
		},
		Events: []state.Entry{{ID: "jw1-a", Type: "baseline.established", Endpoint: "corp", Severity: 1, At: time.Unix(1_800_000_000, 5), JSON: []byte(`{"id":"jw1-a"}`)}},
	}
}

func goldenBeat(n uint64) state.Txn {
	at := time.Unix(1_800_000_000+60*int64(n), 0)
	id := fmt.Sprintf("jw1-beat-%d", n)
	return state.Txn{Prev: n - 1, Next: state.Record{
		Endpoint: "_agent", Revision: n, At: at, Head: state.Head{Epoch: "e", Sequence: n, Hash: fill(3)},
	}, Events: []state.Entry{{ID: id, Type: "agent.heartbeat", Severity: 1, At: at, JSON: fmt.Appendf(nil, `{"id":%q}`, id)}}}
}

// TestGoldenFiles reads files that earlier versions wrote.
func TestGoldenFiles(t *testing.T) {
	t.Parallel()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the file of bbolt is in the byte order of its machine, here another")
	}
	if *update {
		writeGoldenFile(t, "v2.db.gz") // those of older formats are never written again
	}
	for name, want := range map[string]string{
		"v1.db.gz": "[0000000000000001 jw1-a]",
		"v2.db.gz": "[0000000000000001 jw1-a 0000000000000004 jw1-beat-3]",
	} {
		db := openGolden(t, name)
		txn := goldenStep()
		if err := db.Commit(t.Context(), txn); err != nil || db.Stats().Writes != 0 {
			t.Errorf("%s: the same step is not known as such: %v, %d writes", name, err, db.Stats().Writes)
		}
		r, err := db.Latest(t.Context(), "corp")
		if err != nil || fmt.Sprintf("%+v", r) != fmt.Sprintf("%+v", txn.Next) {
			t.Errorf("%s: record is %+v, want %+v (%v)", name, r, txn.Next, err)
		}
		seen, err := db.LastSeen(t.Context(), "corp")
		if err != nil || seen.Unix() != 1_800_000_060 {
			t.Errorf("%s: seen at %v (%v)", name, seen, err)
		}
		position, ok, err := db.Cursor(t.Context(), "siem")
		if err != nil || !ok || position != "0000000000000001" {
			t.Errorf("%s: cursor is %q, %v (%v)", name, position, ok, err)
		}
		var has []string
		for e, err := range db.Events(t.Context(), "") {
			if err != nil {
				t.Fatal(name, err)
			}
			has = append(has, e.Position, e.ID)
		}
		if fmt.Sprint(has) != want {
			t.Errorf("%s: events are %v, want %s", name, has, want)
		}
	}
}

func openGolden(t *testing.T, name string) *DB {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return openTest(t, path)
}

func writeGoldenFile(t *testing.T, name string) {
	t.Helper()
	db := openTest(t, filepath.Join(t.TempDir(), "state.db"))
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	ctx := t.Context()
	err := errors.Join(db.Commit(ctx, goldenStep()), db.Commit(ctx, goldenBeat(1)), db.Commit(ctx, goldenBeat(2)), db.Commit(ctx, goldenBeat(3)),
		db.Seen(ctx, map[string]time.Time{"corp": time.Unix(1_800_000_060, 0)}), db.SetCursor(ctx, "siem", formatPosition(1)))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := db.Thin(ctx, time.Unix(2_000_000_000, 0), []string{"agent.heartbeat"}, nil); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	err = errors.Join(db.Backup(ctx, z), z.Close(), os.WriteFile(filepath.Join("testdata", name), b.Bytes(), 0o600))
	if err != nil {
		t.Fatal(err)
	}
}

func openTest(t *testing.T, path string) *DB {
	t.Helper()
	db, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestUnseal(t *testing.T) {
	t.Parallel()
	key, value := []byte("corp"), seal(bucketHeads, []byte("corp"), []byte("payload"))
	if got, err := unseal(bucketHeads, key, value); err != nil || string(got) != "payload" {
		t.Errorf("%q (%v)", got, err)
	}
	for i := range value {
		for bit := range 8 {
			bad := bytes.Clone(value)
			bad[i] ^= 1 << bit
			_, err := unseal(bucketHeads, key, bad)
			if !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), `bucket heads, key "corp"`) {
				t.Fatalf("octet %d: error is %v", i, err)
			}
		}
	}
	for n := range value {
		if _, err := unseal(bucketHeads, key, value[:n]); !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("%d octets: error is %v", n, err)
		}
	}
	// A value is of its bucket and its key.
	if _, err := unseal(bucketMemory, key, value); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("another bucket: error is %v", err)
	}
	if _, err := unseal(bucketHeads, []byte("corq"), value); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("another key: error is %v", err)
	}
}

func TestKeyText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ bucket, key, want string }{
		{bucketHeads, "corp", `"corp"`},
		{bucketRecords, string(recordKey("corp", 7)), `"corp" revision 7`},
		{bucketJournal, string(number(9)), "9"},
		{bucketBodyIndex, "\x01\x02", "0102"},
		{bucketHeads, "a\n\x1b[31m\xff", `"a\n\x1b[31m\xff"`},
	} {
		if got := keyText(c.bucket, []byte(c.key)); got != c.want {
			t.Errorf("%s %q is %s, want %s", c.bucket, c.key, got, c.want)
		}
	}
	if n := len(keyText(bucketHeads, bytes.Repeat([]byte{0xff}, 30_000))); n > 600 {
		t.Errorf("a key of %d characters", n)
	}
}

func FuzzDecode(f *testing.F) {
	all := samples()
	for i, s := range all {
		f.Add(byte(i), s.payload)
	}
	p, err := newPacker()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(byte(255), p.pack([]byte("body")))
	f.Fuzz(func(t *testing.T, kind byte, b []byte) {
		if kind == 255 {
			_, _ = p.unpack(b, [32]byte{})
			return
		}
		s := all[int(kind)%len(all)]
		if s.round == nil {
			_, _ = unseal(bucketHeads, b, b)
			_ = keyText(bucketRecords, b)
			_, _ = parsePosition(string(b))
			return
		}
		// What is accepted has one form only.
		if back, err := s.round(b); err == nil && !bytes.Equal(back, b) {
			t.Errorf("%s: %x comes back as %x", s.name, b, back)
		}
	})
}
