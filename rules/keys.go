package rules

import (
	"encoding/hex"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// each makes a finding of every change of the kind. of fills in what differs
// from rule to rule.
func each(c *Case, kind diff.Kind, of func(Change, *Finding)) []Finding {
	var out []Finding
	for _, ch := range c.Changes {
		if ch.Kind != kind {
			continue
		}
		f := Finding{Confirmed: ch.Seen.Agreed > 1, When: ch.or(c.When)}
		f.Key = new(c.fact(*ch.Material.Key(), f.When))
		of(ch, &f)
		out = append(out, f)
	}
	return out
}

// fact adds to a key what is remembered of it.
func (c *Case) fact(k jwks.Key, w When) KeyFact {
	f := KeyFact{Key: k}
	s, ok := c.sighting(k.ID)
	switch {
	case !ok && c.Baseline == "":
		f.FirstSeen, f.LastSeen = w.At, w.At
	case !ok:
		f.LastSeen = c.At // of a baseline: its age is unknown
	default:
		if !s.FirstAfter.IsZero() {
			f.FirstSeen = s.FirstSeen
		}
		f.LastSeen = s.LastSeen
		if s.Live() {
			f.LastSeen = w.After
		}
	}
	return f
}

// present notes that the answer shows the key.
func (f *Finding) present() {
	if !f.At.IsZero() {
		f.Key.LastSeen = f.At
	}
}

func keyAdded(c *Case) []Finding {
	w := c.why()
	o := c.opening()
	inWindow := o != nil && c.Before != nil && !c.uncertain() && !c.usedUp(o)
	return each(c, diff.Added, func(ch Change, f *Finding) {
		f.Details = &event.KeyAddedDetails{Class: class(ch.Material), Confirmation: ch.Seen}
		effect := c.announcement(&f.Key.Key, f.At, inWindow)
		if ch.Material.In(jwks.ClassSignature) {
			effect += "; it can sign"
		}
		if f.Reasons = w.of(ch.Material); len(f.Reasons) > 0 {
			f.Severity, f.Verdict = severityOf(f.Reasons, ch.Material), event.Unexpected
			effect = inWords(f.Reasons) + "; it can sign"
		}
		f.Message = c.message(f, noun(ch.Material), "added", effect)
	})
}

func keyRemoved(c *Case) []Finding {
	return each(c, diff.Removed, func(ch Change, f *Finding) {
		details := &event.KeyRemovedDetails{Class: class(ch.Material), Confirmation: ch.Seen}
		effect := "caches may still trust it"
		if !f.After.IsZero() && c.MaxAge > 0 {
			until := f.After.Add(c.MaxAge)
			details.TrustedUntil = new(event.At(until))
			effect = "caches may trust it until " + until.UTC().Format("2006-01-02 15:04 UTC")
		}
		f.Details = details
		f.Message = c.message(f, noun(ch.Material), "removed", effect)
	})
}

func keyMutated(c *Case) []Finding {
	return each(c, diff.Mutated, func(ch Change, f *Finding) {
		f.Previous = c.previous(ch, f.When)
		f.Key.Key = labelled(ch)
		f.present()
		f.Details = &event.KeyMutatedDetails{Class: class(ch.Material), Codes: ch.Codes, Confirmation: ch.Seen}
		f.Change = material(f)
		f.Message = c.message(f, "kid", "now names another "+noun(ch.Material), "tokens of the old key fail, the new one can sign")
	})
}

// kidReusedLately is the time within which reuse of a kid is a replay of trust
// that caches and logs may still hold.
const kidReusedLately = 30 * 24 * time.Hour

func keyKidReused(c *Case) []Finding {
	return each(c, diff.KidReused, func(ch Change, f *Finding) {
		f.Previous = c.previous(ch, f.When)
		f.Key.Key = labelled(ch)
		f.present()
		gone := f.At.Sub(c.Before.Bindings[ch.Kid].Gone)
		if gone <= kidReusedLately || ch.Codes[0] == diff.CodeRebound {
			f.Severity = event.SeverityCritical
		}
		f.Details = &event.KeyKidReusedDetails{AbsentS: int64(gone / time.Second), Codes: ch.Codes, Confirmation: ch.Seen}
		f.Change = material(f)
		f.Message = c.message(f, "retired kid", "returned with other material", "who trusts it by name now trusts another key")
	})
}

func keyRelabelled(c *Case) []Finding {
	news := *c
	news.Changes = slices.DeleteFunc(slices.Clone(c.Changes), func(ch Change) bool { return c.labelsKnown(ch.Change) })
	return each(&news, diff.Relabelled, func(ch Change, f *Finding) {
		c.was(ch, f)
		kids := ch.Fields[0]
		f.Details = &event.KeyRelabelledDetails{KidsBefore: text(kids.Before), KidsAfter: text(kids.After), Confirmation: ch.Seen}
		f.Change = fields(ch.Fields)
		effect := "tokens that name a kid no longer there fail"
		if becomesSigning(ch.Change) { // by an entry with a use of its own, under a kid of its own
			f.Severity, f.Verdict, f.Reasons, effect = event.SeverityHigh, event.Unexpected, []string{becameSigning}, meaning(becameSigning)
		}
		f.Message = c.message(f, noun(ch.Material), "has other kids than before, its material is the same", effect)
	})
}

func keyAltered(c *Case) []Finding {
	return each(c, diff.Altered, func(ch Change, f *Finding) {
		c.was(ch, f)
		effect := ""
		if to, why := c.altered(ch.Change); to > event.SeverityLow {
			f.Severity, f.Verdict, f.Reasons, effect = to, event.Unexpected, []string{why}, meaning(why)
		}
		f.Details = &event.KeyAlteredDetails{Confirmation: ch.Seen}
		f.Change = fields(ch.Fields)
		f.Message = c.message(f, names(ch.Fields)+" of "+noun(ch.Material), "changed, its material is the same", effect)
	})
}

func keyReencoded(c *Case) []Finding {
	return each(c, diff.Reencoded, func(ch Change, f *Finding) {
		c.was(ch, f)
		f.Details = &event.KeyReencodedDetails{
			EncodingBefore: orEmpty(ch.Was.Key().Encoding), EncodingAfter: orEmpty(ch.Material.Key().Encoding), Confirmation: ch.Seen,
		}
		f.Message = c.message(f, noun(ch.Material), "is written in another way, its number is the same", "strict verifiers may refuse it")
	})
}

// was fills in the key as it stood before.
func (c *Case) was(ch Change, f *Finding) {
	f.Previous = new(c.fact(*ch.Was.Key(), f.When))
	f.present()
}

// previous is the key that the change took the place of.
func (c *Case) previous(ch Change, w When) *KeyFact {
	if c.Before != nil {
		if s, ok := c.sighting(*ch.Previous); ok {
			return new(c.fact(s.Key, w))
		}
		for _, k := range c.Before.Live {
			if k.ID == *ch.Previous {
				return new(c.fact(k, w))
			}
		}
	}
	if c.old == nil { // what is remembered holds all of a live set: only two files come here
		c.old = make(map[jwks.Identity]*jwks.Key, len(c.Old))
		for i := range slices.Backward(c.Old) {
			c.old[c.Old[i].ID] = &c.Old[i]
		}
	}
	if k := c.old[*ch.Previous]; k != nil {
		return &KeyFact{Key: *k}
	}
	return &KeyFact{Key: jwks.Key{ID: *ch.Previous, Kid: ch.Kid}}
}

// labelled is the entry of the material that bears the kid in question.
func labelled(ch Change) jwks.Key {
	for _, k := range ch.Material.Entries {
		if k.Kid == ch.Kid {
			return k
		}
	}
	return *ch.Material.Key()
}

// material tells an exchange by the thumbprints before and after.
func material(f *Finding) event.Change {
	before, after := map[string]any{}, map[string]any{}
	before["thumbprint"], after["thumbprint"] = nil, nil
	if f.Previous != nil {
		if t := identified(f.Previous.Key.ID); t != nil {
			before["thumbprint"] = *t
		}
	}
	if t := identified(f.Key.Key.ID); t != nil {
		after["thumbprint"] = *t
	}
	return event.Change{Fields: []string{"thumbprint"}, Before: before, After: after}
}

// fields tells altered members with their values; null is an absent member.
func fields(list []diff.Field) event.Change {
	ch := event.Change{Fields: []string{}, Before: map[string]any{}, After: map[string]any{}}
	for _, f := range list {
		ch.Fields = append(ch.Fields, f.Name)
		ch.Before[f.Name], ch.After[f.Name] = value(f.Name, f.Before), value(f.Name, f.After)
	}
	return ch
}

func value(name string, list []string) any {
	switch {
	case len(list) == 0:
		return nil
	case len(list) == 1 && name != "key_ops":
		return event.Text(list[0])
	}
	return capped(text(list))
}

func certificate(m diff.Material) *string {
	if certs := m.Certs(); len(certs) > 0 {
		return new("sha256:" + hex.EncodeToString(certs[0][:]))
	}
	return nil
}
