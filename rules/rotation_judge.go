package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

const (
	// leastFloor is the shortest overlap of an old and a new key that every cache
	// and token is granted.
	leastFloor = 24 * time.Hour
	// maxThumbprints bounds lists of keys in details.
	maxThumbprints = 32
)

// floor is the overlap that tokens and caches need, and where that is said.
func (c *Case) floor() (time.Duration, string) {
	e := c.Policy.Expect
	switch need := c.MaxAge + e.TokenLifetime; {
	case e.Overlap > 0:
		return e.Overlap, "declared"
	case need > leastFloor:
		return need, "max_age"
	}
	return leastFloor, "default"
}

// gone are the signing keys that left others behind. When all were exchanged, or
// answers alternate, their going says nothing of a rotation.
func (c *Case) gone() []Change {
	if c.Before == nil || c.Baseline != "" || c.Replaced != nil || c.takesTurns() || c.resurrects() {
		return nil
	}
	var out []Change
	for _, ch := range c.Changes {
		if ch.Kind == diff.Removed && ch.Material.In(jwks.ClassSignature) {
			ch.When = ch.or(c.When)
			out = append(out, ch)
		}
	}
	return out
}

// standing is a signing key that stayed, and when it came.
type standing struct {
	id     jwks.Identity
	kty    string
	lo, hi time.Time // came after, and was there at; lo is zero for a key of unknown age
}

func (c *Case) standing() []standing {
	var out []standing
	for _, m := range diff.Group(c.Keys) {
		if !m.In(jwks.ClassSignature) || m.ID.Kind != jwks.Thumbprint {
			continue
		}
		n := standing{id: m.ID, kty: m.Key().Kty, lo: c.After, hi: c.At}
		if s, ok := c.sighting(m.ID); ok && s.Live() {
			n.lo, n.hi = s.FirstAfter, s.FirstSeen
		}
		out = append(out, n)
	}
	return out
}

// overlap bounds how long the key stood beside one that is gone.
func (k *standing) overlap(gone When) (least, most time.Duration) {
	return max(0, gone.After.Sub(k.hi)), max(0, gone.At.Sub(k.lo))
}

// removedEarly finds keys that went before what verifiers hold of the others can
// be known to them.
func removedEarly(c *Case) []Finding {
	gone := c.gone()
	if len(gone) == 0 {
		return nil
	}
	stay := c.standing()
	if len(stay) == 0 {
		return nil
	}
	var out []Finding
	last := map[string]bool{}
	for _, ch := range gone {
		kty := ch.Material.Key().Kty
		f, ok := c.early(ch, slices.DeleteFunc(slices.Clone(stay), func(s standing) bool { return s.kty != kty }))
		if d, is := f.Details.(*event.RotationRemovedEarlyDetails); !ok || is && d.Code == "last_of_class" && last[kty] {
			continue
		} else if d.Code == "last_of_class" {
			last[kty] = true
		}
		out = append(out, f)
	}
	return out
}

