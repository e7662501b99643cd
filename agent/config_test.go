package agent_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/agent"
	"github.com/jwkswatch/jwkswatch/event"
)

func TestConfigChanged(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		say := func(d event.AgentConfigChangedDetails, critical bool, now agent.StartFacts) {
			t.Helper()
			if err := s.voice.ConfigChanged(t.Context(), time.Now(), d, critical, now); err != nil {
				t.Fatal(err)
			}
		}
		applied := func(shrinks ...string) event.AgentConfigChangedDetails {
			return event.AgentConfigChangedDetails{
				Outcome: "applied", Trigger: "file", DigestBefore: new(sum("a")), DigestAfter: new(sum("b")), EndpointsAdded: []string{"new"}, Shrinks: shrinks,
			}
		}
		refused := event.AgentConfigChangedDetails{Outcome: "refused", Trigger: "signal", DigestBefore: new(sum("a")), Problems: []string{"a.yaml:1:1: wrong"}}
		say(applied(), false, s.facts())
		say(applied("sink siem is removed"), false, s.facts())
		say(applied("critical endpoint old is removed"), true, s.facts())
		say(refused, false, agent.StartFacts{})
		say(refused, false, agent.StartFacts{}) // the same content is looked at again
		refused.Problems = []string{"a.yaml:2:1: worse"}
		say(refused, false, agent.StartFacts{})
		say(applied(), false, s.facts())
		say(refused, false, agent.StartFacts{}) // what was mended is broken again
		s.expect("informational started", "low config_changed", "medium config_changed coverage_shrinks",
			"high config_changed coverage_shrinks tier_critical", "medium config_changed refused", "medium config_changed refused",
			"low config_changed", "medium config_changed refused")
		for i, e := range s.events() {
			want := event.Informational
			if i >= 4 && i != 6 {
				want = event.Unexpected
			}
			if e.Data.Event.Verdict != want {
				t.Errorf("%s: verdict %s", e.Data.Event.Message, e.Data.Event.Verdict)
			}
		}
	})
}

// TestWhatIsMendedMayBreakAgain holds that putting the old file back is told once,
// and that the same mistake is news after it.
func TestWhatIsMendedMayBreakAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		refused := event.AgentConfigChangedDetails{Outcome: "refused", Trigger: "file", DigestBefore: new(sum("a")), Problems: []string{"a.yaml:1:1: wrong"}}
		for range 2 {
			if err := s.voice.ConfigChanged(t.Context(), time.Now(), refused, false, agent.StartFacts{}); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.voice.ConfigMended(t.Context(), time.Now(), "file", sum("a")); err != nil {
					t.Fatal(err)
				}
			}
		}
		s.expect("informational started", "medium config_changed refused", "low config_changed",
			"medium config_changed refused", "low config_changed")
	})
}

// Lists are capped, counts are not, and a message never outgrows its limit.
func TestConfigChangedAtLarge(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		d := event.AgentConfigChangedDetails{Outcome: "applied", Trigger: "command", DigestBefore: new(sum("a")), DigestAfter: new(sum("b"))}
		for i := range 5000 {
			d.EndpointsRemoved = append(d.EndpointsRemoved, fmt.Sprintf("e%04d", i))
			d.Shrinks = append(d.Shrinks, strings.Repeat("x", 500))
		}
		if err := s.voice.ConfigChanged(t.Context(), time.Now(), d, false, s.facts()); err != nil {
			t.Fatal(err)
		}
		e, got := last[event.AgentConfigChangedDetails](s)
		if !strings.Contains(e.Data.Event.Message, "5000 endpoints removed") || len(got.EndpointsRemoved) != 64 || len(d.EndpointsRemoved) != 5000 {
			t.Errorf("%s: %d of %d", e.Data.Event.Message, len(got.EndpointsRemoved), len(d.EndpointsRemoved))
		}
	})
}

// Who takes an endpoint away must not hide it behind a restart.
func TestARestartWithAnotherConfiguration(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(4, time.Minute)
		s.names = []string{"siem", "stdout"}
		s.start()
		s.end()
		s.start() // with the same
		s.end()
		s.expectRestart(t, "low config_changed", "", func() { s.nodes = append(s.nodes, &node{name: "new", tier: "critical", interval: time.Minute}) })
		s.expectRestart(t, "medium config_changed coverage_shrinks", "sink siem is removed", func() { s.names = []string{"stdout"} })
		s.expectRestart(t, "medium config_changed coverage_shrinks", "endpoint e001: interval is raised from 1m0s to 5m0s", func() { s.nodes[1].interval = 5 * time.Minute })
		s.expectRestart(t, "low config_changed", "", func() { s.nodes[1].interval = time.Minute })
		s.expectRestart(t, "medium config_changed coverage_shrinks", "endpoint new: tier is lowered from critical to low", func() { s.nodes[4].tier = "low" })
		s.expectRestart(t, "medium config_changed coverage_shrinks", "endpoint new is removed", func() { s.nodes = s.nodes[:4] })
		s.nodes[0].tier = "critical"
		s.expectRestart(t, "low config_changed", "", func() {})
		s.expectRestart(t, "high config_changed coverage_shrinks tier_critical", "critical endpoint e000 is removed", func() { s.nodes = s.nodes[1:] })
		s.open()
		s.halt = func() {}
	})
}

func (s *scene) expectRestart(t *testing.T, want, shrinks string, change func()) {
	t.Helper()
	change()
	s.cfg += "x"
	s.start()
	list := tell(s.events())
	if got := list[len(list)-1]; got != want {
		t.Errorf("told %q, want %q", got, want)
	}
	e, d := last[event.AgentConfigChangedDetails](s)
	if got := strings.Join(d.Shrinks, "; "); got != shrinks || d.Trigger != "start" || *d.DigestAfter != sum(s.cfg) {
		t.Errorf("%s: %+v, want %q", e.Data.Event.Message, d, shrinks)
	}
	s.end()
}

// TestARestartIsHeldAgainstThePosture holds that what the configuration says of itself
// decides what is told, that it stands in the state, and that one which cannot be
// read leaves the comparison of names.
func TestARestartIsHeldAgainstThePosture(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.watch(1, time.Minute)
		s.posture = `{"pins":2}`
		s.start()
		s.end()
		s.since = func(before []byte) (event.AgentConfigChangedDetails, bool, error) {
			if string(before) != `{"pins":2}` {
				return event.AgentConfigChangedDetails{}, false, fmt.Errorf("before: %s", before)
			}
			return event.AgentConfigChangedDetails{EndpointsChanged: []string{"e000"}, Settings: []string{"rules"}, Shrinks: []string{"endpoint e000: pins are dropped"}}, true, nil
		}
		s.posture = `{"pins":0}`
		s.expectRestart(t, "high config_changed coverage_shrinks tier_critical", "endpoint e000: pins are dropped", func() {})
		s.expectRestart(t, "low config_changed", "", func() { s.nodes = append(s.nodes, &node{name: "new", tier: "low", interval: time.Minute}) }) // by names
		s.open()
		s.halt = func() {}
	})
}
