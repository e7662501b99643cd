package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/jwkswatch/jwkswatch/"

// layers is the house: a package may import packages of lower layers only. A
// package that is not here is a decision that was not taken yet.
var layers = map[string]int{
	"jwks": 0, "event": 0, "state": 0, "lab": 0, "docs/events": 0,
	"diff": 1, "history": 1, "keyhealth": 1, "state/bolt": 1, "state/statetest": 1, "rules/custom": 1, "evidence": 1,
	"fetch": 2, "rules": 2,
	"sinks/format": 1, "watcher": 3, "sinks": 3, "query": 3, "replay": 3,
	"configs": 4, "agent": 4, "control": 4, "web": 4, "token": 4,
	"cmd/jwkswatch": 5,
}

// pure packages never reach the network, read the clock or touch the disk:
// time and octets come in as values.
var pure = []string{"event", "jwks", "diff", "history", "keyhealth", "rules", "rules/custom", "sinks/format", "evidence"}

func TestImportsGoDownwards(t *testing.T) {
	for pkg, imports := range listed(t) {
		layer, ok := layers[pkg]
		if !ok {
			t.Errorf("package %s has no layer: add it to the house on purpose, with a decision record", pkg)
			continue
		}
		for _, imp := range imports {
			below, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			if layers[below] >= layer {
				t.Errorf("%s (layer %d) imports %s (layer %d)", pkg, layer, below, layers[below])
			}
		}
	}
}

// TestTheHouseIsDrawn holds that who begins here finds every package in the pages
// about the house.
func TestTheHouseIsDrawn(t *testing.T) {
	for page, quoted := range map[string]func(string) string{
		"docs/design.md":  func(pkg string) string { return pkg },
		"CONTRIBUTING.md": func(pkg string) string { return "`" + pkg + "`" },
	} {
		b, err := os.ReadFile(filepath.Join("..", "..", page))
		if err != nil {
			t.Fatal(err)
		}
		for pkg := range layers {
			if !strings.Contains(string(b), quoted(pkg)) {
				t.Errorf("%s says nothing of package %s", page, pkg)
			}
		}
	}
}

func TestPurePackagesStayPure(t *testing.T) {
	for pkg, imports := range listed(t) {
		if !slices.Contains(pure, pkg) {
			continue
		}
		for _, imp := range imports {
			if slices.Contains([]string{"net", "net/http", "os", "os/exec", "syscall", "crypto/rand", "math/rand", "math/rand/v2"}, imp) {
				t.Errorf("%s imports %s", pkg, imp)
			}
		}
		for _, call := range calls(t, pkg) {
			if slices.Contains([]string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.Tick"}, call) {
				t.Errorf("%s calls %s", pkg, call)
			}
		}
	}
}

func TestContractImportsTheStandardLibraryOnly(t *testing.T) {
	for _, imp := range listed(t)["event"] {
		if strings.Contains(strings.Split(imp, "/")[0], ".") {
			t.Errorf("event imports %s: a consumer may import event too", imp)
		}
	}
}

// TestNothingHappensAtImport holds that there is no init function in the
// program: what runs is what main wires.
func TestNothingHappensAtImport(t *testing.T) {
	for pkg := range listed(t) {
		eachFile(t, pkg, func(path string, f *ast.File) {
			for _, d := range f.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && fn.Name.Name == "init" {
					t.Errorf("%s has an init function", path)
				}
			}
		})
	}
}

// listed maps each package of the module to its imports, tests left out.
func listed(t *testing.T) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", "{{.ImportPath}} {{join .Imports \" \"}}", "../../...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	pkgs := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		pkgs[strings.TrimPrefix(words[0], module)] = words[1:]
	}
	return pkgs
}

// calls lists the package.Function selectors in a package, tests left out.
func calls(t *testing.T, pkg string) []string {
	var out []string
	eachFile(t, pkg, func(_ string, f *ast.File) {
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok {
					out = append(out, x.Name+"."+sel.Sel.Name)
				}
			}
			return true
		})
	})
	return out
}

func eachFile(t *testing.T, pkg string, visit func(path string, f *ast.File)) {
	t.Helper()
	dir := filepath.Join("..", "..", filepath.FromSlash(pkg))
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != dir {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		visit(path, f)
		return nil
	})
	if err != nil {
		t.Fatalf("reading %s: %v", strconv.Quote(pkg), err)
	}
}
