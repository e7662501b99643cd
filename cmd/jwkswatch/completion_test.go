package main

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"
)

// Each shell reads its script, and the script knows the program.
func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, check := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}, "powershell": nil} {
		root := wholeTree()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetArgs([]string{"completion", shell})
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%s: %v", shell, err)
		}
		if !strings.Contains(out.String(), "jwkswatch __complete") && !strings.Contains(out.String(), "__jwkswatch") {
			t.Errorf("%s: the script knows nothing of jwkswatch: %.200q", shell, out.String())
		}
		path, err := exec.LookPath(shell)
		if err != nil || check == nil {
			continue // the script of a shell that is not here is cobra's word
		}
		cmd := exec.CommandContext(t.Context(), path, check...)
		cmd.Stdin = &out
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, text)
		}
	}
}

// The words that a script asks for.
func TestCompletionAsks(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]string{
		"dem": "demo\t", "completion z": "zsh\n", "version -": "--output\t",
	} {
		root := wholeTree()
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&bytes.Buffer{})
		root.SetArgs(append([]string{"__complete"}, strings.Split(words, " ")...))
		if err := root.ExecuteContext(t.Context()); err != nil {
			t.Fatalf("%s: %v", words, err)
		}
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s: %q, want %q", words, out.String(), want)
		}
	}
}

func TestCompletionRefuses(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"completion"}, {"completion", "tcsh"}, {"completion", "bash", "zsh"}} {
		root := wholeTree()
		root.SetOut(&bytes.Buffer{})
		root.SetErr(&bytes.Buffer{})
		root.SetArgs(args)
		if err := root.ExecuteContext(t.Context()); err == nil {
			t.Errorf("%q was accepted", args)
		}
	}
}