// early judges one key that went by the keys of its kind that stayed.
func (c *Case) early(ch Change, stay []standing) (Finding, bool) {
	floor, by := c.floor()
	d := &event.RotationRemovedEarlyDetails{Floor: by, FloorS: int64(floor / time.Second), TrustedUntil: c.trustedUntil(ch.When), Confirmation: ch.Seen}
	f := Finding{Confirmed: ch.Seen.Agreed > 1, When: ch.When, Details: d}
	f.Key = new(c.fact(*ch.Material.Key(), f.When))
	was, ok := c.sighting(ch.ID)
	if !ok || ch.ID.Kind != jwks.Thumbprint {
		return f, false
	}
	if len(stay) == 0 {
		if !was.FirstAfter.IsZero() && ch.At.Sub(was.FirstAfter) < floor {
			return f, false // nobody came to rely on it
		}
		d.Code, f.Severity, f.Reasons = "last_of_class", event.SeverityMedium, []string{"last_of_class"}
		f.Message = c.message(&f, "last signing key of its kind", "removed", "who verifies with that kind only has no key left")
		return f, true
	}
	if 2*c.Policy.Interval > floor {
		return f, false // polls are too far apart to tell
	}
	var least, most time.Duration
	best := stay[0]
	for _, s := range stay {
		if s.lo.IsZero() || !s.hi.After(was.FirstSeen) {
			return f, false // never young; or who ever fetched the one has the other
		}
		l, m := s.overlap(ch.When)
		if m > most {
			best = s
		}
		least, most = max(least, l), max(most, m)
	}
	d.Survivor, d.OverlapMinS, d.OverlapMaxS = identified(best.id), new(int64(least/time.Second)), new(int64(most/time.Second))
	switch {
	case most < floor-max(floor/10, 2*c.Policy.Interval):
		d.Code = "early"
		f.Message = c.message(&f, "signing key", "removed", fmt.Sprintf("no other stood beside it for over %s, caches and tokens need %s", span(most), span(floor)))
	case least < floor:
		d.Code, f.Severity, f.Verdict = "perhaps_early", event.SeverityInformational, event.Informational
		f.Message = c.message(&f, "signing key", "removed", fmt.Sprintf("another surely stood beside it for %s only, caches and tokens need %s", span(least), span(floor)))
	default:
		return f, false
	}
	f.Reasons = []string{d.Code}
	return f, true
}

// trustedUntil is until when caches may trust what is gone; nil when they were
// told nothing.
func (c *Case) trustedUntil(w When) *event.Time {
	if w.After.IsZero() || c.MaxAge == 0 {
		return nil
	}
	return new(event.At(w.After.Add(c.MaxAge)))
}

// completed finds the end of a rotation: a key is gone whose successors were there
// before.
func completed(c *Case) []Finding {
	d := &event.RotationCompletedDetails{Added: []string{}, Removed: []string{}}
	var f Finding
	var next []standing
	for _, ch := range c.gone() {
		was, ok := c.sighting(ch.ID)
		if !ok || ch.ID.Kind != jwks.Thumbprint {
			continue
		}
		heirs := slices.DeleteFunc(c.standing(), func(s standing) bool {
			return s.lo.IsZero() || !s.hi.After(was.FirstSeen) || s.hi.After(ch.After)
		})
		if len(heirs) == 0 {
			continue
		}
		d.Removed = append(d.Removed, ch.ID.String())
		for _, s := range heirs {
			if !slices.ContainsFunc(next, func(o standing) bool { return o.id == s.id }) {
				next = append(next, s)
			}
			least, most := s.overlap(ch.When)
			if len(d.Removed) == 1 && least >= time.Duration(d.OverlapMinS)*time.Second {
				d.OverlapMinS, d.OverlapMaxS = int64(least/time.Second), int64(most/time.Second)
			}
		}
		if len(d.Removed) == 1 {
			f.When, f.Confirmed = ch.When, ch.Seen.Agreed > 1
			d.Confirmation, d.TrustedUntil = ch.Seen, c.trustedUntil(ch.When)
		}
	}
	if len(d.Removed) == 0 {
		return nil
	}
	for _, s := range next {
		d.Added = append(d.Added, s.id.String())
	}
	if settled := c.Before.Stability.Settled; settled > 0 {
		d.SettlingS = new(int64(settled / time.Second))
	}
	n := len(d.Removed)
	d.Added, d.Removed = d.Added[:min(len(d.Added), maxThumbprints)], d.Removed[:min(n, maxThumbprints)]
	f.Details = d
	f.Message = c.message(&f, "", "rotation done: "+plural(n, "signing key")+" gone, "+plural(len(next), "successor")+" there before",
		"they stood beside each other for "+span(time.Duration(d.OverlapMinS)*time.Second)+" at least")
	return []Finding{f}
}

