package main

import (
	"bytes"
	"strings"
	"testing"
)

// TestDemo holds that the demo tells exactly what it says it tells.
func TestDemo(t *testing.T) {
	t.Parallel()
	var out, errs bytes.Buffer
	if code := execute(t.Context(), []string{"demo"}, strings.NewReader(""), &out, &errs); code != exitOK {
		t.Errorf("exit code %d\n%s\n%s", code, out.String(), errs.String())
	}
}
