package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
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
	if o.Failure != nil {
		s.failed()
	} else {
		s.recovered()
		s.answered(s.answer(o.Set, o.At, o.After, o.Remote))
	}
	s.out.Memory = s.m
	return s.out
}

// step is one call of Step.
type step struct {
	book []Rule
	was  *history.Memory
	m    *history.Memory
	o    Observation
	p    Policy
	out  Outcome
}

// answer is a document as the state machine sees it.
type answer struct {
	set    *jwks.Set
	flaws  []Flaw
	at     time.Time
	after  time.Time
	remote string

	changes []diff.Change // against the baseline, once asked for
}

func (s *step) answer(set *jwks.Set, at, after time.Time, remote string) *answer {
	return &answer{set: set, flaws: Inspect(s.book, set), at: at, after: after, remote: remote}
}

func (a *answer) valid() bool { return a.set.Usable() }
func (a *answer) empty() bool { return a.valid() && len(a.set.Keys) == 0 }

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
		s.stillEmpty(x)
	case first != nil && first.empty() && x.valid():
		s.m.Flip(x.at)
		s.drop()
		s.first(x)
	case first == nil:
		s.first(x)
	default:
		s.second(first, x)
	}
}

// restore reads the pending answer back. It was stored redacted, and a
// redacted document parses to the same keys and flaws.
func (s *step) restore() *answer {
	p := s.m.Pending
	if p == nil {
		return nil
	}
	set := &jwks.Set{Shape: p.Shape, Reason: p.Reason, Offset: p.Offset}
	if p.Body != nil {
		set = jwks.Parse(p.Body)
	}
	return s.answer(set, p.At, p.After, p.Remote)
}

// wait stores the answer as pending.
func (s *step) wait(x *answer) {
	s.m.Pending = &history.Pending{
		At: x.at, After: x.after, Shape: x.set.Shape, Reason: event.Text(x.set.Reason), Offset: x.set.Offset,
		Looks: 1, Remote: x.remote, Body: x.set.Body,
	}
	s.out.Store = true
	s.out.Look = LookAfter
}

func (s *step) drop() {
	s.m.Pending = nil
	s.out.Store = true
}

// baseline takes the set as given, findings aside: first sight is never a
// burst of additions.
func (s *step) baseline(x *answer) {
	c := s.newCase(x)
	c.Baseline = "first_sight"
	if !s.m.Baseline.IsZero() {
		c.Baseline = "url_changed"
	}
	c.Seen = seen(x, x)
	c.Keys = x.set.Keys
	s.m.URL = s.p.URL
	s.m.Pending = nil
	s.flaws(c, nil, x)
	s.accept(c, x.set.Keys, x)
	s.judge(c)
	if x.empty() {
		s.wait(x)
	}
}

// first looks for claims against the baseline; any makes the answer pending.
func (s *step) first(x *answer) {
	if !x.valid() {
		if s.unknown(x.flaws) {
			s.wait(x)
		}
		return
	}
	switch {
	case len(s.changes(x.set.Keys)) > 0, s.unknown(x.flaws), s.closable(x) > 0:
		s.wait(x)
	case len(s.m.Digests) == 0 || s.m.Digests[len(s.m.Digests)-1].Sum != x.set.Digest:
		// Another set without a change that has a name: kept, not told.
		s.accept(s.newCase(x), x.set.Keys, x)
	}
}

// second decides on a pending answer.
func (s *step) second(first, x *answer) {
	switch {
	case first.valid() && x.valid():
		s.resolve(first, x)
	case first.valid():
		s.tell(first, x)
	case x.valid():
		s.tell(first, nil)
		s.drop()
		s.first(x)
	default:
		s.tell(first, x)
		s.drop()
	}
}

