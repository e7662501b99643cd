package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestDemo holds that the demo tells exactly what it says it tells, and that README.md
// shows it so.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"demo"}, strings.NewReader(""), &out, &errs); code != exitOK {
		t.Errorf("exit code %d\n%s\n%s", code, out.String(), errs.String())
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(page), "$ go run ./cmd/jwkswatch demo\n")
	shown, _, _ = strings.Cut(shown, "\n```")
	if have, want := timeless(shown), timeless(out.String()); have != want {
		t.Errorf("README.md shows\n%s\nand the demo prints\n%s", have, want)
	}
}

// timeless leaves out what differs from run to run: ports, times and the event that is
// shown whole.
func timeless(text string) string {
	varies := regexp.MustCompile(`(\d{4}-\d\d-\d\d )?\d\d:\d\d(:\d\d)?|127\.0\.0\.1:\d+|lasted [^:]+|for \d+ s at least|over \d+ s,`)
	var b strings.Builder
	whole := false
	for line := range strings.Lines(strings.TrimSpace(text)) {
		whole = (whole || strings.HasPrefix(line, "    {")) && line != "\n"
		if !whole {
			b.WriteString(varies.ReplaceAllString(line, "#"))
		}
	}
	return b.String()
}
