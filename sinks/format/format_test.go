package format_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/sinks/format"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldens are the golden events of every type, compact as they are stored.
func goldens(t testing.TB) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob("../../event/testdata/golden/*.json")
	if err != nil || len(paths) < 50 {
		t.Fatalf("%d golden events, %v", len(paths), err)
	}
	out := map[string][]byte{}
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, b); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		out[strings.TrimSuffix(filepath.Base(path), ".json")] = compact.Bytes()
	}
	return out
}

// as writes an event in a format.
func as(t testing.TB, f format.Format, stored []byte) []byte {
	t.Helper()
	b, err := f.Encode(stored)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// decoded is an event in a format that is JSON.
func decoded(t testing.TB, f format.Format, stored []byte) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal(as(t, f, stored), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// drilled is the event as a drill.
func drilled(t testing.TB, stored []byte) []byte {
	t.Helper()
	out := bytes.Replace(stored, []byte(`"drill":false`), []byte(`"drill":true`), 1)
	if bytes.Equal(out, stored) {
		t.Fatal("the event says nothing of drills")
	}
	return out
}

// TestEveryEventInEveryFormat holds what is true of all: one line, the same octets
// each time, the canonical event untouched, and a drill that can be told from what
// is real.
func TestEveryEventInEveryFormat(t *testing.T) {
	t.Parallel()
	for name, stored := range goldens(t) {
		for _, f := range format.All() {
			b := as(t, f, stored)
			if bytes.ContainsAny(b, "\r\n") || len(b) == 0 {
				t.Errorf("%s as %s is not one line", name, f)
			}
			if f == format.CloudEvents && !bytes.Equal(b, stored) {
				t.Errorf("%s: the canonical event was changed", name)
			}
			if !bytes.Equal(b, as(t, f, stored)) {
				t.Errorf("%s as %s is not the same twice", name, f)
			}
			if drill := as(t, f, drilled(t, stored)); bytes.Equal(drill, b) || f != format.CloudEvents && !bytes.Contains(drill, []byte("drill")) {
				t.Errorf("%s as %s: a drill cannot be told from what is real", name, f)
			}
			if f.ContentType() == "" {
				t.Errorf("%s has no media type", f)
			}
		}
	}
}

// TestGoldens freezes some events in each format, to be read in a review.
func TestGoldens(t *testing.T) {
	t.Parallel()
	events := goldens(t)
	for _, name := range []string{"key.added", "key.removed", "key.private.closed", "endpoint.unreachable", "agent.started", "approval.granted", "key.added.rolled_up"} {
		for _, f := range []format.Format{format.OCSF, format.ECS, format.CEF} {
			b := as(t, f, events[name])
			path := filepath.Join("testdata", name+"."+string(f))
			if f != format.CEF {
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, b, "", "  "); err != nil {
					t.Fatal(err)
				}
				b, path = pretty.Bytes(), path+".json"
			}
			b = append(b, '\n')
			if *update {
				if err := os.MkdirAll("testdata", 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(b, want) {
				t.Errorf("%s is not what it was; if that is meant: go test ./sinks/format -update\n%s", path, b)
			}
		}
	}
}

// TestSize holds that no format makes much more of an event than is stored, whatever its
// texts: receivers and streams are given room for 64 KiB and some, and cut what is larger.
func TestSize(t *testing.T) {
	t.Parallel()
	for _, c := range []string{"<", "&", ">", "\\u2028", "\\\\", "\\\""} {
		stored := goldens(t)["set.replaced"]
		hostile := bytes.Replace(stored, []byte(`"keys":[]`), fmt.Appendf(nil, `"keys":[{"kid":"%s"}]`, strings.Repeat(c, 50_000/len(c))), 1)
		if len(hostile) < 40_000 {
			t.Fatal("the event has no list of keys")
		}
		for _, f := range format.All() {
			if b := as(t, f, hostile); len(b) > len(hostile)+4096 {
				t.Errorf("%q: %s makes %d octets of %d", c, f, len(b), len(hostile))
			}
		}
	}
}

// TestUnreadable holds that what cannot be read is refused, and not guessed at.
func TestUnreadable(t *testing.T) {
	t.Parallel()
	for _, f := range []format.Format{format.OCSF, format.ECS, format.CEF} {
		for _, stored := range []string{"", "x", "{}", `{"id":"a","time":"2026-01-01T00:00:00Z","data":{}}`, `{"id":"a","data":{"event":{"type":"key.added","severity":"high"}}}`, `{"data":[]}`} {
			if b, err := f.Encode([]byte(stored)); err == nil {
				t.Errorf("%s made %s of %q", f, b, stored)
			}
		}
	}
	if _, err := format.Format("xml").Encode(goldens(t)["key.added"]); err == nil {
		t.Error("a format that is none is taken")
	}
}

func dataDir() string {
	if dir := os.Getenv("JWKSWATCH_DATA"); dir != "" {
		return dir
	}
	return "../../../shared/data"
}
