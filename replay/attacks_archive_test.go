package replay

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// entries is a document as the attacker changes it.
type entries []map[string]any

// alike is a key of the attacker that looks like one of the issuer: of its kind,
// size and alg, with other material.
func alike(k map[string]any, kid string, salt byte) map[string]any {
	out := maps.Clone(k)
	for _, m := range []string{"x5c", "x5t", "x5t#S256", "x5u"} {
		delete(out, m)
	}
	out["kid"] = kid
	for _, m := range []string{"n", "x"} {
		text, ok := out[m].(string)
		if !ok {
			continue
		}
		b, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			continue
		}
		for i := 1; i < len(b)-1; i++ {
			b[i] = byte(i)*7 + salt
		}
		out[m] = base64.RawURLEncoding.EncodeToString(b)
	}
	return out
}

func signs(k map[string]any) bool { return k["use"] != "enc" }

// archived are the attacks of TestInjectedAttacks as they are made on a document;
// retired are the signing keys that stood for a week or more and are gone for a
// month. A nil document is no attack.
func archived() []struct {
	name   string
	inject func(doc, retired entries) entries
	once   bool // for one poll
	least  event.Severity
	share  int // percent, that the definitions were measured with
} {
	replace := func(doc entries) (out entries) {
		for i, k := range doc {
			if signs(k) {
				out = append(out, alike(k, "rogue"+string(rune('a'+i%26)), byte(i)))
			}
		}
		return out
	}
	return []struct {
		name   string
		inject func(doc, retired entries) entries
		once   bool
		least  event.Severity
		share  int
	}{
		{"the same kid with other material", func(doc, _ entries) entries {
			kid, ok := doc[0]["kid"].(string)
			if !ok || kid == "" || slices.ContainsFunc(doc[1:], func(k map[string]any) bool { return k["kid"] == kid }) {
				return nil
			}
			out := slices.Clone(doc)
			if out[0] = alike(doc[0], kid, 3); out[0]["n"] == doc[0]["n"] && out[0]["x"] == doc[0]["x"] {
				return nil // its text cannot be decoded here
			}
			return out
		}, false, event.SeverityCritical, 97},
		{"the whole set replaced", func(doc, _ entries) entries { return replace(doc) }, false, event.SeverityHigh, 98},
		{"a retired key brought back", func(doc, retired entries) entries {
			if len(retired) == 0 {
				return nil
			}
			return append(slices.Clone(doc), retired[0])
		}, false, event.SeverityHigh, 96},
		{"a key for one poll", func(doc, _ entries) entries { return append(slices.Clone(doc), alike(doc[0], "rogue", 3)) }, true, event.SeverityHigh, 95},
		{"a rogue key alone", func(doc, _ entries) entries { return append(slices.Clone(doc), alike(doc[0], "rogue", 3)) }, false, event.SeverityMedium, 72},
	}
}

