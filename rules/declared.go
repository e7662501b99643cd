package rules

import (
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// approvable reports whether an approval by thumbprint may lower findings of the
// type. Exchanged, private and weak keys are never a plan.
func approvable(t event.Type) bool {
	switch t {
	case event.KeyAdded, event.KeyRemoved, event.KeyRelabelled, event.KeyReappeared, event.SetReplaced,
		event.RotationOffCadence, event.RotationRemovedEarly:
		return true
	}
	return false
}

// covers reports whether the approval is for the key, at the time: it pins the
// kid, alg and use that it names.
func (a *Approval) covers(k *jwks.Key, at time.Time) bool {
	return k.ID.Kind == jwks.Thumbprint && k.ID.String() == a.Thumbprint && !at.Before(a.From) && at.Before(a.Until) && a.fits(k)
}

// fits reports whether the key has the kid, alg and use that the approval names.
func (a *Approval) fits(k *jwks.Key) bool {
	return (a.Kid == "" || a.Kid == k.Kid) && (a.Alg == "" || a.Alg == k.Alg) && (a.Use == "" || a.Use == k.Use)
}

// approval finds the one that covers the key of the case in each of its entries. What
// stood before as it is needs none. A key whose approval says "for encryption, under
// this kid" must not bring an entry of another kind along.
func (c *Case) approval(k *jwks.Key, at time.Time) *Approval {
	for i := range c.Policy.Approvals {
		a := &c.Policy.Approvals[i]
		if a.covers(k, at) && !slices.ContainsFunc(c.Keys, func(e jwks.Key) bool { return e.ID == k.ID && !a.fits(&e) && !c.stood(&e) }) {
			return a
		}
	}
	return nil
}

// stood reports whether the entry stood before, with the labels that approvals name.
func (c *Case) stood(e *jwks.Key) bool {
	return c.Before != nil && slices.ContainsFunc(c.Before.Live, func(k jwks.Key) bool {
		return k.ID == e.ID && k.Kid == e.Kid && k.Alg == e.Alg && k.Use == e.Use
	})
}

// declared holds findings against what was announced. It is the last word on
// their severity but for the operator's own rules.
func declared(c *Case, list []Finding) {
	for i := range list {
		f := &list[i]
		if f.Closing || !approvable(f.Type) {
			continue
		}
		if a := c.announced(f); a != nil {
			f.expected(a)
		}
	}
}

// announced is the approval of what the finding is about; of a finding about
// several keys each must have one.
func (c *Case) announced(f *Finding) *Approval {
	var keys []*jwks.Key
	switch {
	case f.Type == event.SetReplaced, f.Type == event.RotationOffCadence:
		for i := range c.Changes {
			if ch := &c.Changes[i]; ch.Kind == diff.Added && ch.Material.In(jwks.ClassSignature) {
				keys = append(keys, ch.Material.Key())
			}
		}
	case f.Key != nil:
		keys = append(keys, &f.Key.Key)
	default:
		for i := range f.Keys {
			keys = append(keys, &f.Keys[i].Key)
		}
	}
	var found *Approval
	for _, k := range keys {
		a := c.approval(k, f.At)
		if a == nil {
			return nil
		}
		found = a
	}
	return found
}

// expected lowers the finding to what was announced.
func (f *Finding) expected(a *Approval) {
	f.Verdict = event.Expected
	f.because("approved")
	if f.Severity == event.SeverityInformational {
		return
	}
	f.Severity = event.SeverityInformational
	f.Adjusted = append(f.Adjusted, event.Adjustment{
		Rule: f.Rule.ID, Kind: "approval", To: f.Severity, Reason: event.Text(a.Reason), By: event.TextOrNil(a.By), Expires: event.AtOrNil(a.Until),
	})
}

// approvedChange tells of each change that was announced.
func approvedChange(c *Case) []Finding {
	var out []Finding
	for i := range c.Changes {
		ch := &c.Changes[i]
		what, verb := event.KeyAdded, "came"
		switch ch.Kind {
		case diff.Added:
		case diff.Removed:
			what, verb = event.KeyRemoved, "went"
		case diff.Relabelled:
			what, verb = event.KeyRelabelled, "has another kid"
		default:
			continue
		}
		a := c.approval(ch.Material.Key(), ch.or(c.When).At)
		if a == nil {
			continue
		}
		f := Finding{
			When: ch.or(c.When), Confirmed: ch.Seen.Agreed > 1,
			Details: &event.RotationApprovedChangeDetails{
				Approval: a.ID, Change: string(what), By: event.Text(a.By), Reason: event.Text(a.Reason), Confirmation: ch.Seen,
			},
		}
		f.Key = new(c.fact(*ch.Material.Key(), f.When))
		f.Message = c.message(&f, "announced key", verb, "as approved")
		out = append(out, f)
	}
	return out
}

func rotationMissed(c *Case) []Finding {
	var out []Finding
	for _, a := range c.missed {
		f := Finding{Details: &event.RotationMissedDetails{
			Code: "approval", Approval: new(a.ID), Thumbprint: event.TextOrNil(a.Thumbprint), Until: event.AtOrNil(a.Until),
		}}
		f.Message = c.message(&f, "", "an announced change did not come until "+clock(a.Until), "ask who announced it, and whether it was they")
		out = append(out, f)
	}
	for _, w := range c.unused {
		f := Finding{Details: &event.RotationMissedDetails{Code: "window", Until: event.AtOrNil(w.Until)}}
		f.Message = c.message(&f, "", "nothing changed in the change window "+w.Name+", which is over", "ask whether the rotation was called off")
		out = append(out, f)
	}
	return out
}

// declaredPassing remembers which announced changes came, and tells of those that
// did not.
func (s *step) declaredPassing(x *answer) {
	var missed []Approval
	list := slices.DeleteFunc(slices.Clone(s.m.Approved), func(a history.Approved) bool {
		return !slices.ContainsFunc(s.p.Approvals, func(p Approval) bool { return p.ID == a.ID }) // revoked
	})
	for _, p := range s.p.Approvals {
		if p.Accepted {
			continue
		}
		i := slices.IndexFunc(list, func(a history.Approved) bool { return a.ID == p.ID })
		active := !s.o.At.Before(p.From) && s.o.At.Before(p.Until)
		if i < 0 {
			// One that was over before anybody knew of it says nothing.
			if active && len(list) < history.MaxApproved {
				list = append(list, history.Approved{ID: p.ID, Until: p.Until})
				i = len(list) - 1
			} else {
				continue
			}
		}
		a := &list[i]
		a.Until = p.Until
		if active && !a.Used && (s.came(&p) || s.told(p.ID)) {
			a.Used = true
		}
		if !s.o.At.Before(p.Until) && !a.Used && !a.Told {
			a.Told = true
			missed = append(missed, p)
		}
	}
	if len(list) == 0 {
		list = nil
	}
	if !slices.Equal(list, s.m.Approved) {
		s.m.Approved, s.out.Store = list, true
	}
	if len(missed) > 0 {
		c := s.passingCase(x)
		c.missed = missed
		s.judge(c)
	}
}

// told reports whether this step told that the announced change came: what of it
// is another kid stands in no sighting.
func (s *step) told(approval string) bool {
	return slices.ContainsFunc(s.out.Findings, func(f Finding) bool {
		d, ok := f.Details.(*event.RotationApprovedChangeDetails)
		return ok && d.Approval == approval
	})
}

// came reports whether the key of the approval came or went at the endpoint in
// its time. With another kid, alg or use than it names it is another key.
func (s *step) came(a *Approval) bool {
	for id, sight := range s.m.Sightings {
		if id.Kind == jwks.Thumbprint && id.String() == a.Thumbprint && a.fits(&sight.Key) {
			changed := sight.FirstSeen
			if !sight.Live() {
				changed = sight.GoneBy
			}
			return !changed.Before(a.From) && !sight.FirstAfter.IsZero() || !sight.Live() && !sight.GoneBy.Before(a.From)
		}
	}
	return false
}

// declaredReview is when an announced change will be missed.
func (s *step) declaredReview() time.Time {
	var next time.Time
	for _, a := range s.m.Approved {
		if !a.Used && !a.Told && (next.IsZero() || a.Until.Before(next)) {
			next = a.Until
		}
	}
	return next
}
