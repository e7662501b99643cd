package query_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
	"github.com/jwkswatch/jwkswatch/state"
)

// fleet is a state with an endpoint of every kind.
func fleet(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.step("corp", 0, set(key("a", "one"), key("b", "two")), told{event.BaselineEstablished, event.SeverityInformational, "corp: baseline", 0})
	w.seen("corp", 9)
	w.step("partner", 1, set(key("p", "three")), told{event.BaselineEstablished, event.SeverityInformational, "partner: baseline", 0})
	w.open("partner", 5, event.SetAmbiguous, event.SeverityHigh)
	w.open("partner", 6, event.EndpointUnreachable, event.SeverityMedium)
	w.step("partner", 6, "", told{event.EndpointUnreachable, event.SeverityMedium, "partner: unreachable", 0})
	w.open("blind", 2, event.EndpointUnreachable, event.SeverityMedium)
	w.step("blind", 2, "", told{event.EndpointUnreachable, event.SeverityMedium, "blind: unreachable", 0})
	w.step("old", 3, set(key("o", "four")))
	w.open("old", 3, event.KeyPrivate, event.SeverityCritical)
	w.step("old", 4, "")
	for i := range 3 {
		w.step(event.AgentStream, 7+i, "", told{event.AgentHeartbeat, event.SeverityInformational, "alive", 0})
	}
	return w
}

func live() query.Live {
	return query.Live{
		Version: "1.2.3", Started: at(0), ConfigDigest: "sha256:00", Degraded: []string{"outage"},
		Endpoints: []query.LiveEndpoint{
			{
				Name: "corp", URL: "https://corp.example/jwks.json", Issuer: "https://corp.example", Tier: "critical",
				LastPoll: at(10), LastGood: at(10), NextPoll: at(11),
			},
			{Name: "partner", LastPoll: at(10), Failures: 4, Since: at(6), Phase: "dial", Code: "refused"},
			{Name: "blind", LastPoll: at(10), Failures: 9, Since: at(1), Phase: "resolve"},
			{Name: "new"},
		},
		Sinks: []query.LiveSink{{Name: "siem", Type: "nats", LastError: "no \x1b[31mserver"}, {Name: "stdout", Type: "log", Connected: true}},
	}
}

func TestEndpointsAtRest(t *testing.T) {
	t.Parallel()
	rows, err := fleet(t).resting().Endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"blind unseen", "corp good", "old good", "partner failing"}
	if got := states(rows); !slices.Equal(got, want) {
		t.Errorf("rows are %v", got)
	}
	corp, partner := rows[1], rows[3]
	if corp.Keys != 2 || corp.Revision != 1 || !corp.LastGood.Equal(at(9)) || !corp.LastChange.Equal(at(0)) || len(corp.Conditions) != 0 ||
		corp.Tier != nil || corp.NextPoll != nil || !strings.HasPrefix(ptr(corp.Digest), "sha256:") {
		t.Errorf("corp is %+v", corp)
	}
	if url := ptr(corp.URL); !strings.HasPrefix(url, "https://corp.example/") || strings.Contains(url, "secret") {
		t.Errorf("URL is %s", url)
	}
	if len(partner.Conditions) != 2 || partner.Conditions[0].Type != event.SetAmbiguous || partner.Conditions[1].Type != event.EndpointUnreachable {
		t.Errorf("partner has %+v", partner.Conditions)
	}
}

func states(rows []query.EndpointRow) (out []string) {
	for _, r := range rows {
		out = append(out, r.Name+" "+r.State)
	}
	return out
}

