package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// lost and undiscovered are the flaws of endpoint.unreachable: no answer of the
// key set, and no discovery document while the last known key set answers.
func lost() string         { return history.FlawID(string(event.EndpointUnreachable)) }
func undiscovered() string { return history.FlawID(string(event.EndpointUnreachable), "discovery") }

// prolonged and intermittent are flaws of endpoint.unreachable too, each told by
// itself: what was told as an outage got worse, or goes on by halves.
func prolonged() string { return history.FlawID(string(event.EndpointUnreachable), codeProlonged) }

func intermittent() string {
	return history.FlawID(string(event.EndpointUnreachable), codeIntermittent)
}

// The codes of endpoint.unreachable.
const (
	codeBlocked      = "blocked" // as Failure.Code: each answer was HTTP 401, 403 or 429
	codeIntermittent = "intermittent"
	codeProlonged    = "prolonged"
)

// Thresholds of the codes.
const (
	prolongedAfter    = time.Hour // on tier critical
	recentPolls       = 50
	intermittentFails = recentPolls / 5
	intermittentRows  = 3 // fewer are outages, and told as such
	calmFails         = recentPolls / 10
)

// byFailure reports whether the condition is one that failures open and that
// polls end: what complete answers say of keys neither keeps nor closes it.
func byFailure(t event.Type) bool {
	switch t {
	case event.EndpointUnreachable, event.EndpointTLSInvalid, event.EndpointDangling, event.EndpointRedirected:
		return true
	}
	return false
}

// failed notes a poll without an answer.
func (s *step) failed() {
	if first := s.restore(); first != nil && !s.m.Pending.Told && !first.empty() {
		s.tell(first, nil)
		if !first.valid() {
			s.drop()
		}
	}
	s.recovered(nil)
	f := s.o.Failure
	c := s.newCase()
	// The discovery before the failure may have been good: where it leads is
	// news whether or not a key set is there.
	way := &answer{set: &jwks.Set{}, facts: s.o.Facts, at: s.o.At, after: s.o.After}
	leads := s.o.Facts != nil && s.o.Facts.Discovery != nil && s.novel(way)
	if leads {
		c = s.newCase(way)
	}
	c.Failure, c.Facts = f, s.o.Facts
	c.Seen = event.Confirmation{Attempts: 1, Agreed: 1, Addresses: []string{}}
	for _, flaw := range s.failing() {
		if !s.isOpen(flaw.ID) {
			flaw.Seen = c.Seen
			c.Opened = append(c.Opened, flaw)
		}
	}
	c.unreachable = s.unanswered(c, f)
	if c.unreachable == "" && len(c.Opened) == 0 && !leads {
		return
	}
	s.out.Store = true
	s.judge(c)
	if leads {
		s.learn(way)
	}
}

// unanswered is the flaw of endpoint.unreachable that opens, "" for none.
func (s *step) unanswered(c *Case, f *Failure) string {
	c.open = s.m.Conditions
	switch explained := c.cause() != ""; {
	case s.long(f) && !s.isOpen(lost()):
		return lost()
	case explained: // it is told as what it is a consequence of
	case s.isOpen(lost()) && !s.isOpen(prolonged()) && s.p.Tier == "critical" && s.o.At.Sub(s.lostSince(f)) >= prolongedAfter:
		return prolonged()
	case !s.isOpen(lost()) && !s.isOpen(intermittent()) && s.o.Recent.Intermittent():
		return intermittent()
	}
	return ""
}

// lostSince is since when nothing answers. A row of failures does not outlive a
// restart; the condition does.
func (s *step) lostSince(f *Failure) time.Time {
	since := f.Since
	for _, c := range s.m.Conditions {
		if slices.Contains(c.Flaws, lost()) && c.OpenedAt.Before(since) {
			since = c.OpenedAt
		}
	}
	return since
}

