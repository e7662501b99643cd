package configs

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"
)

var compiled = sync.OnceValues(func() (*jsonschema.Schema, error) {
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(Schema()))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("config.json", doc); err != nil {
		return nil, err
	}
	return c.Compile("config.json")
})

// valid asks the schema.
func valid(t testing.TB, src []byte) error {
	t.Helper()
	s, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(src, &doc); err != nil {
		t.Fatalf("%v\n%s", err, src)
	}
	return s.Validate(instance(doc.Content[0]))
}

var number = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,14})(\.[0-9]{0,8}[1-9])?$`)

// instance is what a YAML document is as JSON: the core schema of YAML 1.2, but
// a plain scalar is a number only when its text is that of the number, because
// the loader works on the text.
func instance(n *yaml.Node) any {
	switch {
	case n.Kind == yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = instance(n.Content[i+1])
		}
		return m
	case n.Kind == yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, instance(c))
		}
		return list
	case n.Style != 0:
		return n.Value
	case n.ShortTag() == "!!null":
		return nil
	case n.Value == "true" || n.Value == "false":
		return n.Value == "true"
	case number.MatchString(n.Value):
		return json.Number(n.Value)
	}
	return n.Value
}

func TestSchemaIsGolden(t *testing.T) {
	t.Parallel()
	if want, err := os.ReadFile("schema/config.schema.json"); !*update && (err != nil || !bytes.Equal(want, Schema())) {
		t.Error("schema/config.schema.json is not what the catalogue says: write it with -update, and read it")
	}
	if *update {
		compare(t, "schema/config.schema.json", Schema())
	}
	if strings.Contains(string(Schema()), canary) {
		t.Error("the schema holds a secret")
	}
}

// Each key of the catalogue is in the schema, with its sentence.
func TestSchemaDescribesEveryKey(t *testing.T) {
	t.Parallel()
	walk(new(Config).fields(nil), "", func(path string, f *field) {
		if !f.built() {
			return
		}
		s := f.schema()
		if !strings.Contains(s.Description, strings.ReplaceAll(f.doc, "`", "")) {
			t.Errorf("%s is not described: %q", path, s.Description)
		}
		if (s.Default != nil) != (f.def != "") {
			t.Errorf("%s has the default %v", path, s.Default)
		}
	})
	var doc map[string]any
	if err := json.Unmarshal(Schema(), &doc); err != nil {
		t.Fatal(err)
	}
	for _, f := range new(Config).fields(nil) {
		if _, there := doc["properties"].(map[string]any)[f.key]; there != f.built() {
			t.Errorf("%s is in the schema: %v", f.key, there)
		}
	}
}

func TestExamplesPassSchemaAndLoader(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("examples/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("examples: %v, %v", files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(t, src); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		// As an operator does it: nothing but the shipped files is there.
		if c, err := Load(file); err != nil || len(c.Warnings) > 0 {
			t.Errorf("%s: %v", file, err)
		}
		if line, _, _ := strings.Cut(string(src), "\n"); !strings.Contains(line, "$schema=../schema/config.schema.json") {
			t.Errorf("%s does not name its schema", file)
		}
	}
}

// The corpora hold what the generator does not think of. Files whose fault is
// beyond a schema are listed, so that the list is short for a reason.
func TestSchemaAgreesOnTheCorpora(t *testing.T) {
	t.Parallel()
	beyond := regexp.MustCompile(`^(env-|file-|name-twice|headers-twice|include-(itself|missing|no-match|pattern)|tls-(ca|key|cert)-|web-(token|tls-other)|text-|key-expansion|vault-|yaml-|path-)`)
	for file := range corpora(t, "bad", 200) {
		name := filepath.Base(file)
		if beyond.MatchString(name) || filepath.Ext(file) != ".yaml" {
			continue
		}
		if valid(t, []byte(corpus(t, file)["main.yaml"])) == nil {
			t.Errorf("%s is valid for the schema", file)
		}
	}
	for file := range corpora(t, "good", 6) {
		if err := valid(t, []byte(corpus(t, file)["main.yaml"])); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// between is behind sizes, ports and durations.
func TestBetween(t *testing.T) {
	t.Parallel()
	for _, c := range [][2]int64{{0, 9}, {1, 65535}, {0, 59}, {24, 999}, {86, 86}, {1024, 2048}, {7, 1000}, {1440, 99999}} {
		re := regexp.MustCompile(anchored(between(c[0], c[1])))
		for n := int64(0); n <= c[1]+1100; n++ {
			if want := c[0] <= n && n <= c[1]; re.MatchString(strconv.FormatInt(n, 10)) != want {
				t.Errorf("%d in %v: %v (%s)", n, c, !want, re)
				break
			}
		}
		if re.MatchString("0" + strconv.FormatInt(c[1], 10)) {
			t.Errorf("%v takes leading zeros", c)
		}
	}
}

// The pattern of durations is what parseDuration reads.
func TestDurationPattern(t *testing.T) {
	t.Parallel()
	for _, least := range []time.Duration{time.Second, day} {
		re := regexp.MustCompile(anchored(durationPattern(least)))
		r := rand.New(rand.NewPCG(1, 2))
		for range 20_000 {
			var b strings.Builder
			for range 1 + r.IntN(4) {
				b.WriteString(strconv.Itoa(r.IntN([]int{3, 30, 70, 1100, 90_000_000}[r.IntN(5)])))
				b.WriteString([]string{"d", "h", "m", "s", "ms", "", "w"}[r.IntN(7)])
			}
			text := b.String()
			d, ok := parseDuration(text)
			if want := ok && d >= least; re.MatchString(text) != want {
				t.Fatalf("%q of at least %v: the loader says %v, the pattern %v", text, least, want, !want)
			}
		}
	}
}
