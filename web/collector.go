package web

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/jwkswatch/jwkswatch/event"
)

// maxEndpointSeries is how many endpoints have series of their own. Four series
// each are 40,000 then, which one Prometheus bears; a fleet beyond that is
// watched by its totals and by events.
const maxEndpointSeries = 10_000

// scrapes is how many may be under way at once.
const scrapes = 4

// metrics serves the registry of this server alone: what a library puts into
// the default one is not ours to publish.
func (s *Server) metrics() http.Handler {
	process := prometheus.NewRegistry()
	process.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	places := make(chan struct{}, scrapes)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case places <- struct{}{}:
			defer func() { <-places }()
		default:
			http.Error(w, "too many scrapes at once", http.StatusServiceUnavailable)
			return
		}
		// A registry for each scrape: the snapshot then has the context of the
		// request, and a collector is a plain value.
		own := prometheus.NewRegistry()
		own.MustRegister(collector{s.Snapshot(r.Context())})
		promhttp.HandlerFor(prometheus.Gatherers{own, process}, promhttp.HandlerOpts{
			ErrorLog: gathering{s}, ErrorHandling: promhttp.ContinueOnError,
		}).ServeHTTP(w, r)
	})
}

// gathering logs what the registry refuses.
type gathering struct{ *Server }

func (g gathering) Println(v ...any) {
	g.Log.Error().Str("text", event.Text(strings.TrimSpace(fmt.Sprintln(v...)))).Msg("web: metrics are incomplete")
}

// family is one metric with all its series.
type family struct {
	name, help string
	kind       prometheus.ValueType
	labels     []string
	series     []series
}

type series struct {
	value  float64
	labels []string // values, in the order of the family's names
}

func counter(name, help string, labels []string, s ...series) family {
	return family{"jwkswatch_" + name, help, prometheus.CounterValue, labels, s}
}

func gauge(name, help string, labels []string, s ...series) family {
	return family{"jwkswatch_" + name, help, prometheus.GaugeValue, labels, s}
}

// at is one series.
func at[N ~int | ~int64 | ~uint64 | ~float64](value N, labels ...string) series {
	return series{float64(value), labels}
}

// collector gives Prometheus the values of one moment.
type collector struct{ m Metrics }

// Describe sends nothing: which series there are depends on the moment.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends every series.
func (c collector) Collect(out chan<- prometheus.Metric) {
	for _, f := range slices.Concat(c.m.agent(), c.m.endpoints(), c.m.sinks()) {
		desc := prometheus.NewDesc(f.name, f.help, f.labels, nil)
		for _, s := range f.series {
			m, err := prometheus.NewConstMetric(desc, f.kind, s.value, s.labels...)
			if err != nil {
				m = prometheus.NewInvalidMetric(desc, err)
			}
			out <- m
		}
	}
}

// degradations are codes of agent.degraded that stand here before they are open
// for the first time.
func degradations() []string {
	return []string{"outage", "clock_jump", "state_unwritable", "sink_backlog", "sink_suppressed", "sink_unsafe", "tls_intercepted"}
}

func (m *Metrics) agent() []family {
	var events, open, degraded []series
	codes := slices.Concat(degradations(), m.Degraded)
	slices.Sort(codes)
	for _, code := range slices.Compact(codes) {
		degraded = append(degraded, yes(slices.Contains(m.Degraded, code)))
		degraded[len(degraded)-1].labels = []string{code}
	}
	for s := event.SeverityInformational; s <= event.SeverityCritical; s++ {
		open = append(open, at(m.Conditions[s], s.String()))
		// All pairs from the first scrape on: increase() does not see a series
		// that begins at 1, and the first critical event is the one that counts.
		for _, t := range event.Types() {
			events = append(events, at(m.Events[EventKind{t, s}], string(t), s.String()))
		}
	}
	return []family{
		gauge("build_info", "The version of the agent and of Go; always 1.", []string{"version", "goversion"}, at(1, m.Version, runtime.Version())),
		gauge("start_timestamp_seconds", "When the agent started.", nil, unix(m.Started)),
		counter("polls_total", "Fetches that ended, second looks included, by result: unchanged, changed or failed.", []string{"result"},
			at(m.Polls.Unchanged, "unchanged"), at(m.Polls.Changed, "changed"), at(m.Polls.Failed, "failed")),
		counter("parses_total", "Documents read; an unchanged answer is not.", nil, at(m.Parses)),
		counter("commits_total", "Steps stored.", nil, at(m.Commits)),
		counter("store_errors_total", "Writes to the state that failed; each is tried again, or its cause is found again by the next poll.", nil, at(m.StoreErrors)),
		gauge("degraded", "Whether the agent is in trouble of its own, by code of agent.degraded; known here also while the state takes no event.", []string{"code"}, degraded...),
		gauge("schedule_lag_seconds", "How late the most overdue poll is.", nil, at(m.ScheduleLag.Seconds())),
		counter("events_total", "Events made, by type and severity.", []string{"type", "severity"}, events...),
		gauge("conditions_open", "Conditions that are open, by severity.", []string{"severity"}, open...),
		gauge("journal_head", "Position of the newest event in the journal.", nil, at(m.JournalHead)),
		gauge("state_size_bytes", "Size of the state.", nil, at(m.StateBytes)),
		counter("config_reloads_total", "Reloads of the configuration, by outcome: applied or refused.", []string{"outcome"},
			at(m.Config.Applied, "applied"), at(m.Config.Refused, "refused")),
		gauge("config_last_reload_successful", "Whether the last reload was applied: 0 while an older configuration goes on.", nil, yes(!m.Config.Failed)),
		gauge("config_last_reload_success_timestamp_seconds", "When the configuration in use was loaded.", nil, unix(m.Config.Loaded)),
	}
}