func TestEndpointsWhileRunning(t *testing.T) {
	t.Parallel()
	rows, err := fleet(t).running(live()).Endpoints(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"blind unseen", "corp good", "new unseen", "old unwatched", "partner failing"}
	if got := states(rows); !slices.Equal(got, want) {
		t.Errorf("rows are %v", got)
	}
	corp, partner := rows[1], rows[4]
	if ptr(corp.Tier) != "critical" || ptr(corp.Issuer) != "https://corp.example" || ptr(corp.URL) != "https://corp.example/jwks.json" ||
		!corp.LastGood.Equal(at(10)) || !corp.NextPoll.Equal(at(11)) {
		t.Errorf("corp is %+v", corp)
	}
	if partner.Failures != 4 || ptr(partner.Phase) != "dial" || ptr(partner.Code) != "refused" || !partner.FailingSince.Equal(at(6)) || !partner.LastGood.Equal(at(1)) {
		t.Errorf("partner is %+v", partner)
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	if err := w.db.SetCursor(t.Context(), "siem", "0000000000000002"); err != nil {
		t.Fatal(err)
	}
	r, err := w.running(live()).Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !r.Running || ptr(r.Version) != "1.2.3" || !r.StartedAt.Equal(at(0)) || ptr(r.ConfigDigest) != "sha256:00" || r.StateBytes == 0 || !slices.Equal(r.Degraded, []string{"outage"}) {
		t.Errorf("report is %+v", r)
	}
	if r.Endpoints != (query.EndpointCounts{Total: 4, Good: 1, Failing: 1, Unseen: 2, Unwatched: 1}) {
		t.Errorf("endpoints are %+v", r.Endpoints)
	}
	// What is not watched any more does not count.
	if c := r.Conditions; c.Total != 3 || c.High != 1 || c.Medium != 2 || c.Critical != 0 || c.Worst[0].Type != event.SetAmbiguous || c.Worst[1].Endpoint != "blind" {
		t.Errorf("conditions are %+v", c)
	}
	// Heartbeats are no news, but a sign of life.
	if l := r.LastEvent; l == nil || l.Message != "blind: unreachable" || l.Severity != event.SeverityMedium || !r.LastAlive.Equal(at(9)) {
		t.Errorf("last event is %+v at %v", l, r.LastAlive)
	}
	if len(r.Sinks) != 2 || r.Sinks[0].Pending != 5 || !r.Sinks[0].Oldest.Equal(at(6)) || *r.Sinks[0].Connected || r.Sinks[1].Pending != 7 || !*r.Sinks[1].Connected {
		t.Errorf("sinks are %+v", r.Sinks)
	}
	rest, err := w.resting().Status(t.Context())
	if err != nil || rest.Running || rest.Version != nil || rest.Endpoints != (query.EndpointCounts{Total: 4, Good: 2, Failing: 1, Unseen: 1}) || rest.Conditions.Critical != 1 {
		t.Errorf("at rest %+v (%v)", rest, err)
	}
	if len(rest.Sinks) != 1 || rest.Sinks[0].Name != "siem" || rest.Sinks[0].Connected != nil {
		t.Errorf("sinks at rest are %+v", rest.Sinks)
	}
}

func TestStatusOfNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r, err := w.resting().Status(t.Context())
	if err != nil || r.LastEvent != nil || r.LastAlive != nil || r.Endpoints.Total != 0 {
		t.Errorf("report is %+v (%v)", r, err)
	}
	b, err := json.Marshal(r)
	if err != nil || bytes.Contains(b, []byte(`"degraded":null`)) || bytes.Contains(b, []byte(`"sinks":null`)) || bytes.Contains(b, []byte(`"worst":null`)) {
		t.Errorf("lists are null: %s (%v)", b, err)
	}
	var out strings.Builder
	if err := query.PrintStatus(&out, r); err != nil || !strings.Contains(out.String(), "not running") {
		t.Errorf("%s (%v)", &out, err)
	}
}

// TestStatusNamesTheWorst holds the cap, and that the worst come first.
func TestStatusNamesTheWorst(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for i := range 30 {
		severity := event.SeverityLow
		if i == 29 {
			severity = event.SeverityCritical
		}
		w.open("corp", i, event.KeyUnparseable, severity)
	}
	w.step("corp", 30, set(key("a", "one")))
	r, err := w.resting().Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c := r.Conditions; c.Total != 30 || len(c.Worst) != query.MaxWorst || c.Worst[0].Severity != event.SeverityCritical || !c.Worst[1].OpenedAt.Equal(at(0)) {
		t.Errorf("conditions are %+v", c)
	}
	var out strings.Builder
	if err := query.PrintStatus(&out, r); err != nil || !strings.Contains(out.String(), "and 10 more") {
		t.Errorf("%s (%v)", &out, err)
	}
}

// TestDamageIsTold holds that one endpoint that cannot be read hides no other.
func TestDamageIsTold(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	rec, err := w.db.Latest(t.Context(), "old")
	if err != nil {
		t.Fatal(err)
	}
	next := state.Txn{Prev: rec.Revision, Next: rec}
	next.Next.Revision++
	next.Next.Memory = []byte("no memory")
	if err := w.db.Commit(t.Context(), next); err != nil {
		t.Fatal(err)
	}
	rows, err := w.resting().Endpoints(t.Context())
	if err != nil || len(rows) != 4 || rows[2].State != query.Unreadable || rows[2].Error == nil || rows[1].State != query.Good {
		t.Errorf("rows are %+v (%v)", rows, err)
	}
	r, err := w.resting().Status(t.Context())
	if err != nil || r.Endpoints.Unreadable != 1 || r.Endpoints.Good != 1 {
		t.Errorf("report is %+v (%v)", r, err)
	}
}

// TestQuestionsToAClosedState holds that errors are told, and told apart from
// those of the question.
func TestQuestionsToAClosedState(t *testing.T) {
	t.Parallel()
	w := fleet(t)
	s := w.running(live())
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	for what, ask := range map[string]func() error{
		"status":    func() error { _, err := s.Status(t.Context()); return err },
		"endpoints": func() error { _, err := s.Endpoints(t.Context()); return err },
		"event":     func() error { _, err := s.Event(t.Context(), "jw1-a"); return err },
		"history":   func() error { _, err := s.History(t.Context(), "corp", 0); return err },
		"show":      func() error { _, err := s.Show(t.Context(), "corp", time.Time{}); return err },
		"events": func() error {
			for _, err := range s.Events(t.Context(), query.Filter{}) {
				return err
			}
			return nil
		},
		"follow": func() error {
			for _, err := range s.Follow(t.Context(), query.Filter{}) {
				return err
			}
			return nil
		},
	} {
		if err := ask(); err == nil || problem(err).Code != "" || !strings.Contains(err.Error(), "unavailable") {
			t.Errorf("%s: error is %v", what, err)
		}
	}
}
