package rules_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// TestSlowPollsJudgeNoHarder polls random histories, in which each set stands for
// days, once a minute and once a day: the slower one tells the same of what it can
// see at all, and nothing higher.
func TestSlowPollsJudgeNoHarder(t *testing.T) {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 3))
		live, next := []int{0, 1}, 2
		var sets [][]byte
		for range 30 {
			switch r.IntN(6) {
			case 0, 1:
				live, next = append(slices.Clone(live), next), next+1
			case 2:
				live = slices.Clone(live[min(1, len(live)-1):])
			case 3:
				live, next = []int{next}, next+1
			case 4: // an old one is back
				if old := r.IntN(next); !slices.Contains(live, old) {
					live = append(slices.Clone(live), old)
				}
			}
			var words []string
			for _, k := range live[max(0, len(live)-4):] {
				words = append(words, fmt.Sprintf("K%02d:k%02d", k, k))
			}
			sets = append(sets, doc(words...))
		}
		pauses := make([]int, len(sets)) // days
		for i := range pauses {
			pauses[i] = 5 + r.IntN(10)
		}
		told := func(interval time.Duration) map[string]event.Severity {
			s := newSim(t)
			s.policy.Interval = interval
			for i, set := range sets {
				s.poll(set)
				for n := range pauses[i] {
					if interval == day && n == 0 {
						continue
					}
					if interval < day {
						s.poll(set)
						later(3 * time.Hour)(s)
						s.poll(set)
						s.at(s.now.Truncate(day), day+12*time.Hour)
					}
					s.poll(set)
				}
			}
			out := map[string]event.Severity{}
			for _, f := range s.all {
				what := string(f.Type)
				if f.Key != nil {
					what += " " + f.Key.Key.Kid
				}
				if !strings.HasPrefix(what, "rotation.") || f.Type == event.RotationNoOverlap {
					out[what] = max(out[what], f.Severity)
				}
			}
			return out
		}
		fast, slow := told(time.Minute), told(day)
		for _, what := range slices.Sorted(maps.Keys(slow)) {
			if slow[what] > fast[what] {
				t.Errorf("seed %d: %s is %s by the day, %s by the minute", seed, what, slow[what], fast[what])
			}
		}
		for _, what := range slices.Sorted(maps.Keys(fast)) {
			if fast[what] > slow[what] {
				t.Errorf("seed %d: %s is %s by the minute, %s by the day", seed, what, fast[what], slow[what])
			}
		}
	}
}