func rotationOffCadence(c *Case) []Finding {
	o := c.offbeat()
	if o == nil {
		return nil
	}
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Details: &event.RotationOffCadenceDetails{
		Rhythm: o.name(), Rotations: o.turns, GapMinS: int64(o.least / time.Second), GapMaxS: int64(o.most / time.Second),
	}}
	if o.surely {
		f.Severity = event.SeverityHigh
	}
	f.Message = c.message(&f, "", "a new signing key "+span(o.most)+" after the last, out of the "+o.name()+" rhythm", "an emergency, or not the issuer's doing")
	return []Finding{f}
}

func rotationOverdue(c *Case) []Finding {
	if c.due == nil || c.due.overdue == nil {
		return nil
	}
	r, turns := c.due.overdue, c.Before.Rotation.Turns
	d := &event.RotationOverdueDetails{Rhythm: r.name(), Rotations: r.turns, WatchedSince: event.AtOrNil(c.Before.Rotation.Since)}
	since := "since it is watched, " + date(c.Before.Rotation.Since)
	if len(turns) > 0 {
		last := turns[len(turns)-1].At
		d.LastRotation, since = event.AtOrNil(last), "since "+date(last)
	}
	f := Finding{opens: []string{history.FlawID(string(event.RotationOverdue))}, Details: d}
	f.Message = c.message(&f, "", "no new signing key "+since+": overdue by the "+r.name()+" rhythm", "a rotation failed, or nobody does it any more")
	return []Finding{f}
}

func keyOverage(c *Case) []Finding {
	if c.due == nil {
		return nil
	}
	var out []Finding
	for i := range c.due.aged {
		a := &c.due.aged[i]
		f := Finding{
			opens: []string{a.flaw()}, Reasons: []string{a.code},
			Details: &event.KeyOverageDetails{Code: a.code, AgeMinS: int64(a.age / time.Second), Exp: event.AtOrNil(a.exp)},
		}
		f.Key = new(c.fact(a.key, c.When))
		what := "is older than max_key_age: published for " + span(a.age) + " at least"
		switch a.code {
		case "past_exp":
			what = "is published beyond its own exp, " + date(a.exp)
		case "outlives":
			f.Severity = event.SeverityLow
			what = "stands far longer than keys here live: " + span(a.age) + " at least"
		}
		f.Message = c.message(&f, "key", what, "the longer a key is used, the more a theft of it is worth")
		out = append(out, f)
	}
	return out
}

func setCountUnexpected(c *Case) []Finding {
	if c.due == nil {
		return nil
	}
	var out []Finding
	if c.due.outside {
		f := Finding{
			opens: []string{history.FlawID(string(event.SetCountUnexpected), "keys")}, Reasons: []string{"keys"},
			Details: &event.SetCountUnexpectedDetails{Code: "keys", Keys: c.due.count, Algs: []string{}},
		}
		f.Message = c.message(&f, "", plural(c.due.count, "signing key")+" stand, not as many as are declared", "")
		out = append(out, f)
	}
	if len(c.due.algs) > 0 {
		f := Finding{
			Severity: event.SeverityHigh, Reasons: []string{"algs"},
			Details: &event.SetCountUnexpectedDetails{Code: "algs", Keys: c.due.count, Algs: text(c.due.algs)},
		}
		for _, alg := range c.due.algs {
			f.opens = append(f.opens, flawOfAlg(alg))
		}
		f.Message = c.message(&f, "", "a signing key has an alg that is not declared: "+quoted(strings.Join(c.due.algs, " ")), "")
		out = append(out, f)
	}
	return out
}

func date(t time.Time) string { return t.UTC().Format("2006-01-02") }

// span is a time as people say it, two units of it at most.
func span(d time.Duration) string {
	switch {
	case d >= 2*day:
		return fmt.Sprintf("%d d", d/day)
	case d >= 2*time.Hour:
		return fmt.Sprintf("%d h", d/time.Hour)
	case d >= 2*time.Minute:
		return fmt.Sprintf("%d min", d/time.Minute)
	}
	return fmt.Sprintf("%d s", d/time.Second)
}
