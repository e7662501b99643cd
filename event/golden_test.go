package event_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
)

// A golden file is what a SIEM has stored and parses. A test that fails here
// says that the public contract changed: adding a member is a minor version,
// anything else breaks consumers. Run with -update only when that is meant.
var update = flag.Bool("update", false, "write the golden events anew: a change of the public contract")

func goldenPath(name string) string { return filepath.Join("testdata", "golden", name+".json") }

func encode(t testing.TB, e *event.Event) []byte {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			got := encode(t, &s.event)
			if *update {
				var pretty bytes.Buffer
				if err := json.Indent(&pretty, got, "", "  "); err != nil {
					t.Fatal(err)
				}
				pretty.WriteByte('\n')
				if err := os.WriteFile(goldenPath(s.name), pretty.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			file, err := os.ReadFile(goldenPath(s.name))
			if err != nil {
				t.Fatal(err)
			}
			var want bytes.Buffer
			if err := json.Compact(&want, file); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want.Bytes()) {
				t.Errorf("the encoded event is not its golden file; the contract changed\n got %s\nwant %s", got, want.Bytes())
			}
			again, err := event.Decode(file)
			if err != nil {
				t.Fatal(err)
			}
			if b := encode(t, again); !bytes.Equal(b, got) {
				t.Errorf("decoded and encoded again:\n got %s\nwant %s", b, got)
			}
		})
	}
}

// Every type has a golden event of its own name, and there is no other file.
func TestGoldenComplete(t *testing.T) {
	t.Parallel()
	var want []string
	for _, s := range samples() {
		want = append(want, goldenPath(s.name))
	}
	for _, typ := range event.Types() {
		if !slices.Contains(want, goldenPath(string(typ))) {
			t.Errorf("%s has no golden event", typ)
		}
	}
	slices.Sort(want)
	have, err := filepath.Glob(goldenPath("*"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(have, want) {
		t.Errorf("golden files:\nhave %q\nwant %q", have, want)
	}
}

// The opening and the closing of a condition share type, id, subject and stream.
func TestGoldenConditionsClose(t *testing.T) {
	t.Parallel()
	n := 0
	for _, s := range samples() {
		name, ok := strings.CutSuffix(s.name, ".closed")
		if !ok {
			continue
		}
		n++
		o, c := golden(name), s.event
		if o.Data.Event.Type != c.Data.Event.Type || o.Subject != c.Subject || o.Data.Integrity.Stream != c.Data.Integrity.Stream ||
			o.Data.Event.Condition.ID != c.Data.Event.Condition.ID || o.ID != c.Data.Event.Condition.OpenedBy {
			t.Errorf("%s does not close what %s opens", s.name, name)
		}
		if o.ID == c.ID || c.Data.Event.Severity != event.SeverityInformational {
			t.Errorf("%s: id %s, severity %s", s.name, c.ID, c.Data.Event.Severity)
		}
	}
	if n != 27 {
		t.Errorf("%d closing events, want 27", n)
	}
}

// The message rule: who first, then what, how sure, since when and so what.
func TestGoldenMessages(t *testing.T) {
	t.Parallel()
	for _, s := range samples() {
		m := s.event.Data.Event.Message
		if n := utf8.RuneCountInString(m); n > event.MaxMessage {
			t.Errorf("%s: message of %d characters", s.name, n)
		}
		if s.event.Data.Endpoint == nil {
			continue // who it is about stands in observer, and there is nothing to be seen twice
		}
		if !strings.HasPrefix(m, s.event.Data.Endpoint.Name+": ") {
			t.Errorf("%s: message does not start with the endpoint: %s", s.name, m)
		}
		// What history tells is no sight that could be confirmed.
		_, sight := reflect.Indirect(reflect.ValueOf(s.event.Data.Details)).Type().FieldByName("Confirmation")
		if sight && !strings.Contains(m, "seen ") && !strings.Contains(m, " of ") && !strings.Contains(m, "in a row") {
			t.Errorf("%s: message does not say how sure it is: %s", s.name, m)
		}
		if !strings.Contains(m, " UTC") {
			t.Errorf("%s: message names no time: %s", s.name, m)
		}
	}
}
