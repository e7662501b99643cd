package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/jwkswatch/jwkswatch/lab"
)

// TestScripts runs the command line from outside. The scripts in
// testdata/script are also its manual.
func TestScripts(t *testing.T) {
	t.Parallel()
	path := filepath.Dir(built(t)) + string(filepath.ListSeparator) + os.Getenv("PATH")
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			env.Values[issuersOf{}] = map[string]*lab.Issuer{}
			env.Setenv("PATH", path) // exec jwkswatch is the real binary
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits CODE ARG...: run a command line in this process and hold its
			// exit code; its output is in the files out and err.
			"exits": exits,
			// issuer NAME KID...: start an issuer with these keys; $NAME is its URL.
			"issuer": startIssuer,
			// publish NAME add|remove|mutate KID: change its keys.
			"publish": publish,
			// expand FILE...: put variables into files.
			"expand": expand,
			// until PATTERN CODE ARG...: run the command line until it ends with the
			// code and its output, or what it says of errors, matches.
			"until": until,
		},
	})
}

// issuersOf is the key of a script's issuers.
type issuersOf struct{}

func issuers(ts *testscript.TestScript) map[string]*lab.Issuer {
	return ts.Value(issuersOf{}).(map[string]*lab.Issuer)
}

func startIssuer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: issuer NAME KID...")
	}
	i := &lab.Issuer{}
	for _, kid := range args[1:] {
		i.Add(lab.NewEC(kid, "P-256"))
	}
	url, stop, err := i.Start()
	ts.Check(err)
	ts.Defer(stop)
	issuers(ts)[args[0]] = i
	ts.Setenv(args[0], url)
}

func publish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 3 {
		ts.Fatalf("usage: publish NAME add|remove|mutate KID")
	}
	i := issuers(ts)[args[0]]
	switch args[1] {
	case "add":
		i.Add(lab.NewEC(args[2], "P-256"))
	case "remove":
		i.Remove(args[2])
	case "mutate":
		i.Mutate(args[2])
	default:
		ts.Fatalf("publish %s: unknown", args[1])
	}
}

func expand(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: until PATTERN CODE ARG...")
	}
	pattern, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for {
		code := call(ts, args[2:])
		text := ts.ReadFile("out") + ts.ReadFile("err")
		if itoa(code) == args[1] && pattern.MatchString(text) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("exit code %d, want %s and %s in\n%s", code, args[1], args[0], text)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// exits runs a command line in this process and compares its exit code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args[0]) == 0 {
		ts.Fatalf("usage: exits CODE ARG...")
	}
	code := call(ts, args[1:])
	ts.Logf("exit code %d\n%s%s", code, ts.ReadFile("out"), ts.ReadFile("err"))
	if want := args[0]; want != itoa(code) {
		ts.Fatalf("exit code %d, want %s", code, want)
	}
}

// call runs a command line in this process.
func call(ts *testscript.TestScript, args []string) int {
	var out, errs lines
	in, err := os.Open(ts.MkAbs("stdin"))
	if err != nil {
		in, err = os.Open(os.DevNull)
		ts.Check(err)
	}
	defer in.Close()
	var words []string
	for _, a := range args {
		if _, err := os.Stat(ts.MkAbs(a)); err == nil && a != "-" {
			a = ts.MkAbs(a)
		}
		words = append(words, a)
	}
	code := execute(context.Background(), words, in, &out, &errs)
	ts.Check(os.WriteFile(ts.MkAbs("out"), []byte(out.String()), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs("err"), []byte(errs.String()), 0o600))
	return code
}

func itoa(n int) string {
	if n < 10 {
		return string(rune('0' + n))
	}
	return itoa(n/10) + itoa(n%10)
}
