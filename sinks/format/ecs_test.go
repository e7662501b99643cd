package format_test

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// ecsField is one field as Elastic publishes it.
type ecsField struct {
	typ     string
	array   bool
	allowed []string
}

func ecsFields(t *testing.T) map[string]ecsField {
	t.Helper()
	f, err := os.Open(filepath.Join(dataDir(), "siem", "ecs-9.4.0-fields.csv"))
	if err != nil {
		t.Skipf("SKIPPED: no fields of ECS: %v", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]ecsField{}
	for _, r := range rows[1:] {
		field := ecsField{typ: r[1], array: r[3] == "array"}
		if r[4] != "" {
			field.allowed = strings.FieldsFunc(r[4], func(r rune) bool { return r == ' ' || r == '|' || r == ';' || r == ',' })
		}
		out[r[0]] = field
	}
	if len(out) < 1000 || out["ecs.version"].typ == "" {
		t.Fatalf("only %d fields", len(out))
	}
	return out
}

// TestECS holds every golden event to the published fields: those that stand at the
// top level exist, are of their type, lists where lists are normal, and have values
// that are allowed. What is ours stands under jwkswatch and labels.
func TestECS(t *testing.T) {
	t.Parallel()
	fields := ecsFields(t)
	seen := map[string]bool{}
	for name, stored := range goldens(t) {
		e := decoded(t, format.ECS, stored)
		if e["@timestamp"] == nil || e["ecs"].(map[string]any)["version"] != "9.4.0" || e["jwkswatch"] == nil {
			t.Errorf("%s lacks what is required", name)
		}
		delete(e, "jwkswatch")
		delete(e, "labels")
		walkECS(e, "", func(path string, v any) {
			seen[path] = true
			f, ok := fields[path]
			if !ok {
				t.Errorf("%s: %s is no field of ECS", name, path)
				return
			}
			list, isList := v.([]any)
			if isList != f.array {
				t.Errorf("%s: %s is a list: %v, normally: %v", name, path, isList, f.array)
			}
			if !isList {
				list = []any{v}
			}
			for _, one := range list {
				if err := f.takes(one); err != nil {
					t.Errorf("%s: %s: %v", name, path, err)
				}
			}
		})
	}
	if len(seen) < 30 {
		t.Errorf("only %d fields are used: %v", len(seen), seen)
	}
}

func walkECS(v any, path string, visit func(path string, v any)) {
	if m, ok := v.(map[string]any); ok {
		for k, inner := range m {
			walkECS(inner, strings.TrimPrefix(path+"."+k, "."), visit)
		}
		return
	}
	visit(path, v)
}

func (f ecsField) takes(v any) error {
	s, isText := v.(string)
	n, isNumber := v.(float64)
	switch f.typ {
	case "keyword", "match_only_text", "wildcard", "constant_keyword", "text":
		if !isText || s == "" {
			return fmt.Errorf("%v is no text", v)
		}
	case "long", "integer", "short":
		if !isNumber || n != float64(int64(n)) {
			return fmt.Errorf("%v is no whole number", v)
		}
	case "float", "double", "scaled_float":
		if !isNumber {
			return fmt.Errorf("%v is no number", v)
		}
	case "date":
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			return err
		}
	case "ip":
		if _, err := netip.ParseAddr(s); err != nil {
			return err
		}
	default:
		return fmt.Errorf("type %s is not known here", f.typ)
	}
	if f.allowed != nil && !slices.Contains(f.allowed, s) {
		return fmt.Errorf("%q is not among %q", s, f.allowed)
	}
	return nil
}

// TestECSKinds holds which events call somebody.
func TestECSKinds(t *testing.T) {
	t.Parallel()
	events := goldens(t)
	for name, want := range map[string]string{
		"key.mutated": "alert", "key.added": "alert", "key.removed": "event", "key.private.closed": "event", "agent.heartbeat": "event", "key.added.rolled_up": "event",
	} {
		if got := decoded(t, format.ECS, events[name])["event"].(map[string]any)["kind"]; got != want {
			t.Errorf("%s is an %v, want %s", name, got, want)
		}
	}
}

// TestECSLabels holds that two labels that become one in ECS do so the same way each time.
func TestECSLabels(t *testing.T) {
	t.Parallel()
	stored := goldens(t)["key.mutated"]
	both := bytes.Replace(stored, []byte(`"labels":{`), []byte(`"labels":{"a.b":"1","a_b":"2",`), 1)
	if bytes.Equal(both, stored) {
		t.Fatal("the event has no labels")
	}
	for range 50 {
		if got := decoded(t, format.ECS, both)["labels"].(map[string]any)["a_b"]; got != "2" {
			t.Fatalf("the label is %v", got)
		}
	}
}
