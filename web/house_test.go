package web

import (
	"os/exec"
	"strings"
	"testing"
)

// Other packages show plain counts; what a metric is called is decided here.
func TestOnlyThisPackageKnowsPrometheus(t *testing.T) {
	t.Parallel()
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{.ImportPath}} {{join .Imports " "}}`, "../...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	found := false
	for line := range strings.Lines(string(out)) {
		pkg, imports, _ := strings.Cut(line, " ")
		if !strings.Contains(imports, "github.com/prometheus/") {
			continue
		}
		if !strings.HasSuffix(pkg, "/web") {
			t.Errorf("%s imports prometheus", pkg)
		}
		found = true
	}
	if !found {
		t.Error("nobody imports prometheus: this test holds nothing")
	}
}
