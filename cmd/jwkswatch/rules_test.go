package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// TestExampleRules runs the shipped tests of the shipped rules, and holds that they
// can fail: every other value, bound, operator and severity that a rule could have
// makes one of them fail, and so does every part that is left out.
func TestExampleRules(t *testing.T) {
	t.Parallel()
	examples := filepath.Join("..", "..", "configs", "examples")
	dir := t.TempDir()
	for _, sub := range []string{"rules.d", "rules_test"} {
		if err := os.CopyFS(filepath.Join(dir, sub), os.DirFS(filepath.Join(examples, sub))); err != nil {
			t.Fatal(err)
		}
	}
	book := filepath.Join(dir, "rules.d", "corp.yaml")
	original, err := os.ReadFile(book)
	if err != nil {
		t.Fatal(err)
	}
	test := func() (int, string) {
		var out, errs bytes.Buffer
		code := execute(t.Context(), []string{"rules", "test", filepath.Join(dir, "rules_test", "corp.yaml")}, strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	if code, told := test(); code != exitOK || !strings.Contains(told, "100 % of the rules are fired") {
		t.Fatalf("exit %d\n%s", code, told)
	}
	all := mutants(t, original)
	if len(all) < 80 {
		t.Errorf("only %d mutants", len(all))
	}
	failed := 0
	for what, text := range all {
		if err := os.WriteFile(book, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		switch code, told := test(); code {
		case exitFailed:
			failed++
		case exitConfig: // it is refused, which is as good
		default:
			t.Errorf("%s: exit %d\n%s", what, code, told)
		}
	}
	if failed < 60 {
		t.Errorf("only %d of %d mutants load and make a test fail", failed, len(all))
	}
}

// mutants are the files that differ in one place of what decides.
func mutants(t *testing.T, original []byte) map[string]string {
	out := map[string]string{}
	var root yaml.Node
	if err := yaml.Unmarshal(original, &root); err != nil {
		t.Fatal(err)
	}
	keep := func(what string, undo func()) {
		b, err := yaml.Marshal(&root)
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprintf("%d %s", len(out), what)] = string(b)
		undo()
	}
	var walk func(path string, n *yaml.Node)
	walk = func(path string, n *yaml.Node) {
		width := map[yaml.Kind]int{yaml.MappingNode: 2, yaml.SequenceNode: 1, yaml.DocumentNode: 1}[n.Kind]
		for i := 0; width > 0 && i+width <= len(n.Content); i += width {
			part, was, name := n.Content[i+width-1], slices.Clone(n.Content), ""
			if width == 2 {
				name = n.Content[i].Value
				// Words for people decide nothing; a rule that repeats is told of elsewhere.
				if slices.Contains([]string{"version", "id", "title", "why", "by", "reason", "repeat", "lists", "macros"}, name) && path == "" ||
					slices.Contains([]string{"id", "title", "why", "by", "reason", "repeat"}, name) {
					if name == "lists" || name == "macros" {
						walk("/"+name, part)
					}
					continue
				}
				for _, op := range otherOps(name) {
					n.Content[i].Value = op
					keep(path+"/"+name+" as "+op, func() { n.Content[i].Value = name })
				}
			}
			if path != "" && n.Kind != yaml.DocumentNode && len(n.Content) > width || path == "/rules" {
				n.Content = slices.Delete(slices.Clone(was), i, i+width)
				keep(path+"/"+name+" left out", func() { n.Content = was })
			}
			if part.Kind == yaml.ScalarNode {
				for _, v := range otherValues(part.Value) {
					before := part.Value
					part.Value = v
					keep(fmt.Sprintf("%s/%s: %s for %s", path, name, v, before), func() { part.Value = before })
				}
			}
			next := path
			if width == 2 {
				next += "/" + name
			}
			walk(next, part)
		}
	}
	walk("", &root)
	return out
}

func otherOps(op string) []string {
	return map[string][]string{
		"lt": {"lte", "gt"}, "lte": {"lt"}, "gt": {"gte"}, "gte": {"gt", "lte"}, "eq": {"ne"}, "ne": {"eq"},
		"prefix": {"suffix", "ne"}, "not": {"all"},
	}[op]
}

// otherValues are the neighbours of a value.
func otherValues(v string) []string {
	if i := slices.Index(custom.Severities(), v); i >= 0 {
		var out []string
		for _, j := range []int{i - 1, i + 1} {
			if j >= 0 && j < len(custom.Severities()) {
				out = append(out, custom.Severities()[j])
			}
		}
		return out
	}
	if n, err := strconv.Atoi(v); err == nil {
		return []string{strconv.Itoa(n - 1), strconv.Itoa(n + 1)}
	}
	if d, ok := configs.ParseDuration(v); ok {
		return []string{fmt.Sprint(int(d/time.Second)+1) + "s", fmt.Sprint(int(d/time.Second)-1) + "s"}
	}
	if t, err := time.Parse(time.DateOnly, v); err == nil {
		return []string{t.AddDate(0, 0, -1).Format(time.DateOnly), t.AddDate(0, 0, 1).Format(time.DateOnly)}
	}
	return map[string][]string{"true": {"false"}, "false": {"true"}, "critical": {"low"}, "expected": {"unexpected"}, "RSA": {"EC"}, "prod": {"test"}}[v]
}
