package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestExampleRules runs the shipped tests of the shipped rules, and holds that
// they can fail: each small change of a rule makes one of them fail.
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
		code := execute(t.Context(), []string{"rules", "test", "--coverage-min", "100", filepath.Join(dir, "rules_test", "corp.yaml")}, strings.NewReader(""), &out, &errs)
		return code, out.String() + errs.String()
	}
	if code, told := test(); code != exitOK {
		t.Fatalf("exit %d\n%s", code, told)
	}
	for _, m := range [][2]string{
		{"lt: 3072", "lte: 3072"},
		{"lt: 3072", "lt: 3071"},
		{"gte: medium", "gte: low"},
		{"gte: medium", "gt: medium"},
		{"ne: expected", "eq: expected"},
		{"severity: high", "severity: medium"},
		{"expires: 2027-01-31", "expires: 2027-01-30"},
		{"expires: 2027-01-31", "expires: 2027-02-01"},
		{"action: raise", "action: detect\n    severity: low"},
		{"enabled: false", "severity: low"},
		{"noisy: [partner-acme,", "noisy: ["},
		{"key.kty: RSA, ", ""},
		{"env: prod", "env: test"},
		{"on: [key.added, key.mutated]", "on: key.mutated"},
	} {
		changed := strings.Replace(string(original), m[0], m[1], 1)
		if changed == string(original) {
			t.Errorf("%q is not in the rules", m[0])
			continue
		}
		if err := os.WriteFile(book, []byte(changed), 0o600); err != nil {
			t.Fatal(err)
		}
		if code, told := test(); code != exitFailed {
			t.Errorf("%q for %q: exit %d\n%s", m[1], m[0], code, told)
		}
	}
}
