package rules_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// TestNothingHidesAmongFlips lets answers come and go at random, and holds what
// must be true of any history: material that was never seen is told in the poll
// that first shows it, a retired key that returns is told high, what was never
// told gone is not told gone twice, and the condition opens and closes by turns.
func TestNothingHidesAmongFlips(t *testing.T) {
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 7))
		s := newSim(t)
		s.policy.MaxEvents = 1 << 20
		s.poll(doc("A:a", "B:b"))
		open, heard := false, 0
		for range 60 {
			switch r.IntN(8) {
			case 0:
				later(time.Duration(r.IntN(20)) * day)(s)
				s.poll(s.shown()) // it stood all the time
			case 1:
				later(time.Duration(r.IntN(300)) * time.Minute)(s)
				s.poll(s.shown())
			case 2:
				s.wait(time.Minute)
				s.fail()
			}
			words := []string{}
			for _, k := range "ABCDEFGH" {
				if r.IntN(8) < 3 {
					words = append(words, fmt.Sprintf("%c:%c", k, k+32))
				}
			}
			if len(words) == 0 {
				continue
			}
			before, told := s.memory(), len(s.all)
			s.poll(doc(words...))
			after := s.memory()
			news, highs := map[jwks.Identity]bool{}, 0
			for _, f := range s.all[told:] {
				if f.Key != nil {
					news[f.Key.Key.ID] = true
				}
				for _, k := range f.Keys {
					news[k.Key.ID] = true
				}
				if (f.Type == event.KeyReappeared || f.Type == event.SetRolledBack) && f.Severity >= event.SeverityHigh {
					highs++
				}
			}
			for _, f := range s.all[heard:] {
				if f.Type != event.SetUnstable {
					continue
				}
				if open = !open; open == f.Closing {
					t.Errorf("seed %d: set.unstable opens and closes out of turn", seed)
				}
			}
			heard = len(s.all)
			for id, sight := range after.Sightings {
				if before.Sightings[id] == nil && !news[id] {
					t.Errorf("seed %d: %s was never told: %q", seed, sight.Key.Kid, tell(s.all[told:]))
				}
				if was := before.Sightings[id]; was != nil && !was.Untold && was.Retired(sight.FirstSeen) && sight.Live() && highs == 0 {
					t.Errorf("seed %d: retired %s came back unheard: %q", seed, sight.Key.Kid, tell(s.all[told:]))
				}
				if sight.Untold && (sight.Live() || after.Stability.Phase == history.Stable) {
					t.Errorf("seed %d: %s is gone untold in phase %d", seed, sight.Key.Kid, after.Stability.Phase)
				}
			}
		}
	}
}

// shown is the document that stands.
func (s *sim) shown() []byte {
	s.t.Helper()
	var words []string
	for _, k := range s.memory().Live {
		words = append(words, fmt.Sprintf("%c:%s", k.Kid[0]-32, k.Kid))
	}
	return doc(words...)
}
