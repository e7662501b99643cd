package configs

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// The golden file is the whole of what config show prints, for each kind of
// origin.
func TestExplain(t *testing.T) {
	t.Parallel()
	files := corpus(t, "testdata/explain.txtar")
	c, err := Parse("etc/main.yaml", []byte(files["main.yaml"]), worldOf(files))
	if err != nil {
		t.Fatal(err)
	}
	list := c.Explain()
	var got bytes.Buffer
	if err := list.Print(&got); err != nil {
		t.Fatal(err)
	}
	compare(t, "testdata/explain.golden", got.Bytes())
	encoded, err := json.Marshal(list)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{canary, "hunter2", "PRIVATE"} {
		if strings.Contains(got.String()+string(encoded), secret) {
			t.Errorf("the explanation holds a secret:\n%s", &got)
		}
	}
	if !strings.Contains(string(encoded), `{"path":"observer.name","value":"jwkswatch","origin":"default"}`) {
		t.Errorf("as JSON: %s", encoded)
	}
}

// Every effective value is explained, and nothing else.
func TestExplainCoversTheEffectiveConfiguration(t *testing.T) {
	t.Parallel()
	src, _ := Example("full")
	c := good(t, string(src))
	lines := 0
	for line := range strings.Lines(string(c.Effective())) {
		text := strings.TrimSpace(line)
		if !strings.HasSuffix(text, ":") && !strings.HasPrefix(text, `- "`) {
			lines++
		}
	}
	const lists = 7 // pins, algs, thumbprints twice, windows, files of rules and of approvals: a list is one value
	if got := len(c.Explain()); got != lines+lists {
		t.Errorf("%d values are explained, %d are effective", got, lines+lists)
	}
}