// TestAttacksOnTheArchive injects attacks into the issuers of the archive, each on a
// day of its own after its first quarter, and holds that they are told at least as
// often as the definitions of the thresholds were measured with there. It takes a
// minute, so it runs with JWKSWATCH_LONG=1.
func TestAttacksOnTheArchive(t *testing.T) {
	t.Parallel()
	if os.Getenv("JWKSWATCH_LONG") == "" {
		t.Skip("SKIPPED: takes a minute; run it with JWKSWATCH_LONG=1")
	}
	f, err := os.Open(filepath.Join(cmp.Or(os.Getenv("JWKSWATCH_DATA"), "../../shared/data"), "archive.jsonl.xz"))
	if err != nil {
		t.Skipf("SKIPPED: no archive: %v", err)
	}
	defer f.Close()
	rows, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	by, end := map[string][]Row{}, time.Time{}
	for _, r := range rows {
		by[r.Service] = append(by[r.Service], r)
		if r.T.After(end) {
			end = r.T
		}
	}
	for _, a := range archived() {
		t.Run(a.name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(4, 4))
			found, n := map[event.Severity]int{}, 0
			for range 3 { // other days each time
				var all []Row
				ats := map[string]time.Time{}
				for _, name := range slices.Sorted(maps.Keys(by)) {
					list, start := by[name], by[name][0].T
					if end.Sub(start) < 120*day {
						all = append(all, list...)
						continue
					}
					at := start.Add(90*day + time.Duration(random.Int64N(int64(end.Sub(start)-100*day)))).Truncate(day)
					attacked, ok := attack(t, list, at, a.once, a.inject)
					if ok {
						ats[name] = at
					}
					all = append(all, attacked...)
				}
				worst := map[string]event.Severity{}
				r := Archive(all, Options{Book: rules.Book(), Unchecked: true})
				for i := range r.Told {
					told := &r.Told[i]
					at, ok := ats[told.Endpoint]
					if ok && !told.At.Before(at) && told.At.Before(at.Add(4*day)) && !told.Finding.Closing {
						worst[told.Endpoint] = max(worst[told.Endpoint], told.Data.Event.Severity)
					}
				}
				for name := range ats {
					found[worst[name]]++
					n++
				}
			}
			told := 0
			for s, c := range found {
				if s >= a.least {
					told += c
				}
			}
			t.Logf("%d %% of %d at least %s: %d critical, %d high, %d medium, %d low, %d not", told*100/n, n, a.least, found[5], found[4], found[3], found[2], found[0]+found[1])
			if told*100 < a.share*n {
				t.Errorf("%d of %d are at least %s, want %d %%", told, n, a.least, a.share)
			}
		})
	}
}

// attack changes what a service served from a time on. It is refused where the
// attack is none: of an answer without keys, or of a failure.
func attack(t *testing.T, list []Row, at time.Time, once bool, inject func(doc, retired entries) entries) ([]Row, bool) {
	t.Helper()
	decode := func(doc []byte) entries {
		var d struct{ Keys entries }
		decoder := json.NewDecoder(bytes.NewReader(doc))
		if decoder.Decode(&d) != nil {
			return nil
		}
		return d.Keys
	}
	type life struct {
		key         map[string]any
		first, last time.Time
	}
	var lives []*life
	for n, r := range list {
		if r.Failed() || !r.T.Before(at) {
			continue
		}
		until := at
		if n+1 < len(list) && list[n+1].T.Before(at) {
			until = list[n+1].T
		}
		for _, k := range decode(r.Doc) {
			same := func(l *life) bool { return l.key["n"] == k["n"] && l.key["x"] == k["x"] }
			if i := slices.IndexFunc(lives, same); i >= 0 {
				lives[i].last = until
			} else if signs(k) {
				lives = append(lives, &life{k, r.T, until})
			}
		}
	}
	var retired entries
	for _, l := range lives {
		if l.last.Sub(l.first) >= 7*day && at.Sub(l.last) >= 30*day {
			retired = append(retired, l.key)
		}
	}
	changed := func(r Row) (Row, bool) {
		doc := decode(r.Doc)
		if r.Failed() || len(doc) == 0 || !signs(doc[0]) {
			return r, false
		}
		keys := inject(doc, retired)
		if keys == nil {
			return r, false
		}
		b, err := json.Marshal(map[string]any{"keys": keys})
		if err != nil {
			t.Fatal(err)
		}
		r.Doc, r.Listed = b, len(keys)
		return r, true
	}
	i := slices.IndexFunc(list, func(r Row) bool { return r.T.After(at) })
	if i < 0 {
		i = len(list)
	}
	first, ok := changed(list[i-1])
	if !ok {
		return list, false
	}
	first.T = at
	out := append(slices.Clone(list[:i]), first)
	if once {
		back := list[i-1]
		back.T = at.Add(day)
		if i == len(list) || list[i].T.After(back.T) {
			out = append(out, back)
		}
		return append(out, list[i:]...), true
	}
	for _, r := range list[i:] {
		r, _ = changed(r)
		out = append(out, r)
	}
	return out, true
}
