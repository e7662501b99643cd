package watcher_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules/custom"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// operatorRules call out every new key, and every outage but not twice in a day.
func operatorRules() *custom.Set {
	return &custom.Set{Rules: []custom.Rule{
		{ID: "own-added", Title: "Any new key", On: []string{"key.added"}, Severity: event.SeverityHigh},
		{ID: "own-outage", Title: "Any outage", On: []string{"endpoint.unreachable"}, Severity: event.SeverityHigh, Repeat: 24 * time.Hour},
	}}
}

// TestOperatorHasTheLastWord publishes under rules of the operator: what they raise
// is raised for filters too, a closing passes those that its opening passed, and
// what was told is held down, over a restart, and until its time has passed.
func TestOperatorHasTheLastWord(t *testing.T) {
	t.Parallel()
	sharing(t, func(h *watched, n *town, fleet []watcher.Endpoint) {
		issuer := n.issuers["one.example"]
		run := func() {
			h.make(fleet[:1]...)
			h.w.SetRules(operatorRules())
			h.run()
			time.Sleep(5 * time.Minute)
		}
		outage := func() {
			issuer.Answer(lab.Reset(lab.BeforeHeader))
			time.Sleep(30 * time.Minute)
			issuer.Answer(nil)
			time.Sleep(30 * time.Minute)
		}
		run()
		issuer.Add(lab.ECFromSeed("extra", "P-256", "extra"))
		time.Sleep(5 * time.Minute)
		outage()
		h.stop()
		run()
		outage()
		time.Sleep(24 * time.Hour)
		outage()
		h.stop()
		h.expect(
			"informational baseline.established", "high key.added extra",
			"high endpoint.unreachable", "informational endpoint.unreachable closed",
			"informational endpoint.unreachable", "informational endpoint.unreachable closed",
			"high endpoint.unreachable", "informational endpoint.unreachable closed",
		)
		want := map[watcher.EventCount]uint64{
			{Type: event.EndpointUnreachable, Severity: event.SeverityHigh}: 1, {Type: event.EndpointUnreachable, Severity: event.SeverityInformational}: 3,
		}
		if got := h.w.EventCounts(); !maps.Equal(got, want) {
			t.Errorf("of the last run is counted %v", got)
		}
		filtered := []uint8{}
		for entry, err := range h.db.Events(t.Context(), "") {
			if err != nil {
				t.Fatal(err)
			}
			filtered = append(filtered, entry.Severity)
		}
		if want := []uint8{1, 4, 4, 4, 1, 1, 4, 4}; !slices.Equal(filtered, want) {
			t.Errorf("filters judge %v, want %v", filtered, want)
		}
		list := h.events()
		if e := list[1]; e.Data.Event.Verdict != event.Unexpected || e.Data.Rules[len(e.Data.Rules)-1].ID != "own-added" || e.Data.Judgement.BaseSeverity != event.SeverityLow {
			t.Errorf("%s by %+v, %+v", e.Data.Event.Verdict, e.Data.Rules, e.Data.Judgement)
		}
		if e := list[4]; !slices.Contains(e.Data.Event.Reasons, "suppressed_by:own-outage") {
			t.Errorf("reasons %v", e.Data.Event.Reasons)
		}
	})
}

// TestDigestOfRules holds that an event names the rules that judged it.
func TestDigestOfRules(t *testing.T) {
	t.Parallel()
	w := &watcher.Watcher{}
	builtin := w.RulesDigest()
	w.SetRules(&custom.Set{})
	if w.RulesDigest() != builtin {
		t.Error("no rules have a digest")
	}
	w.SetRules(operatorRules())
	own := w.RulesDigest()
	if own == builtin {
		t.Error("rules of the operator have no digest")
	}
	w.SetRules(nil)
	if w.RulesDigest() != builtin || own == builtin {
		t.Error("without rules the digest stays")
	}
}
