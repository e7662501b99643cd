package rules

import (
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Thresholds of the state machine.
const (
	// LookAfter is the shortest time before a second look; the watcher adds a
	// secret jitter of up to two seconds.
	LookAfter = time.Second
	// EmptyLooks answers over EmptySpan must be empty before a set is.
	EmptyLooks = 3
	EmptySpan  = 30 * time.Second
	// UnreachableAfter failures in a row over UnreachableSpan, or over two
	// intervals where that is shorter, make an endpoint unreachable;
	// ReachableAfter good polls in a row end it.
	UnreachableAfter = 3
	UnreachableSpan  = 2 * time.Minute
	ReachableAfter   = 2
)

// Observation is one poll of one endpoint: an answer or a failure.
type Observation struct {
	At    time.Time
	After time.Time // the last good poll before; zero when there was none
	// Set is the parsed answer to HTTP 200; nil when the poll failed.
	Set        *jwks.Set
	Failure    *Failure
	GoodInARow int           // good polls in a row, this one included
	Remote     string        // address that answered
	MaxAge     time.Duration // of Cache-Control; 0 when there was none
	Facts      *Facts        // of the answer, or of the discovery before a failure; may be nil
	// Health is what was found since the last observation of keys that were seen
	// before; nil for nothing.
	Health *Health
	// Peers are the other endpoints at which a key stands now; nil: not known.
	Peers func(jwks.Identity) []Peer
	// Views are what single addresses showed; nil: not known.
	Views *Views
	// Recent counts the last polls, this one included; nil: not known.
	Recent *Recent
	// DiscoveredInARow counts the polls in a row whose discovery was good.
	DiscoveredInARow int
}

// Outcome is what a step made of an observation.
type Outcome struct {
	Memory *history.Memory
	// Store asks for the memory to be committed, together with the findings.
	Store bool
	// Accepted says that the answer's set is the newest of the endpoint: its
	// body belongs in the record.
	Accepted bool
	Findings []Finding
	// Look asks for another look over a fresh connection after this time; 0
	// for none before the regular poll.
	Look time.Duration
	// Review is when an answer must be judged again even if it is what the last
	// one was; zero for never.
	Review time.Time
}

// Step folds one observation into what is remembered. It never fails: an
// answer that is no set, and no answer at all, are observations too.
//
// Claims of presence (material, a label, a value, a flaw) are proven by one
// complete answer. Claims of absence need a second look that lacks it too.
// The first answer with any claim is stored as pending, so that a crash
// forgets nothing, and a second look decides what is told and how surely.
func Step(book []Rule, before *history.Memory, o Observation, p Policy) Outcome {
	s := &step{book: book, was: before, m: before.Clone(), o: o, p: p}
	if keys := thinKeys(s.m.Live); keys != nil {
		s.m.Live = keys // of before there was a bound
	}
	s.dated()
	s.checked()
	s.seed()
	if o.Failure != nil {
		s.failed()
	} else {
		x := s.answer(o.Set, o.Facts, o.At, o.After, o.Remote)
		if x.valid() {
			s.sighted()
		}
		s.recovered(x)
		s.undiscovered(x)
		s.answered(x)
		if x.valid() && !x.empty() && !s.m.Baseline.IsZero() && s.m.URL == s.p.URL {
			s.passing(x)
		}
	}
	s.noisy()
	s.out.Review = s.review()
	s.settle()
	s.out.Findings = setsFirst(s.out.Findings)
	s.out.Memory = s.m
	return s.out
}

// dated brings what waits back to now when the clock was set back meanwhile: a
// claim that is due some time after it was made would wait until the clock comes
// by its old time again.
func (s *step) dated() {
	if s.m.Shown.After(s.o.At) {
		s.m.Shown = s.o.At
	}
	for p := s.m.Pending; p != nil; p = p.Aside {
		if p.At.After(s.o.At) {
			p.At = s.o.At
		}
		if p.After.After(p.At) {
			p.After = p.At
		}
	}
}

// step is one call of Step.
type step struct {
	book []Rule
	was  *history.Memory
	m    *history.Memory
	o    Observation
	p    Policy
	out  Outcome

	held map[string]bool // the flaws that open conditions hold, once asked for
}

func (s *step) answered(x *answer) {
	first := s.restore()
	switch {
	case x.valid() && (s.m.Baseline.IsZero() || s.m.URL != s.p.URL):
		if first != nil && s.m.Baseline.IsZero() {
			s.openFlaws(first)
		} else if first != nil {
			s.tell(first, nil)
		}
		s.baseline(x)
	case x.empty() && (first == nil || !first.empty()):
		if first != nil {
			s.tell(first, nil)
		}
		s.firstEmpty(x)
	case x.empty():
		s.stillEmpty(first, x)
	case first != nil && first.empty() && x.valid():
		s.refilled(x)
	case first == nil:
		s.first(x)
	default:
		s.second(first, x)
	}
}

// baseline takes the set as given, findings aside: first sight is never a
// burst of additions.
func (s *step) baseline(x *answer) {
	c := s.newCase(x)
	c.Baseline = "first_sight"
	if !s.m.Baseline.IsZero() {
		c.Baseline = "url_changed"
		s.m.Sequence = history.Sequence{}
		s.m.Learned = history.Learned{} // where another URL led is no measure for this one
	}
	c.Seen = seen(x, x)
	c.Keys = x.set.Keys
	s.m.URL = s.p.URL
	s.m.Pending = nil
	s.flaws(c, nil, x)
	s.m.Rebase(x.set.Keys, c.After, c.At)
	s.based(x)
	s.newest(x)
	s.judge(c)
	s.learn(x)
	if x.empty() && s.open(event.SetEmptied) == nil {
		s.wait(x)
	}
}

// first looks for claims against the baseline; any makes the answer pending.
func (s *step) first(x *answer) {
	if !x.valid() {
		if s.unknown(x.flaws) || s.novel(x) {
			s.wait(x)
		} else {
			s.learn(x)
		}
		return
	}
	switch {
	case s.alternates(x):
	case len(s.changes(x.set.Keys)) > 0, s.unknown(x.flaws), s.closable(x) > 0, s.novel(x):
		s.wait(x)
	case len(s.m.Digests) == 0 || s.m.Digests[len(s.m.Digests)-1].Sum != x.set.Digest:
		// Another set without a change that has a name: kept, not told.
		s.accept(s.newCase(x), x.set.Keys, x)
		s.learn(x)
	default:
		s.learn(x)
	}
}

// newCase begins a case about the answers, the older one first. Any may be nil:
// about none of them it is about a poll without an answer.
func (s *step) newCase(answers ...*answer) *Case {
	before := *s.was
	before.Learned, before.Rotation, before.Windowed = s.m.Learned, s.m.Rotation.Clone(), s.m.Windowed // what this step told already is no news
	c := &Case{Policy: s.p, When: When{s.o.After, s.o.At}, Before: &before, Keys: s.m.Live, MaxAge: s.o.MaxAge}
	for _, a := range answers {
		if a == nil {
			continue
		}
		if len(c.looks) == 0 {
			c.When, c.Facts = When{a.after, a.at}, a.facts
		}
		c.looks = append(c.looks, a)
	}
	return c
}

// accept makes the keys the baseline and the answer the newest set.
func (s *step) accept(c *Case, keys []jwks.Key, x *answer) {
	s.rotated(c)
	s.windowed(c)
	s.m.Accept(keys, c.After, c.At)
	s.newest(x)
}

// newest makes the answer the newest set of the endpoint.
func (s *step) newest(x *answer) {
	s.m.Note(history.Digest{Sum: x.set.Digest, At: x.at, Keys: len(x.set.Keys)})
	s.out.Accepted = true
	s.out.Store = true
}