// failing lists what is wrong with the way to no answer. One observation proves
// it. The discovery before it may have been good, and say things of its own.
func (s *step) failing() []Flaw {
	out := Observe(s.book, &Sight{Policy: s.p, Before: s.m, At: s.o.At, Failure: s.o.Failure})
	for i := range out { // rules of the way see one poll, and not when the last good one was
		switch d := out[i].Details.(type) {
		case *event.EndpointTLSInvalidDetails:
			d.LastGood = event.AtOrNil(s.o.After)
		case *event.EndpointDanglingDetails:
			d.LastGood = event.AtOrNil(s.o.After)
		}
	}
	if s.o.Facts == nil || s.o.Facts.Discovery == nil {
		return out
	}
	for _, f := range Observe(s.book, &Sight{Policy: s.p, Before: s.m, At: s.o.At, Facts: s.o.Facts}) {
		if strings.HasPrefix(string(f.Rule.Type), "discovery.") {
			out = append(out, f)
		}
	}
	return out
}

// long reports whether a row of failures is no hiccup.
func (s *step) long(f *Failure) bool {
	return f.Count >= UnreachableAfter && s.o.At.Sub(f.Since) >= min(2*s.p.Interval, UnreachableSpan)
}

// undiscovered tells of a discovery document that cannot be had while the last
// known key set answers: a move of the set would go unseen.
func (s *step) undiscovered(x *answer) {
	lost := x.undiscovered()
	if lost == nil || s.isOpen(undiscovered()) {
		return
	}
	f := *lost
	if !s.long(&f) {
		return
	}
	f.Phase = "discovery"
	c := s.newCase(x)
	c.Failure, c.unreachable, c.aside = &f, undiscovered(), true
	s.out.Store = true
	s.judge(c)
}

// recovered closes what failures opened, when the polls say that it is over. x
// is nil when the poll failed; the discovery before it may have been good.
func (s *step) recovered(x *answer) {
	var over []*history.Condition
	for _, cond := range s.m.Conditions {
		if byFailure(event.Type(cond.Type)) && s.over(cond, x) {
			over = append(over, cond)
		}
	}
	if len(over) == 0 {
		return
	}
	c := s.newCase(x)
	c.aside = true
	c.Seen = event.Confirmation{Attempts: 1, Agreed: 1, Addresses: addresses(x)}
	if x == nil {
		c.Facts = s.o.Facts
	}
	s.closeAll(c, over)
	s.judge(c)
}

// over reports whether a condition that failures opened is over.
func (s *step) over(cond *history.Condition, x *answer) bool {
	switch {
	case slices.Contains(cond.Flaws, undiscovered()):
		// An endpoint that is configured anew may have no discovery at all.
		gone := x != nil && x.facts != nil && x.facts.Discovery == nil
		return gone || s.o.DiscoveredInARow >= ReachableAfter
	case x == nil:
		return false
	case slices.Contains(cond.Flaws, intermittent()):
		return s.o.Recent.Calm()
	case event.Type(cond.Type) == event.EndpointUnreachable:
		return s.o.GoodInARow >= ReachableAfter
	}
	return !x.hasAny(cond)
}

// Attentive reports whether even an unchanged answer means something next
// time: a claim waits for a look, or a row of failures may be over.
func (o *Outcome) Attentive() bool {
	if o.Memory.Pending != nil {
		return true
	}
	for _, c := range o.Memory.Conditions {
		if byFailure(event.Type(c.Type)) {
			return true
		}
	}
	return false
}

// Recent counts the last polls, up to 50, this one included.
type Recent struct {
	Polls, Failed int
	Rows          int // of failures without a good poll between
}

// Intermittent reports whether so many polls failed, in several rows, that the
// endpoint is there by halves only.
func (r *Recent) Intermittent() bool {
	return r != nil && r.Failed >= intermittentFails && r.Rows >= intermittentRows
}

// Calm reports whether enough polls were good to say that this is over.
func (r *Recent) Calm() bool { return r != nil && r.Polls >= recentPolls && r.Failed <= calmFails }