// resolve holds two complete answers against the baseline.
func (s *step) resolve(first, x *answer) {
	c := s.newCase(x)
	pend := s.m.Pending
	c.When = When{first.after, first.at}
	keys := merge(first.set.Keys, x.set.Keys)
	for _, ch := range s.changes(keys) {
		if ch.Kind == diff.Removed && slices.Contains(pend.Replaced, ch.ID) {
			continue // its exchange was told when the first look was all there was
		}
		n := Change{Change: ch, Seen: s.seenIn(ch, first, x)}
		if ch.Kind != diff.Removed && !s.shows(first, ch) {
			n.When = When{first.at, x.at}
		}
		c.Changes = append(c.Changes, n)
	}
	for _, ch := range s.changes(first.set.Keys) { // values that the second look did not show
		if ch.Presence() && !pend.Told && !told(c.Changes, ch) {
			c.Changes = append(c.Changes, Change{Change: ch, Seen: s.seenIn(ch, first, x)})
		}
	}
	old := s.m.Live
	if pend.Told {
		old = pend.Old
	}
	s.replaced(c, s.standing(old, first.at), keys)
	if s.unconfirmed(first, keys) {
		s.m.Flip(x.at)
	}
	c.Seen = event.Confirmation{Attempts: 2, Agreed: 2, Addresses: addresses(first, x)}
	c.Keys = keys
	s.drop()
	s.flaws(c, first, x)
	s.accept(c, keys, x)
	s.m.Later(first.set.Keys, x.set.Keys, first.at, x.at)
	s.judge(c)
	// What only the first look showed now stands in the baseline and is lacking
	// in the newest answer: that is a claim of its own.
	s.first(x)
}

// tell publishes the presence claims of an answer that no second look could
// confirm, and keeps its claims of absence for the next good poll. The other
// answer, if any, is no set; its flaws are told as well.
func (s *step) tell(first, other *answer) {
	pend := s.m.Pending
	if pend.Told && other == nil {
		return
	}
	c := s.newCase(first)
	c.Seen = seen(first, nil)
	if !pend.Told && first.valid() && !first.empty() {
		pend.Told, pend.Old = true, s.m.Live
		keys := merge(s.m.Live, first.set.Keys)
		for _, ch := range s.changes(keys) {
			if !ch.Presence() {
				continue
			}
			c.Changes = append(c.Changes, Change{Change: ch, Seen: s.seenIn(ch, first, nil)})
			if ch.Kind == diff.Mutated && ch.Previous != nil {
				pend.Replaced = append(pend.Replaced, *ch.Previous)
			}
		}
		c.Keys = keys
		s.flawsOpened(c, first, other)
		s.accept(c, keys, first)
		if len(s.changes(first.set.Keys)) == 0 && s.closable(first) == 0 {
			s.m.Pending = nil
		}
	} else {
		s.flawsOpened(c, first, other)
	}
	s.out.Store = true
	s.judge(c)
}

// failed notes a poll without an answer.
func (s *step) failed() {
	if first := s.restore(); first != nil && !s.m.Pending.Told && !first.empty() {
		s.tell(first, nil)
		if !first.valid() {
			s.drop()
		}
	}
	f := s.o.Failure
	long := f.Count >= UnreachableAfter && s.o.At.Sub(f.Since) >= min(2*s.p.Interval, UnreachableSpan)
	if !long || s.open(event.EndpointUnreachable) != nil {
		return
	}
	c := s.newCase(nil)
	c.Failure = f
	s.out.Store = true
	s.judge(c)
}

func (s *step) newCase(x *answer) *Case {
	c := &Case{Policy: s.p, When: When{s.o.After, s.o.At}, Before: s.was, Keys: s.m.Live, MaxAge: s.o.MaxAge}
	if x != nil {
		c.When = When{x.after, x.at}
	}
	return c
}

// accept makes the keys the baseline and the answer the newest set.
func (s *step) accept(c *Case, keys []jwks.Key, x *answer) {
	s.m.Accept(keys, c.After, c.At)
	s.newest(x)
}

// newest makes the answer the newest set of the endpoint.
func (s *step) newest(x *answer) {
	s.m.Note(history.Digest{Sum: x.set.Digest, At: x.at, Keys: len(x.set.Keys)})
	s.out.Accepted = true
	s.out.Store = true
}

// Attentive reports whether even an unchanged answer means something next
// time: a claim waits for a look, or a row of failures may be over.
func (o *Outcome) Attentive() bool {
	if o.Memory.Pending != nil {
		return true
	}
	for _, c := range o.Memory.Conditions {
		if c.Type == string(event.EndpointUnreachable) {
			return true
		}
	}
	return false
}
