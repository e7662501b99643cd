package web

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/jwkswatch/jwkswatch/event"
)

var update = flag.Bool("update", false, "write docs/metrics.md")

// full is a moment in which every metric has a series.
func full() Metrics {
	at := time.Unix(1_700_000_000, 250_000_000)
	return Metrics{
		Version: "1.2.3", Started: at,
		Polls:  Polls{Unchanged: 10, Changed: 2, Failed: 3},
		Parses: 4, Commits: 5, StoreErrors: 6, Degraded: []string{"state_unwritable"}, ScheduleLag: 1500 * time.Millisecond,
		Fleet: Fleet{Good: 1, Failing: 1, Unseen: 1},
		Endpoints: []Endpoint{
			{Name: "corp-okta", LastSuccess: at, Keys: 3, Interval: time.Minute},
			{Name: "partner", Failures: 7, Interval: 5 * time.Minute},
		},
		Events:     map[EventKind]uint64{{event.KeyAdded, event.SeverityHigh}: 8},
		Conditions: map[event.Severity]int{event.SeverityCritical: 2},
		Sinks: []Sink{
			{Name: "stdout", Type: "log", Sent: 11, Connected: true},
			{Name: "siem", Type: "nats", Sent: 9, Retries: 12, Parked: 13, Lost: 41, Suspicious: 42, Pending: 14, Oldest: 90 * time.Second},
		},
		JournalHead: 21, StateBytes: 1 << 20,
		Config: Config{Applied: 1, Refused: 2, Loaded: at, Failed: true},
	}
}

// scrape runs a server with a moment and returns what it exports, as text and
// read.
func scrape(t *testing.T, m Metrics) (string, map[string]*dto.MetricFamily) {
	t.Helper()
	s := healthy(io.Discard)
	s.Snapshot = func(context.Context) Metrics { return m }
	a := get(t, "http://"+serve(t, s)+"/metrics")
	if a.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", a.Status, a.body)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	return a.body, families
}

func TestValues(t *testing.T) {
	t.Parallel()
	text, _ := scrape(t, full())
	lines := strings.Split(text, "\n")
	for _, want := range []string{
		`jwkswatch_polls_total{result="unchanged"} 10`,
		`jwkswatch_polls_total{result="changed"} 2`,
		`jwkswatch_polls_total{result="failed"} 3`,
		`jwkswatch_parses_total 4`,
		`jwkswatch_commits_total 5`,
		`jwkswatch_store_errors_total 6`,
		`jwkswatch_degraded{code="state_unwritable"} 1`,
		`jwkswatch_degraded{code="outage"} 0`,
		`jwkswatch_schedule_lag_seconds 1.5`,
		`jwkswatch_endpoints{state="good"} 1`,
		`jwkswatch_endpoints{state="failing"} 1`,
		`jwkswatch_endpoints{state="unseen"} 1`,
		`jwkswatch_endpoint_series_omitted 0`,
		`jwkswatch_endpoint_last_success_timestamp_seconds{endpoint="corp-okta"} 1.70000000025e+09`,
		`jwkswatch_endpoint_last_success_timestamp_seconds{endpoint="partner"} 0`,
		`jwkswatch_endpoint_consecutive_failures{endpoint="corp-okta"} 0`,
		`jwkswatch_endpoint_consecutive_failures{endpoint="partner"} 7`,
		`jwkswatch_endpoint_keys{endpoint="corp-okta"} 3`,
		`jwkswatch_endpoint_poll_interval_seconds{endpoint="partner"} 300`,
		`jwkswatch_events_total{severity="high",type="key.added"} 8`,
		`jwkswatch_events_total{severity="critical",type="key.private"} 0`, // there before the first one
		`jwkswatch_conditions_open{severity="critical"} 2`,
		`jwkswatch_conditions_open{severity="low"} 0`,
		`jwkswatch_sink_events_sent_total{sink="siem",type="nats"} 9`,
		`jwkswatch_sink_retries_total{sink="siem",type="nats"} 12`,
		`jwkswatch_sink_events_parked_total{sink="siem",type="nats"} 13`,
		`jwkswatch_sink_events_lost_total{sink="siem",type="nats"} 41`,
		`jwkswatch_sink_unexpected_duplicates_total{sink="siem",type="nats"} 42`,
		`jwkswatch_sink_connected{sink="siem",type="nats"} 0`,
		`jwkswatch_sink_connected{sink="stdout",type="log"} 1`,
		`jwkswatch_sink_events_pending{sink="siem",type="nats"} 14`,
		`jwkswatch_sink_oldest_pending_age_seconds{sink="siem",type="nats"} 90`,
		`jwkswatch_journal_head 21`,
		`jwkswatch_state_size_bytes 1.048576e+06`,
		`jwkswatch_config_reloads_total{outcome="applied"} 1`,
		`jwkswatch_config_reloads_total{outcome="refused"} 2`,
		`jwkswatch_config_last_reload_successful 0`,
		`jwkswatch_config_last_reload_success_timestamp_seconds 1.70000000025e+09`,
		`jwkswatch_start_timestamp_seconds 1.70000000025e+09`,
	} {
		if !slices.Contains(lines, want) {
			t.Errorf("missing: %s", want)
		}
	}
	for _, prefix := range []string{`jwkswatch_build_info{goversion="go1.`, "go_goroutines ", "process_resident_memory_bytes "} {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, prefix) }) {
			t.Errorf("missing: %s…", prefix)
		}
	}
}

