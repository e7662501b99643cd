package agent_test

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// TestStateLost holds what is said of each loss: once, also when the run that
// said it died before it could note that it had, and short enough for a person.
func TestStateLost(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		known := bolt.Point{Epoch: strings.Repeat("4f", 16), Position: 1_204_511, Sequence: 209_118, At: time.Now().Add(-time.Hour)}
		copied := bolt.Point{Epoch: known.Epoch, Position: 1_204_000, Sequence: 209_000, At: time.Now().Add(-25 * time.Hour)}
		other := bolt.Point{Epoch: strings.Repeat("aa", 16), Position: 2_000_000, At: time.Now()}
		name := strings.Repeat("long", 60) + "\u202e"
		for _, c := range []struct {
			loss    bolt.Loss
			typ     event.Type
			says    string
			missing uint64 // 0: not known
		}{
			{bolt.Loss{Reason: bolt.ReasonLost, Known: known}, event.AgentStateLost, "the state is gone, known until ", 1_204_511},
			{bolt.Loss{Reason: bolt.ReasonLost}, event.AgentStateLost, "the state is gone: all endpoints begin", 0},
			{bolt.Loss{Reason: bolt.ReasonOlder, Known: known, Found: copied}, event.AgentStateLost, "511 events are missing", 511},
			{bolt.Loss{Reason: bolt.ReasonForeign, Known: known, Found: other, Aside: name}, event.AgentStateLost, "a foreign state stood in place", 0},
			{bolt.Loss{Reason: bolt.ReasonDamaged, Known: known, Aside: name, Cause: name}, event.AgentStateLost, "damaged, and there is no good backup", 1_204_511},
			{bolt.Loss{Reason: bolt.ReasonDamaged, Known: known, Found: copied, Backup: name, Aside: name, Cause: name}, event.AgentStateRestored, "the state was damaged; the agent goes on with a backup of ", 511},
			{bolt.Loss{Reason: bolt.ReasonForeign, Known: known, Found: copied, Backup: name}, event.AgentStateRestored, "a foreign state", 511},
			{bolt.Loss{Reason: bolt.ReasonLost, Found: copied, Backup: name}, event.AgentStateRestored, "how much is missing is not known", 0},
			{bolt.Loss{Reason: bolt.ReasonCommand, Known: known, Found: copied, Backup: name}, event.AgentStateRestored, "an operator restored", 511},
		} {
			c.loss.ID = c.says
			s.open()
			before := s.db.Written()
			for range 2 { // the second time after a crash: the state alone knows
				if err := s.voice.StateLost(t.Context(), time.Now(), c.loss); err != nil {
					t.Fatal(err)
				}
				if err := s.db.Close(); err != nil {
					t.Fatal(err)
				}
				s.open()
			}
			if n := s.db.Written() - before; n != 1 {
				t.Errorf("%s: told %d times", c.says, n)
			}
			var last *event.Event
			for e, err := range s.db.Events(t.Context(), "") {
				if err != nil {
					t.Fatal(err)
				}
				if last, err = event.Decode(e.JSON); err != nil {
					t.Fatal(err)
				}
			}
			d := last.Data.Details.(*event.AgentStateDetails)
			f := last.Data.Event
			if f.Type != c.typ || !strings.Contains(f.Message, c.says) || d.Reason != c.loss.Reason || utf8.RuneCountInString(f.Message) > 200 {
				t.Errorf("%s: %s, reason %s: %q (%d characters)", c.says, f.Type, d.Reason, f.Message, utf8.RuneCountInString(f.Message))
			}
			if want := map[event.Type]event.Severity{event.AgentStateLost: event.SeverityCritical, event.AgentStateRestored: event.SeverityHigh}[c.typ]; f.Severity != want {
				t.Errorf("%s: severity %s", c.says, f.Severity)
			}
			if got := d.EventsMissing; c.missing == 0 && got != nil && *got != 0 || c.missing != 0 && (got == nil || *got != c.missing) {
				t.Errorf("%s: events missing: %v", c.says, got)
			}
			if d.Backup != nil && strings.Contains(*d.Backup, "\u202e") {
				t.Errorf("%s: a name as it came", c.says)
			}
			if err := s.db.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestStartAfterALoss holds that a start after a loss says since when nobody watched,
// and does not say how the run before ended: the copy that goes on was made in the
// middle of some run.
func TestStartAfterALoss(t *testing.T) {
	inBubble(t, func(t *testing.T, s *scene) {
		s.start()
		s.pass(time.Minute)
		s.crash()
		found := time.Now()
		s.pass(2 * time.Hour)
		s.open()
		known := bolt.Point{Epoch: strings.Repeat("4f", 16), Position: 9, At: found.Add(time.Hour)}
		l := bolt.Loss{ID: "1", Reason: bolt.ReasonCommand, Known: known, Found: bolt.Point{Epoch: known.Epoch, At: found}, Backup: "b"}
		if err := s.voice.StateLost(t.Context(), time.Now(), l); err != nil {
			t.Fatal(err)
		}
		if err := s.voice.Start(t.Context(), time.Now(), s.facts()); err != nil {
			t.Fatal(err)
		}
		s.expect("informational started", "high state_restored command", "informational started")
		if _, d := last[event.AgentStartedDetails](s); d.Clean != nil || d.NewState || !d.LastAlive.Equal(known.At) || *d.BlindS != 3600 {
			t.Errorf("%+v", d)
		}
		s.oversee()
	})
}
