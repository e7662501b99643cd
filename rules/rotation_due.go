package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Thresholds of what time alone brings about.
const (
	// pastExp is how long a key may stand after its own exp.
	pastExp = day
	// outlives times the longest life of leastLives keys is too old, but never what
	// is not established yet: where keys live for minutes, an hour is no age.
	outlives   = 3
	leastLives = 5
	// maxAlgs bounds what one event tells of unexpected algorithms.
	maxAlgs = 16
)

// arrears are what time alone brought about, or what a declaration does not allow to
// stand.
type arrears struct {
	overdue *rhythm
	aged    []aged
	count   int      // signing keys
	outside bool     // the count is not the declared one
	algs    []string // that are not among the declared ones
}

// aged is a key that is too old, and by what measure.
type aged struct {
	key  jwks.Key
	code string
	age  time.Duration // at least
	exp  time.Time
}

func (a *aged) flaw() string { return history.FlawID(string(event.KeyOverage), a.key.ID.String()) }

func flawOfAlg(alg string) string {
	return history.FlawID(string(event.SetCountUnexpected), "algs", alg)
}

// byTime reports whether conditions of the type end by time or by a rotation, and
// not by what two answers say.
func byTime(t event.Type) bool {
	switch t {
	case event.RotationOverdue, event.KeyOverage, event.SetCountUnexpected:
		return true
	}
	return false
}

// rotationPassing tells what came due and closes what is over.
func (s *step) rotationPassing(x *answer) {
	if s.m.Pending != nil || x.empty() {
		return // soon decided, and then judged
	}
	s.refresh(x)
	d, holds := s.due(x)
	var over []*history.Condition
	for _, cond := range s.m.Conditions {
		if t := event.Type(cond.Type); byTime(t) && !slices.ContainsFunc(cond.Flaws, func(id string) bool { return holds[id] }) {
			over = append(over, cond)
		}
	}
	c := s.newCase(x)
	c.aside, c.due, c.Seen = true, d, seen(x, nil)
	s.closeAll(c, over)
	if d != nil || len(over) > 0 {
		s.judge(c)
	}
}

// due is what is news, nil for nothing, and the flaws that hold.
func (s *step) due(x *answer) (news *arrears, holds map[string]bool) {
	d := arrears{}
	holds = map[string]bool{}
	is := func(id string) bool {
		holds[id] = true
		if s.isOpen(id) {
			return false
		}
		news = &d
		return true
	}
	if at, r := s.overdueAt(); !at.IsZero() && x.at.After(at) {
		if id := history.FlawID(string(event.RotationOverdue)); !s.settled() {
			holds[id] = s.isOpen(id) // no verdict: it neither opens nor closes
		} else if is(id) {
			d.overdue = &r
		}
	}
	seen := map[jwks.Identity]bool{}
	for i := range x.set.Keys {
		a, old := s.aged(&x.set.Keys[i], x.at)
		if old && !seen[a.key.ID] && is(a.flaw()) {
			d.aged = append(d.aged, a)
		}
		seen[a.key.ID] = seen[a.key.ID] || old
	}
	s.counted(x, &d, is)
	return news, holds
}

// settled reports whether verdicts on time may be given.
func (s *step) settled() bool {
	return !s.p.Degraded && !s.unstable() && s.open(event.EndpointUnreachable) == nil
}

// overdueAt is when the next rotation is overdue; zero for never.
func (s *step) overdueAt() (time.Time, rhythm) {
	r, ok := rhythmOf(s.m, &s.p, s.o.At)
	if !ok {
		return time.Time{}, r
	}
	late := max(r.every/2, r.within)
	if r.declared {
		late = r.within
	}
	last := s.m.Rotation.Since
	if n := len(s.m.Rotation.Turns); n > 0 {
		last = s.m.Rotation.Turns[n-1].At
	}
	return last.Add(r.every + late), r
}

// aged holds a key against the measures of age, the declared one first.
func (s *step) aged(k *jwks.Key, now time.Time) (aged, bool) {
	a := aged{key: *k, exp: k.Expires()}
	if k.ID.Kind == jwks.Secret {
		return a, false
	}
	if sight := s.m.Sightings[k.ID]; sight != nil {
		a.age = now.Sub(sight.FirstSeen)
	}
	for _, m := range [...]struct {
		code string
		at   time.Time
	}{
		{"max_key_age", s.tooOldAt(k, s.p.Expect.MaxKeyAge)},
		{"past_exp", pastExpAt(k)},
		{"outlives", s.outlivesAt(k)},
	} {
		if !m.at.IsZero() && now.After(m.at) {
			a.code = m.code
			return a, true
		}
	}
	return a, false
}

// tooOldAt is when the key surely has the age; zero for never.
func (s *step) tooOldAt(k *jwks.Key, age time.Duration) time.Time {
	if sight := s.m.Sightings[k.ID]; sight != nil && age > 0 {
		return sight.FirstSeen.Add(age)
	}
	return time.Time{}
}

func pastExpAt(k *jwks.Key) time.Time {
	if exp := k.Expires(); !exp.IsZero() {
		return exp.Add(pastExp)
	}
	return time.Time{}
}

func (s *step) outlivesAt(k *jwks.Key) time.Time {
	lives := s.m.Habit.Lives
	if len(lives) < leastLives || k.Class() != jwks.ClassSignature || s.o.At.Sub(s.m.Rotation.Since) < learnFor {
		return time.Time{}
	}
	return s.tooOldAt(k, max(outlives*slices.Max(lives), history.Established))
}

// counted holds the number and the algorithms of signing keys against what is
// declared. Another number must stand for a while: within a rotation it may.
func (s *step) counted(x *answer, d *arrears, is func(string) bool) {
	var algs []string
	for i := range x.set.Keys {
		k := &x.set.Keys[i]
		if k.Class() != jwks.ClassSignature || k.Alg == "" || len(s.p.Expect.Algs) == 0 || slices.Contains(s.p.Expect.Algs, k.Alg) {
			continue
		}
		algs = append(algs, k.Alg)
	}
	slices.Sort(algs)
	algs = slices.Compact(algs)
	for _, alg := range algs[:min(len(algs), maxAlgs)] {
		if is(flawOfAlg(alg)) {
			d.algs = append(d.algs, alg)
		}
	}
	d.count = diff.SigningKeys(s.m.Live)
	since := &s.m.Rotation.Outside
	switch e := s.p.Expect; {
	case e.KeysMax == 0 || d.count >= e.KeysMin && d.count <= e.KeysMax:
		if !since.IsZero() {
			*since, s.out.Store = time.Time{}, true
		}
		return
	case since.IsZero():
		*since, s.out.Store = x.at, true
	}
	if id := history.FlawID(string(event.SetCountUnexpected), "keys"); s.isOpen(id) || !x.at.Before(since.Add(s.settling())) {
		d.outside = is(id)
	}
}

// rotationReview is when an answer that shows nothing new must be judged.
func (s *step) rotationReview() time.Time {
	if s.m.Baseline.IsZero() {
		return time.Time{}
	}
	var next time.Time
	at := func(t time.Time) {
		if !t.IsZero() && !t.Before(s.o.At) && (next.IsZero() || t.Before(next)) {
			next = t
		}
	}
	overdue, _ := s.overdueAt()
	at(overdue)
	for i := range s.m.Live {
		k := &s.m.Live[i]
		at(s.tooOldAt(k, s.p.Expect.MaxKeyAge))
		at(pastExpAt(k))
		at(s.outlivesAt(k))
	}
	if out := s.m.Rotation.Outside; !out.IsZero() {
		at(out.Add(s.settling()))
	}
	return next
}
