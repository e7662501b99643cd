package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// TestRulesReference holds the fields in docs/rules.md, which are written with
// -update from the vocabulary.
func TestRulesReference(t *testing.T) {
	t.Parallel()
	const begin = "## Fields\n"
	path := filepath.Join("..", "..", "docs", "rules.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, have, ok := strings.Cut(string(page), begin)
	if !ok {
		t.Fatal("docs/rules.md has no section Fields")
	}
	var b strings.Builder
	b.WriteString("| field | kind | is | example |\n|---|---|---|---|\n")
	for _, f := range custom.Fields() {
		doc := f.Doc
		if f.Values != nil && len(f.Values) < 12 {
			doc += ": " + strings.Join(f.Values, ", ")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | `%s` |\n", f.Name, f.Kind, doc, f.Example)
	}
	b.WriteString("| `endpoint.labels.NAME` | text | a label of the endpoint | `prod` |\n| `details.NAME` | as below | a member of the details of the types in `on` | |\n\n")
	b.WriteString("| kind | operators |\n|---|---|\n")
	for _, k := range []custom.Kind{custom.Text, custom.Texts, custom.Thumbprint, custom.Address, custom.Number, custom.Duration, custom.Time, custom.Severity, custom.Bool} {
		var ops []string
		for _, o := range custom.Ops(k) {
			ops = append(ops, "`"+string(o)+"`")
		}
		fmt.Fprintf(&b, "| %s | %s |\n", k, strings.Join(ops, " "))
	}
	b.WriteString("\nDurations are written as 90d or 1h30m; `in_list` names a list; `glob` knows `*`, `?` and `[…]`; `cidr` takes a network.\n\n| type | details |\n|---|---|\n")
	for _, typ := range event.Types() {
		d := custom.Details(typ)
		var members []string
		for _, m := range slices.Sorted(maps.Keys(d)) {
			members = append(members, fmt.Sprintf("`%s` (%s)", m, d[m]))
		}
		if len(members) > 0 {
			fmt.Fprintf(&b, "| `%s` | %s |\n", typ, strings.Join(members, ", "))
		}
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if have != b.String() {
		t.Error("the fields in docs/rules.md are not those of the vocabulary: write them with -update")
	}
}

// TestRulesPageLoads holds that the rules which docs/rules.md shows load.
func TestRulesPageLoads(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "rules.md"))
	if err != nil {
		t.Fatal(err)
	}
	read := 0
	for block := range strings.SplitSeq(string(page), "```yaml\n") {
		text, _, _ := strings.Cut(block, "```")
		if !strings.HasPrefix(text, "version: 1\nlists:") {
			continue
		}
		read++
		o := configs.Options{Dir: ".", ReadFile: func(string) ([]byte, error) { return []byte(text), nil }}
		if set, _, err := configs.LoadRules(o, "rules.md"); err != nil || len(set.Rules) != 1 || len(set.Overrides) != 1 {
			t.Error(err)
		}
	}
	if read != 1 {
		t.Errorf("%d blocks of rules", read)
	}
}
