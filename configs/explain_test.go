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

// Letters of a scheme do not count (RFC 3986, section 3.1): what stands in the
// query of such a URL is a secret all the same.
func TestExplainMasksAURLWithASchemeInCapitals(t *testing.T) {
	t.Parallel()
	c := good(t, "endpoints:\n  - {name: corp, jwks_uri: \"HTTPS://login.corp.example/keys?token="+canary+"\"}\n")
	var got bytes.Buffer
	if err := c.Explain().Print(&got); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(got.String(), canary) || !strings.Contains(got.String(), "login.corp.example/keys?token=***") {
		t.Error(got.String())
	}
}
