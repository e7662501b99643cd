package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPromisesAreHeld holds that each test which a page names is there, and that each
// command of a page finds one in every package that it names: a promise whose test was
// renamed is held by nobody.
func TestPromisesAreHeld(t *testing.T) {
	t.Parallel()
	root := filepath.Join("..", "..")
	tests, pages := map[string][]string{}, []string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() == ".git"):
			return filepath.SkipDir
		case strings.HasSuffix(path, ".md"):
			pages = append(pages, path)
		case strings.HasSuffix(path, "_test.go"):
			dir, err := filepath.Rel(root, filepath.Dir(path))
			if err != nil {
				return err
			}
			dir = "./" + filepath.ToSlash(dir)
			tests[dir] = append(tests[dir], testsOf(t, path)...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := slices.Concat(slices.Collect(maps.Values(tests))...)
	named := regexp.MustCompile("`((?:Test|Fuzz|Benchmark)[A-Z]\\w*)[`/]")
	command := regexp.MustCompile("go test ([^`\n]*)")
	held := 0
	for _, page := range pages {
		b, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		text := strings.ReplaceAll(string(b), `\|`, "|") // within a table
		for _, m := range named.FindAllStringSubmatch(text, -1) {
			if held++; !slices.Contains(all, m[1]) {
				t.Errorf("%s: there is no %s", page, m[1])
			}
		}
		for _, m := range command.FindAllStringSubmatch(text, -1) {
			held++
			for _, wrong := range unheld(m[1], tests, all) {
				t.Errorf("%s: go test %s: %s", page, m[1], wrong)
			}
		}
	}
	if held < 100 {
		t.Errorf("only %d tests and commands were found in the pages", held)
	}
}

// testsOf lists the tests of a file.
func testsOf(t *testing.T, path string) (names []string) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
			names = append(names, fn.Name.Name)
		}
	}
	return names
}

// unheld says what a command names that is not there.
func unheld(args string, tests map[string][]string, all []string) (wrong []string) {
	patterns := regexp.MustCompile(`-(?:run|fuzz|bench)[ =](?:'([^']*)'|(\S+))`)
	dirs := regexp.MustCompile(`\./[\w/.]+`).FindAllString(args, -1)
	for _, dir := range dirs {
		if dir != "./..." && len(tests[dir]) == 0 {
			wrong = append(wrong, dir+" has no tests")
		}
	}
	for _, m := range patterns.FindAllStringSubmatch(args, -1) {
		pattern := m[1] + m[2]
		if pattern == "^$" || pattern == "-" { // no test, but what else the command names
			continue
		}
		found := map[string]bool{}
		for one := range strings.SplitSeq(pattern, "|") {
			top, _, _ := strings.Cut(one, "/")
			like, err := regexp.Compile(top)
			if err != nil {
				return append(wrong, err.Error())
			}
			any := false
			for _, dir := range dirs {
				list := tests[dir]
				if dir == "./..." {
					list = all
				}
				if slices.ContainsFunc(list, like.MatchString) {
					any, found[dir] = true, true
				}
			}
			if !any {
				wrong = append(wrong, "no test is like "+one)
			}
		}
		for _, dir := range dirs {
			if !found[dir] {
				wrong = append(wrong, "it runs nothing in "+dir)
			}
		}
	}
	return wrong
}