func (m *Metrics) endpoints() []family {
	label := []string{"endpoint"}
	var success, failures, keys, interval []series
	omitted := 0
	if len(m.Endpoints) > maxEndpointSeries {
		omitted = len(m.Endpoints)
	} else {
		for _, e := range m.Endpoints {
			success = append(success, unix(e.LastSuccess, e.Name))
			failures = append(failures, at(e.Failures, e.Name))
			keys = append(keys, at(e.Keys, e.Name))
			interval = append(interval, at(e.Interval.Seconds(), e.Name))
		}
	}
	return []family{
		gauge("endpoints", "Endpoints by state: good or failing by their last poll, unseen without a good poll ever.", []string{"state"},
			at(m.Fleet.Good, "good"), at(m.Fleet.Failing, "failing"), at(m.Fleet.Unseen, "unseen")),
		gauge("endpoint_series_omitted", "Endpoints whose own series are left out because there are more than 10000; 0 otherwise.", nil, at(omitted)),
		gauge("endpoint_last_success_timestamp_seconds", "When the endpoint last gave a usable answer; 0 if never.", label, success...),
		gauge("endpoint_consecutive_failures", "Polls that failed in a row, up to now.", label, failures...),
		gauge("endpoint_keys", "Keys in the last set of the endpoint.", label, keys...),
		gauge("endpoint_poll_interval_seconds", "The interval that polls of the endpoint are held to.", label, interval...),
	}
}

func (m *Metrics) sinks() []family {
	labels := []string{"sink", "type"}
	var sent, retries, parked, lost, suspicious, connected, pending, oldest []series
	for _, s := range m.Sinks {
		sent = append(sent, at(s.Sent, s.Name, s.Type))
		retries = append(retries, at(s.Retries, s.Name, s.Type))
		parked = append(parked, at(s.Parked, s.Name, s.Type))
		lost = append(lost, at(s.Lost, s.Name, s.Type))
		suspicious = append(suspicious, at(s.Suspicious, s.Name, s.Type))
		c := yes(s.Connected)
		c.labels = []string{s.Name, s.Type}
		connected = append(connected, c)
		pending = append(pending, at(s.Pending, s.Name, s.Type))
		oldest = append(oldest, at(s.Oldest.Seconds(), s.Name, s.Type))
	}
	return []family{
		counter("sink_events_sent_total", "Events delivered and acknowledged.", labels, sent...),
		counter("sink_retries_total", "Attempts to deliver that failed.", labels, retries...),
		counter("sink_events_parked_total", "Events that the sink rejected for good and that were left behind.", labels, parked...),
		counter("sink_events_lost_total", "Events that agent.events_lost told of: gone from the receiver, or never sent.", labels, lost...),
		counter("sink_unexpected_duplicates_total", "Answers of the sink that it had an event which was never sent: someone may suppress events.", labels, suspicious...),
		gauge("sink_connected", "Whether the sink is connected; for type nats this is the state of the connection to NATS.", labels, connected...),
		gauge("sink_events_pending", "Events in the journal that the sink does not have.", labels, pending...),
		gauge("sink_oldest_pending_age_seconds", "Age of the oldest pending event; 0 when there is none.", labels, oldest...),
	}
}

// unix is a time as Prometheus wants it, 0 for the zero time.
func unix(t time.Time, labels ...string) series {
	if t.IsZero() {
		return at(0, labels...)
	}
	return at(float64(t.UnixMilli())/1e3, labels...)
}

func yes(b bool) series {
	if b {
		return at(1)
	}
	return at(0)
}
