package configs_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPrometheusAlerts runs the unit tests of the shipped alerts with promtool.
func TestPrometheusAlerts(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: no promtool in PATH; install Debian's package prometheus to test the alerts")
	}
	for _, args := range [][]string{{"check", "rules", "alerts.yml"}, {"test", "rules", "alerts_test.yml"}} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = "prometheus"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// TestAlertsAreTested holds that each alert has one test in which it fires and one
// in which it does not.
func TestAlertsAreTested(t *testing.T) {
	t.Parallel()
	alerts, tests := read(t, "prometheus/alerts.yml"), read(t, "prometheus/alerts_test.yml")
	names := regexp.MustCompile(`(?m)^ +- alert: (\w+)$`).FindAllStringSubmatch(alerts, -1)
	if len(names) < 8 {
		t.Fatalf("only %d alerts were found", len(names))
	}
	for _, n := range names {
		if fires, quiet := strings.Count(tests, "# "+n[1]+" fires\n"), strings.Count(tests, "# "+n[1]+" stays quiet\n"); fires != 1 || quiet != 1 {
			t.Errorf("%s: %d tests fire it, %d leave it quiet", n[1], fires, quiet)
		}
	}
}

var metricName = regexp.MustCompile(`jwkswatch_[a-z_]+`)

// TestMetricsExist holds that the alerts and the dashboard ask for metrics that the
// agent has: those of the list in docs/metrics.md, which a test of package web holds
// to the registry.
func TestMetricsExist(t *testing.T) {
	t.Parallel()
	var known []string
	for _, m := range regexp.MustCompile("(?m)^\\| `(jwkswatch_[a-z_]+)` \\|").FindAllStringSubmatch(read(t, "../docs/metrics.md"), -1) {
		known = append(known, m[1])
	}
	if len(known) < 20 {
		t.Fatalf("docs/metrics.md lists only %d metrics", len(known))
	}
	for _, m := range metricName.FindAllString(read(t, "prometheus/alerts.yml"), -1) {
		if !slices.Contains(known, m) {
			t.Errorf("prometheus/alerts.yml asks for %s, which is not in docs/metrics.md", m)
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
		Annotations struct{ List []struct{ Expr string } }
	}
	if err := json.Unmarshal([]byte(read(t, "grafana/dashboard.json")), &board); err != nil {
		t.Fatal(err)
	}
	var exprs []string
	for _, p := range board.Panels {
		if len(p.Targets) == 0 || p.Title == "" {
			t.Errorf("panel %q asks for nothing", p.Title)
		}
		for _, target := range p.Targets {
			exprs = append(exprs, target.Expr)
		}
	}
	for _, a := range board.Annotations.List {
		exprs = append(exprs, a.Expr)
	}
	if len(exprs) < 12 {
		t.Errorf("the dashboard has %d queries", len(exprs))
	}
	for _, e := range exprs {
		names := metricName.FindAllString(e, -1)
		if len(names) == 0 {
			t.Errorf("%q asks for no metric of the agent", e)
		}
		for _, m := range names {
			if !slices.Contains(known, m) {
				t.Errorf("the dashboard asks for %s, which is not in docs/metrics.md", m)
			}
		}
	}
	parsed(t, exprs)
}

// parsed holds that Prometheus can read the queries: as recording rules, with
// Grafana's variables filled in.
func parsed(t *testing.T, exprs []string) {
	t.Helper()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("SKIPPED in part: no promtool in PATH; the queries of the dashboard are not parsed")
		return
	}
	var b strings.Builder
	b.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, e := range exprs {
		e = strings.NewReplacer("$__rate_interval", "5m", "$job", ".*").Replace(e)
		quoted, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("  - record: q" + strings.Repeat("x", i+1) + "\n    expr: " + string(quoted) + "\n")
	}
	path := t.TempDir() + "/queries.yml"
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
