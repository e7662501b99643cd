package replay

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/keyhealth"
	"github.com/jwkswatch/jwkswatch/rules"
)

const sample = `{"t":"2026-01-02T00:00:00Z","service":"b","status":200,"error":null,"listed_kids":1,"doc":{"keys":[]}}

{"t":"2026-01-01T00:00:00Z","service":"b","status":0,"error":"timeout","doc":null}
{"t":"2026-01-03T00:00:00Z","service":"a","status":200,"error":"","doc":{"keys":[]}}
`

// TestRead holds that an archive reads the same however it is compressed, sorted
// by service and time.
func TestRead(t *testing.T) {
	t.Parallel()
	var x, g, z bytes.Buffer
	xw, err := xz.NewWriter(&x)
	if err != nil {
		t.Fatal(err)
	}
	zw, err := zstd.NewWriter(&z)
	if err != nil {
		t.Fatal(err)
	}
	gw := gzip.NewWriter(&g)
	for _, w := range []interface {
		Write([]byte) (int, error)
		Close() error
	}{xw, gw, zw} {
		if _, err := w.Write([]byte(sample)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for name, in := range map[string]string{"plain": sample, "xz": x.String(), "gzip": g.String(), "zstd": z.String()} {
		rows, err := Read(strings.NewReader(in))
		if err != nil || len(rows) != 3 {
			t.Fatalf("%s: %d rows (%v)", name, len(rows), err)
		}
		if rows[0].Service != "a" || rows[1].Service != "b" || !rows[1].Failed() || rows[2].Failed() || rows[2].Listed != 1 {
			t.Errorf("%s: %+v", name, rows)
		}
	}
	if rows, err := Read(strings.NewReader("")); err != nil || len(rows) != 0 {
		t.Errorf("an empty archive: %d rows (%v)", len(rows), err)
	}
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"{}": "line 1: no t", "\n\n{\"t\":\"2026-01-02T00:00:00Z\"}": "line 3: no service", "[1]": "line 1", "{\"t\":\"yesterday\"}": "line 1",
		strings.Repeat("x", maxLine+2): "a line of over", "\xfd7zXZ\x00rubbish": "", "\x1f\x8brubbish": "",
	} {
		if _, err := Read(strings.NewReader(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v", in, err)
		}
	}
}

// TestPolls holds when a service is looked at: at each time of any row, on the
// days between on which nothing changed, and not in a gap of the observer.
func TestPolls(t *testing.T) {
	t.Parallel()
	at := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	var rows []Row
	for _, d := range []int{1, 2, 3, 4, 7, 8, 9, 25} {
		rows = append(rows, Row{T: at(d), Service: "a"})
	}
	c := newClock(rows)
	if c.spacing != day {
		t.Fatalf("spacing %s", c.spacing)
	}
	var got []int
	for _, p := range c.polls(at(3)) {
		got = append(got, p.Day())
	}
	if want := []int{3, 4, 5, 6, 7, 8, 9, 25}; len(got) != len(want) || got[2] != 5 || got[7] != 25 {
		t.Errorf("polls on %v, want %v", got, want)
	}
}

// okp is a set of one key under the kid.
func okp(kid string, x []byte) string {
	return `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"` + kid + `","x":"` + base64.RawURLEncoding.EncodeToString(x) + `"}]}`
}

// sound is a key that nothing is wrong with, another one for each name.
func sound(name string) []byte {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
}

// TestChecks holds that a replay makes the checks of keys that the agent makes beside
// its polls, against the lists of the operator too, and tells what they find with
// the answer that showed the key.
func TestChecks(t *testing.T) {
	t.Parallel()
	at := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	rows := []Row{
		{T: at(1), Service: "a", Status: 200, Doc: []byte(okp("a", make([]byte, 32)))}, // of order four
		{T: at(9), Service: "a", Status: 200, Doc: []byte(okp("b", sound("b")))},
	}
	sum := sha256.Sum256(new(big.Int).SetBytes(sound("b")).Bytes())
	list, err := keyhealth.ParseBlocklist("ours", append(sum[:15:15], 3))
	if err != nil {
		t.Fatal(err)
	}
	for _, unchecked := range []bool{false, true} {
		r := Archive(rows, Options{Book: rules.Book(), Blocklists: []*keyhealth.Blocklist{list}, Unchecked: unchecked})
		found := map[event.Type]Told{}
		for _, told := range r.Told {
			if !told.Finding.Closing {
				found[told.Finding.Type] = told
			}
		}
		weak, ok := found[event.KeyWeak]
		known, listed := found[event.KeyCompromised]
		if ok == unchecked || listed == unchecked {
			t.Fatalf("unchecked %t: %v", unchecked, found)
		}
		if !unchecked && (!weak.First || known.At.Sub(at(9)) > time.Minute) {
			t.Errorf("weak at %s, known at %s", weak.At, known.At)
		}
	}
}

// TestLabelsThatTheObserverLost holds that nothing is told of kids where the archive
// lists another number of them than it has keys, nor of the return to labels that
// can be trusted.
func TestLabelsThatTheObserverLost(t *testing.T) {
	t.Parallel()
	at := func(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }
	for listed, want := range map[int]int{0: 1, 1: 1, 2: 0} {
		r := Archive([]Row{
			{T: at(1), Service: "a", Status: 200, Listed: 1, Doc: []byte(okp("k", sound("a")))},
			{T: at(9), Service: "a", Status: 200, Listed: listed, Doc: []byte(okp("k", sound("b")))},
			{T: at(12), Service: "a", Status: 200, Listed: 1, Doc: []byte(okp("l", sound("b")))},
		}, Options{Book: rules.Book()})
		mutated, relabelled := 0, 0
		for _, told := range r.Told {
			switch told.Finding.Type {
			case event.KeyMutated:
				mutated++
			case event.KeyRelabelled:
				relabelled++
			}
		}
		if mutated != want || relabelled != 1 && want == 1 {
			t.Errorf("%d listed: %d mutated, %d relabelled", listed, mutated, relabelled)
		}
	}
}

// TestArchive replays an exchange of all keys, a failure and a first day.
func TestArchive(t *testing.T) {
	t.Parallel()
	key := func(x string) string { return okp(x, sound(x)) }
	var rows []Row
	for d, doc := range map[int]string{1: key("A"), 2: key("B"), 9: key("C")} {
		rows = append(rows, Row{T: time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC), Service: "a", Status: 200, Doc: []byte(doc)})
	}
	for d := 3; d < 9; d++ {
		rows = append(rows, Row{T: time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC), Service: "a", Status: 500, Error: "HTTP 500", Doc: []byte(`{"keys":[]}`)})
	}
	var b strings.Builder
	for _, r := range rows {
		status, cause := "200", "null"
		if r.Failed() {
			status, cause = "500", `"HTTP 500"`
		}
		b.WriteString(`{"t":"` + r.T.Format(time.RFC3339) + `","service":"a","status":` + status + `,"error":` + cause + `,"doc":` + string(r.Doc) + "}\n")
	}
	sorted, err := Read(strings.NewReader(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	r := Archive(sorted, Options{Book: rules.Book()})
	seen := map[event.Type]int{}
	for _, told := range r.Told {
		seen[told.Finding.Type]++
	}
	if seen[event.BaselineEstablished] != 1 || seen[event.SetReplaced] != 2 || seen[event.SetEmptied] != 0 || seen[event.EndpointUnreachable] == 0 {
		t.Errorf("%v", seen)
	}
	if n, rate := r.Alerts(); n != 1 || rate <= 0 {
		t.Errorf("%d alerts, %.2f: one exchange is within the first day", n, rate)
	}
	calm := Archive(sorted, Options{Book: rules.Book(), Amend: func(e *event.Event) { e.Data.Event.Severity = event.SeverityLow }})
	if n, _ := calm.Alerts(); n != 0 {
		t.Errorf("%d alerts after the last word", n)
	}
}
