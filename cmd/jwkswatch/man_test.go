package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

var update = flag.Bool("update", false, "write the manual pages in docs/man anew")

const manDir = "../../docs/man"

// wholeTree is the command line, completion included.
func wholeTree() *cobra.Command {
	root := newRoot()
	if c, _, err := root.Find([]string{"completion"}); err != nil || c == root {
		root.AddCommand(newCompletion())
	}
	return root
}

// The manual pages say what --help says. They are made here, so that what turns
// Markdown into a manual page stays out of the program.
func TestManualPages(t *testing.T) {
	t.Parallel()
	made := t.TempDir()
	root := wholeTree()
	var plain func(*cobra.Command)
	plain = func(c *cobra.Command) {
		c.DisableAutoGenTag = true // it holds the day
		for _, sub := range c.Commands() {
			plain(sub)
		}
	}
	plain(root)
	if err := doc.GenManTree(root, &doc.GenManHeader{Section: "1", Source: "jwkswatch", Manual: "jwkswatch manual"}, made); err != nil {
		t.Fatal(err)
	}
	want := pages(t, made)
	for name, text := range want {
		want[name] = undated(t, name, text)
	}
	if *update {
		if err := os.MkdirAll(manDir, 0o755); err != nil {
			t.Fatal(err)
		}
		for name := range pages(t, manDir) {
			if err := os.Remove(filepath.Join(manDir, name)); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(manDir, name), text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	have := pages(t, manDir)
	for name, text := range want {
		if !bytes.Equal(have[name], text) {
			t.Errorf("docs/man/%s is not what --help says; go test ./cmd/jwkswatch -run TestManualPages -update", name)
		}
	}
	for name := range have {
		if want[name] == nil {
			t.Errorf("docs/man/%s is the page of no command; go test ./cmd/jwkswatch -run TestManualPages -update", name)
		}
	}
}

func pages(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.1"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = text
	}
	return out
}

// undated takes the month out of the title line: the same source must make the
// same page in every month.
func undated(t *testing.T, name string, page []byte) []byte {
	t.Helper()
	title := regexp.MustCompile(`(?m)^(\.TH "[^"]*" "1" )"[^"]*"`)
	if n := len(title.FindAll(page, -1)); n != 1 {
		t.Fatalf("%s: %d title lines, want one:\n%.300s", name, n, page)
	}
	return title.ReplaceAll(page, []byte(`$1""`))
}

// What only tests and manual pages need is not in the program.
func TestProgramIsLean(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	deps := string(out)
	if !strings.Contains(deps, "github.com/spf13/cobra\n") {
		t.Fatal("cobra is not among the dependencies: this test holds nothing")
	}
	for _, never := range []string{"md2man", "blackfriday", "spf13/cobra/doc", "testscript", "jsonschema", "client_golang/prometheus/testutil"} {
		if strings.Contains(deps, never) {
			t.Errorf("the program depends on %s", never)
		}
	}
}
