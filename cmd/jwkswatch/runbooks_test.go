package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	runbooks "github.com/jwkswatch/jwkswatch/docs/events"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

// headings are those of every runbook, in this order; "When it closes" is there
// for conditions only.
var headings = []string{"What happened", "Why it matters", "First five minutes", "True or false", "If it is real", "When it closes", "Reasons and codes", "References"}

// TestRunbooks holds that every type has its page of the same shape, that each
// rule is named on the page of its type, and that every command on it exists.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	var types []string
	for _, typ := range event.Types() {
		types = append(types, string(typ))
	}
	for _, typ := range runbooks.Types() {
		if !slices.Contains(types, typ) {
			t.Errorf("a page of %s, and there is no such type", typ)
		}
	}
	for _, typ := range types {
		page, ok := runbooks.Of(typ)
		if !ok {
			t.Errorf("%s has no page", typ)
			continue
		}
		want := slices.Clone(headings)
		if _, err := os.Stat(filepath.Join("..", "..", "event", "testdata", "golden", typ+".closed.json")); err != nil {
			want = slices.DeleteFunc(want, func(h string) bool { return h == "When it closes" })
		}
		var have []string
		for _, m := range regexp.MustCompile(`(?m)^## (.+)$`).FindAllStringSubmatch(page, -1) {
			have = append(have, m[1])
		}
		if !slices.Equal(have, want) {
			t.Errorf("%s: headings %q, want %q", typ, have, want)
		}
		if n := strings.Count(page, "\n"); n > 70 || !strings.HasPrefix(page, "# "+typ+"\n") {
			t.Errorf("%s: %d lines, or another title", typ, n)
		}
		for _, r := range rules.Book() {
			if string(r.Type) == typ && !strings.Contains(page, "`"+r.ID+"`") {
				t.Errorf("%s does not name its rule %s", typ, r.ID)
			}
		}
		for _, m := range regexp.MustCompile("`(jwkswatch [^`]*)`").FindAllStringSubmatch(page, -1) {
			if err := known(strings.Fields(m[1])[1:]); err != nil {
				t.Errorf("%s: %s: %v", typ, m[1], err)
			}
		}
	}
}

// known finds the command of a line and its flags.
func known(words []string) error {
	cmd, rest, err := newRoot().Find(words)
	if err != nil || cmd.Parent() == nil {
		return fmt.Errorf("no such command (%w)", err)
	}
	for _, w := range rest {
		name, _, _ := strings.Cut(strings.TrimLeft(w, "-"), "=")
		switch {
		case strings.HasPrefix(w, "--") && cmd.Flags().Lookup(name) == nil:
			return fmt.Errorf("no flag %s", w)
		case strings.HasPrefix(w, "-") && !strings.HasPrefix(w, "--") && cmd.Flags().ShorthandLookup(name) == nil:
			return fmt.Errorf("no flag %s", w)
		}
	}
	return nil
}

// TestTypesTable holds docs/events/README.md, which is written with -update.
func TestTypesTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString("# Events\n\nEvery type, the rules that find it, the test that fires each rule and keeps it quiet on what is near, a golden event, and what to\n" +
		"do at three in the morning. `jwkswatch explain TYPE` prints the page. Written by `go test ./cmd/jwkswatch -run TestTypesTable -update`.\n\n" +
		"*cond.*: opens once and closes once. A severity is what the rule begins with; reasons, the tier, declarations and approvals move it.\n\n" +
		"| type | rule | severity | test | golden | runbook |\n|---|---|---|---|---|---|\n")
	for _, typ := range event.Types() {
		golden := filepath.Join("event", "testdata", "golden", string(typ))
		cond := ""
		if _, err := os.Stat(filepath.Join("..", "..", golden+".closed.json")); err == nil {
			cond = ", *cond.*"
		}
		if _, err := os.Stat(filepath.Join("..", "..", golden+".json")); err != nil {
			t.Errorf("%s has no golden event: %v", typ, err)
		}
		row := func(rule, severity, test string) {
			fmt.Fprintf(&b, "| `%s`%s | %s | %s | `%s` | [json](../../%s.json) | [%s](%s.md) |\n", typ, cond, rule, severity, test, filepath.ToSlash(golden), typ, typ)
		}
		n := 0
		for _, r := range rules.Book() {
			if r.Type == typ {
				row("`"+r.ID+"`", r.Severity.String(), "go test ./rules -run TestEachRuleFiresAndStaysQuiet/"+r.ID)
				n++
			}
		}
		if object, _, _ := strings.Cut(string(typ), "."); n == 0 {
			switch object {
			case "agent":
				row("the agent's own", "see its page", "go test ./agent")
			case "approval":
				row("the agent's own", "see its page", "go test ./agent -run Approv")
			case "drill":
				row("the agent's own", "see its page", "go test ./agent -run Drill")
			default:
				row("-", "-", "-")
			}
		}
	}
	path := filepath.Join("..", "..", "docs", "events", "README.md")
	if *update {
		if err := os.WriteFile(path, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(path)
	if err != nil || string(have) != b.String() {
		t.Errorf("docs/events/README.md is not what the book says (%v): write it with -update", err)
	}
}

// TestTypesOfReadmes holds what the readme of events says of severities to the book, and
// the number of types in that of the repository.
func TestTypesOfReadmes(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "event", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]event.Severity{}
	for _, r := range rules.Book() {
		want[string(r.Type)] = max(want[string(r.Type)], r.Severity)
	}
	rows := regexp.MustCompile("(?m)^\\| `([a-z_.]+)` \\| [^|]+ \\| ([a-z]+) \\|").FindAllStringSubmatch(string(page), -1)
	for _, row := range rows {
		if s, ok := want[row[1]]; ok && s.String() != row[2] {
			t.Errorf("event/README.md: %s is %s, the book says %s", row[1], row[2], s)
		}
	}
	first, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if want := fmt.Sprintf("\nAll %d types ", len(event.Types())); err != nil || len(rows) < len(want) || !strings.Contains(string(first), want) {
		t.Errorf("README.md does not say %q (%v)", want, err)
	}
}

// TestDocsNameCommands holds that every command line in the pages for people is one that
// the program takes.
func TestDocsNameCommands(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	var pages []string
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/siem/*.md", "configs/*.md", "configs/nats/*.md"} {
		found, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %d pages (%v)", pattern, len(found), err)
		}
		pages = append(pages, found...)
	}
	line := regexp.MustCompile("(?m)(?:`|^\\$ \\./|^)(jwkswatch [a-z][^`|>#\\n&]*)")
	n := 0
	for _, path := range pages {
		page, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range line.FindAllStringSubmatch(string(page), -1) {
			n++
			if err := known(strings.Fields(m[1])[1:]); err != nil {
				t.Errorf("%s: %s: %v", filepath.Base(path), m[1], err)
			}
		}
	}
	if n < 50 {
		t.Errorf("%d command lines found", n)
	}
}