// The codes are those of the published schema, and one that is not expected is
// shown while it is open.
func TestDegradations(t *testing.T) {
	t.Parallel()
	for _, code := range degradations() {
		if !bytes.Contains(event.Schema(), []byte(strconv.Quote(code))) {
			t.Errorf("%s is not what agent.degraded may say", code)
		}
	}
	text, _ := scrape(t, Metrics{Degraded: []string{"another", "outage", "another"}})
	for _, want := range []string{`{code="another"} 1`, `{code="outage"} 1`, `{code="sink_backlog"} 0`} {
		if !strings.Contains(text, "\njwkswatch_degraded"+want+"\n") {
			t.Errorf("missing: %s", want)
		}
	}
}

// A fleet that one Prometheus cannot bear has no series of its own, and says so.
func TestManyEndpoints(t *testing.T) {
	t.Parallel()
	var all []Endpoint
	for i := range maxEndpointSeries + 1 {
		all = append(all, Endpoint{Name: fmt.Sprint("e-", i)})
	}
	for n, want := range map[int]int{maxEndpointSeries: maxEndpointSeries, maxEndpointSeries + 1: 0} {
		_, families := scrape(t, Metrics{Endpoints: all[:n]})
		if got := len(families["jwkswatch_endpoint_keys"].GetMetric()); got != want {
			t.Errorf("%d endpoints: %d series, want %d", n, got, want)
		}
		omitted := families["jwkswatch_endpoint_series_omitted"].GetMetric()[0].GetGauge().GetValue()
		if int(omitted) != n-want {
			t.Errorf("%d endpoints: %v omitted, want %d", n, omitted, n-want)
		}
	}
}

// A name that stands twice costs its own series, not all the others, and is
// told in the log.
func TestBadSnapshot(t *testing.T) {
	t.Parallel()
	var log output
	s := healthy(&log)
	s.Snapshot = func(context.Context) Metrics {
		return Metrics{Parses: 1, Sinks: []Sink{{Name: "a"}, {Name: "a"}, {Name: "\xff"}}}
	}
	a := get(t, "http://"+serve(t, s)+"/metrics")
	if a.StatusCode != 200 || !strings.Contains(a.body, "\njwkswatch_parses_total 1\n") {
		t.Errorf("%s: %.300q", a.Status, a.body)
	}
	if !strings.Contains(log.String(), "metrics are incomplete") {
		t.Errorf("log: %s", log.String())
	}
}

func TestScrapesAtOnce(t *testing.T) {
	t.Parallel()
	s := healthy(io.Discard)
	asked, release := make(chan struct{}), make(chan struct{})
	s.Snapshot = func(context.Context) Metrics { asked <- struct{}{}; <-release; return Metrics{} }
	url := "http://" + serve(t, s)
	ended := make(chan int)
	for range scrapes {
		go func() { ended <- get(t, url+"/metrics").StatusCode }()
		<-asked
	}
	if a := get(t, url+"/metrics"); a.StatusCode != 503 {
		t.Errorf("one too many: %s, want 503", a.Status)
	}
	if a := get(t, url+"/livez"); a.StatusCode != 200 {
		t.Errorf("/livez meanwhile: %s", a.Status)
	}
	close(release)
	for range scrapes {
		if code := <-ended; code != 200 {
			t.Errorf("a scrape in time: %d", code)
		}
	}
}

const (
	docsFile = "../docs/metrics.md"
	begin    = "<!-- begin: written by go test ./web -run TestDocs -update -->\n"
	end      = "<!-- end -->\n"
)

// The document lists exactly what is exported, with the same words.
func TestDocs(t *testing.T) {
	t.Parallel()
	_, families := scrape(t, full())
	var names []string
	for name := range families {
		if strings.HasPrefix(name, "jwkswatch_") {
			names = append(names, name)
		} else if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is exported, and belongs to nobody", name)
		}
	}
	slices.Sort(names)
	var table strings.Builder
	table.WriteString("| metric | type | labels | meaning |\n|---|---|---|---|\n")
	for _, name := range names {
		f := families[name]
		var labels []string
		for _, l := range f.GetMetric()[0].GetLabel() {
			labels = append(labels, "`"+l.GetName()+"`")
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(f.GetType().String()), strings.Join(labels, ", "), f.GetHelp())
	}
	doc, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(doc), begin)
	have, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s: the marks of the table are gone", docsFile)
	}
	if have == table.String() {
		return
	}
	if !*update {
		t.Fatalf("%s does not list what is exported; go test ./web -run TestDocs -update. Want:\n%s", docsFile, table.String())
	}
	if err := os.WriteFile(docsFile, []byte(head+begin+table.String()+end+tail), 0o644); err != nil {
		t.Fatal(err)
	}
}

// Prometheus's own linter has no objection.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("SKIPPED: no promtool in PATH; install Debian's package prometheus to lint the metrics")
	}
	text, _ := scrape(t, full())
	lint := func(text string) (string, error) {
		cmd := exec.CommandContext(t.Context(), promtool, "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := lint(text); err != nil || out != "" {
		t.Errorf("promtool check metrics: %v\n%s", err, out)
	}
	if _, err := lint(text + "# TYPE bad_total gauge\nbad_total 1\n"); err == nil {
		t.Error("promtool accepts anything: this test holds nothing")
	}
}
