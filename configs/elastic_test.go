package configs_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/sinks/format"
)

// elasticIndex is an index as far as the shipped template makes one: what is mapped, and
// what Elasticsearch makes of the first value of a field that is not.
type elasticIndex struct {
	types map[string]string // by path
	above map[string]bool   // flattened fields that pass over long values
	dates bool              // texts that look like dates become dates
	limit int               // of fields
}

func newIndex(t *testing.T) *elasticIndex {
	t.Helper()
	var file struct {
		Template struct {
			Settings map[string]any
			Mappings struct {
				Dates      *bool `json:"date_detection"`
				Properties map[string]any
			}
		}
	}
	if err := json.Unmarshal([]byte(read(t, "elastic/index-template.json")), &file); err != nil {
		t.Fatal(err)
	}
	m := file.Template.Mappings
	limit, _ := file.Template.Settings["index.mapping.total_fields.limit"].(float64)
	x := &elasticIndex{types: map[string]string{}, above: map[string]bool{}, dates: m.Dates == nil || *m.Dates, limit: int(limit)}
	x.explicit("", m.Properties)
	if len(x.types) < 30 || x.limit == 0 {
		t.Fatalf("%d fields are mapped, %d at most", len(x.types), x.limit)
	}
	return x
}

func (x *elasticIndex) explicit(path string, properties map[string]any) {
	for name, v := range properties {
		at := strings.TrimPrefix(path+"."+name, ".")
		field := v.(map[string]any)
		typ, _ := field["type"].(string)
		if inner, ok := field["properties"].(map[string]any); ok {
			typ = "object"
			x.explicit(at, inner)
		}
		x.types[at], x.above[at] = typ, field["ignore_above"] != nil
	}
}

// take indexes a value and returns why the document is refused, "" when it is not.
func (x *elasticIndex) take(path string, v any) string {
	if v == nil {
		return ""
	}
	if list, ok := v.([]any); ok {
		for _, one := range list {
			if why := x.take(path, one); why != "" {
				return why
			}
		}
		return ""
	}
	if x.types[path] == "" {
		x.types[path] = x.guess(v)
	}
	if x.types[path] == "flattened" {
		return x.flat(path, path, v)
	}
	m, ok := v.(map[string]any)
	if ok != (x.types[path] == "object") || !ok && !fits(x.types[path], v) {
		return fmt.Sprintf("%s is of type %s, and this is %v", path, x.types[path], v)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if why := x.take(strings.TrimPrefix(path+"."+name, "."), m[name]); why != "" {
			return why
		}
	}
	return ""
}

// guess is dynamic mapping.
func (x *elasticIndex) guess(v any) string {
	switch v := v.(type) {
	case map[string]any:
		return "object"
	case bool:
		return "boolean"
	case float64:
		if v != float64(int64(v)) {
			return "float"
		}
		return "long"
	}
	// strict_date_optional_time, and yyyy/MM/dd with and without a time.
	if x.dates && regexp.MustCompile(`^\d{4}(-\d\d(-\d\d(T[0-9:.,]+(Z|[+-]\d\d:?\d\d)?)?)?)?$|^\d{4}/\d\d/\d\d`).MatchString(fmt.Sprint(v)) {
		return "date"
	}
	return "keyword"
}

// flat is a flattened field: a term of Lucene has 32,766 octets at most, its path included.
func (x *elasticIndex) flat(field, path string, v any) string {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			if why := x.flat(field, path+"."+name, inner); why != "" {
				return why
			}
		}
	case []any:
		for _, inner := range v {
			if why := x.flat(field, path, inner); why != "" {
				return why
			}
		}
	case string:
		if !x.above[field] && len(path)+len(v) > 32_766 {
			return path + " is an immense term"
		}
	}
	return ""
}

// fits reports whether Elasticsearch takes a value for a type.
func fits(typ string, v any) bool {
	s, isText := v.(string)
	n, isNumber := v.(float64)
	switch typ {
	case "keyword", "match_only_text":
		return true
	case "boolean":
		_, is := v.(bool)
		return is
	case "long":
		return isNumber && n == float64(int64(n))
	case "float":
		return isNumber
	case "date":
		_, err := time.Parse(time.RFC3339Nano, s)
		return err == nil || isText && regexp.MustCompile(`^\d{4}(-\d\d){0,2}$`).MatchString(s)
	case "ip":
		a, err := netip.ParseAddr(s)
		return err == nil && a.Zone() == ""
	}
	return false
}

// TestElasticRefusesNothing indexes every golden event as the agent's formats and the
// shipped collectors write it, into one index, behind an event whose issuer chose texts
// that look like something else: a kid that is a date must not make all later kids wrong.
func TestElasticRefusesNothing(t *testing.T) {
	t.Parallel()
	x := newIndex(t)
	events := goldens(t)
	odd := clone(t, events["key.mutated"])
	data := odd["data"].(map[string]any)
	for _, key := range []string{"key", "previous_key"} {
		data[key].(map[string]any)["kid"] = "2026-11-22"
	}
	data["transport"].(map[string]any)["etag"] = "2026"
	data["transport"].(map[string]any)["remote_addr"] = "[fe80::1%eth0]:443"
	data["change"].(map[string]any)["before"] = map[string]any{"kid": "2026-11-22", "alg": 1}
	big := clone(t, events["agent.checkpoint"])
	big["data"].(map[string]any)["details"].(map[string]any)["jws"] = strings.Repeat("x", 40_000)
	names := slices.Sorted(maps.Keys(events))
	events["odd"], events["big"] = odd, big
	for _, f := range []format.Format{format.ECS, format.CloudEvents} {
		for _, name := range append([]string{"odd", "big"}, names...) {
			stored, err := json.Marshal(events[name])
			if err != nil {
				t.Fatal(err)
			}
			line, err := f.Encode(stored)
			if err != nil {
				t.Fatal(err)
			}
			var doc map[string]any
			if err := json.Unmarshal(line, &doc); err != nil {
				t.Fatal(err)
			}
			x.types[""] = "object"
			if why := x.take("", doc); why != "" {
				t.Errorf("%s as %s is refused: %s", name, f, why)
			}
		}
	}
	if len(x.types) > x.limit {
		t.Errorf("%d fields, and the index takes %d", len(x.types), x.limit)
	}
	if why := x.take("event.severity", "high"); why == "" {
		t.Error("an index that takes anything: this test holds nothing")
	}
}
