package rules_test

import "time"

// historyScenes are those of what comes back, alternates or stays for a moment.
func historyScenes() map[string]struct{ fires, quiet play } {
	turns := func(n int, pause time.Duration) play {
		return func(s *sim) {
			s.poll(doc("A:a", "B:b"))
			for range n {
				later(pause)(s)
				polls(doc("A:a", "C:c"))(s)
				later(pause)(s)
				polls(doc("A:a", "B:b"))(s)
			}
		}
	}
	replaces := func(n int, every time.Duration) play {
		return func(s *sim) {
			s.poll(doc("R0:r0"))
			for i := range n {
				later(every)(s)
				s.poll(doc("R" + string(rune('1'+i)) + ":r" + string(rune('1'+i))))
			}
		}
	}
	return map[string]struct{ fires, quiet play }{
		// Two hours are what a max-age of an hour needs.
		"set-rolled-back": {
			scene(polls(doc("A:a", "B:b"), doc("A:a", "C:c"), doc("A:a", "B:b")), later(2*time.Hour), polls(doc("A:a", "B:b"))),
			scene(polls(doc("A:a", "B:b"), doc("A:a", "C:c"), doc("A:a", "B:b")), later(2*time.Hour-2*time.Minute), polls(doc("A:a", "C:c"))),
		},
		"key-reappeared": {
			scene(polls(doc("A:a", "B:b"), doc("A:a"), doc("A:a", "B:b", "C:c"))),
			polls(doc("A:a", "B:b"), doc("A:a"), doc("A:a", "C:c")),
		},
		"set-unstable":        {turns(2, 3*time.Hour), turns(1, 3*time.Hour)},
		"rotation-no-overlap": {replaces(3, 20*day), replaces(2, 20*day)},
		"key-ephemeral": {
			scene(polls(doc("A:a"), doc("A:a", "R:r")), later(10*time.Minute), polls(doc("A:a")), later(time.Hour), polls(doc("A:a"))),
			scene(polls(doc("A:a"), doc("A:a", "R:r")), later(25*time.Hour), polls(doc("A:a")), later(time.Hour), polls(doc("A:a"))),
		},
	}
}

const day = 24 * time.Hour
