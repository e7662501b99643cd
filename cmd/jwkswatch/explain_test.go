package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/query"
)

// TestVerdictIsExplained prints a golden event that something lowered: each move
// of its severity is there, with why and by whom.
func TestVerdictIsExplained(t *testing.T) {
	t.Parallel()
	stored, err := os.ReadFile(filepath.Join("..", "..", "event", "testdata", "golden", "key.mutated.json"))
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]any
	if err := json.Unmarshal(stored, &e); err != nil {
		t.Fatal(err)
	}
	e["data"].(map[string]any)["judgement"] = map[string]any{"base_severity": "critical", "adjustments": []any{map[string]any{
		"rule": "partner-noise", "kind": "downgrade", "to": "high", "reason": "SEC-1432\x1b[2J", "by": "iam", "expires": "2027-03-31T00:00:00.000Z",
	}}}
	if stored, err = json.Marshal(e); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := query.PrintVerdict(&out, stored); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"key-mutated", "began as", "partner-noise", "SEC-1432", "by iam", "2027-03-31"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "\x1b") {
		t.Error("an escape sequence reaches the terminal")
	}
}
