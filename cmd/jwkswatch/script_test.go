package main

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the command line from outside. The scripts in
// testdata/script are also its manual.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits N jwkswatch ARG...: run and hold the exit code.
			"exits": exits,
		},
	})
}

// exits runs a command line in this process and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args[0]) == 0 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	var out, errs lines
	in, err := os.Open(ts.MkAbs("stdin"))
	if err != nil {
		in, err = os.Open(os.DevNull)
		ts.Check(err)
	}
	defer in.Close()
	var words []string
	for _, a := range args[1:] {
		if _, err := os.Stat(ts.MkAbs(a)); err == nil && a != "-" {
			a = ts.MkAbs(a)
		}
		words = append(words, a)
	}
	code := execute(context.Background(), words, in, &out, &errs)
	ts.Logf("exit code %d\n%s%s", code, out.String(), errs.String())
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errs.String()), 0o600))
	if want := args[0]; want != itoa(code) {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}
