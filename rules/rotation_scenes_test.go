package rules_test

import (
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/rules"
)

const aDay = 24 * time.Hour

// turning is a baseline and so many rotations of two keys that slide, the last
// one a moment ago.
func turning(n int, every time.Duration) play {
	return func(s *sim) {
		for i := range n + 1 {
			if i > 0 {
				later(every - time.Minute)(s)
			}
			s.poll(slid(i))
		}
	}
}

// slid is the set after so many rotations, and more.
func slid(i int, more ...string) []byte {
	return doc(append([]string{fmt.Sprintf("K%d:k%d", i, i), fmt.Sprintf("K%d:k%d", i+1, i+1)}, more...)...)
}

// expects declares of the endpoint.
func expects(e rules.Expect) play { return func(s *sim) { s.policy.Expect = e } }

// rotationScenes are those of keys that follow each other in time. Each pair
// stands on either side of a threshold.
func rotationScenes() map[string]struct{ fires, quiet play } {
	age, three := expects(rules.Expect{MaxKeyAge: 10 * aDay}), doc("A:a", "B:b", "C:c")
	count := scene(expects(rules.Expect{KeysMin: 1, KeysMax: 2}), polls(doc("A:a", "B:b"), three))
	return map[string]struct{ fires, quiet play }{
		"key-overage": {
			scene(age, polls(doc("A:a")), later(10*aDay), polls(doc("A:a"))),
			scene(age, polls(doc("A:a")), later(10*aDay-time.Minute), polls(doc("A:a"))),
		},
		"set-count-unexpected": {
			scene(count, later(2*time.Hour-time.Minute), polls(three)), // twice max-age,
			scene(count, later(2*time.Hour-2*time.Minute), polls(three, doc("A:a", "B:b")), later(aDay), polls(doc("A:a", "B:b"))),
		},
		"rotation-completed": {
			polls(doc("A:a", "B:b"), doc("A:a", "B:b", "C:c"), doc("B:b", "C:c")),
			polls(doc("A:a", "B:b"), doc("B:b", "C:c")),
		},
		"rotation-removed-early": {
			scene(polls(doc("A:a"), doc("A:a", "B:b")), later(21*time.Hour), polls(doc("B:b"))),
			scene(polls(doc("A:a"), doc("A:a", "B:b")), later(aDay), polls(doc("B:b"))),
		},
		"rotation-off-cadence": {
			scene(turning(4, 10*aDay), later(9*aDay-10*time.Minute), polls(slid(5))),
			scene(turning(4, 10*aDay), later(9*aDay), polls(slid(5))),
		},
		"rotation-overdue": {
			scene(turning(4, 10*aDay), later(15*aDay), polls(slid(4))),
			scene(turning(4, 10*aDay), later(15*aDay-10*time.Minute), polls(slid(4))),
		},
	}
}
