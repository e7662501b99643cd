package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// The reasons for which an added key is more than the next one of a rotation.
const (
	newProfile    = "new_profile"    // of a kind, size or alg that no signing key here had
	weakerProfile = "weaker_profile" // a shorter RSA key than any before, or the first without alg
	rider         = "rider"          // one of more new keys than any step brought before
	dormant       = "dormant"        // after a long time without any change
	offCadence    = "off_cadence"    // out of the rhythm
)

const (
	// dormantFor is the shortest time without a change after which one is news,
	// and dormantBy how much longer than any before it must be.
	dormantFor = 90 * day
	dormantBy  = 1.5
	// fewKeys in one step are judged one by one; of more only their number says
	// anything, once manySteps are known.
	fewKeys   = 8
	manySteps = 4
	// uncertainAfter intervals between two looks nobody can say what came together.
	uncertainAfter = 3
)

// why are the reasons that hold for all keys of a step, and what is known to hold
// one key against.
type why struct {
	step    []string
	profile []history.Profile // nil: says nothing
	noAlg   bool              // a key without alg is news
	rsa     int               // bits of the shortest RSA key before; 0 for none
}

// why judges the additions of a case.
func (c *Case) why() why {
	var w why
	if c.Before == nil || c.Before.Baseline.IsZero() || c.Baseline != "" {
		return w
	}
	n, r := c.come(), &c.Before.Rotation
	if n > 0 && c.Replaced == nil && n <= fewKeys && c.offbeat() != nil {
		w.step = append(w.step, offCadence)
	}
	if c.At.Sub(r.Since) < learnFor {
		return w
	}
	if c.rides(n) {
		w.step = append(w.step, rider)
	}
	if n > fewKeys {
		return w
	}
	if quiet := c.After.Sub(r.Stirred); n > 0 && quiet >= max(dormantFor, time.Duration(dormantBy*float64(r.Quiet))) {
		w.step = append(w.step, dormant)
	}
	w.profile, w.noAlg = r.Profile, len(r.Profile) > 0
	for _, p := range r.Profile {
		w.noAlg = w.noAlg && p.Alg != ""
		if p.Kty == "RSA" && (w.rsa == 0 || p.Bits < w.rsa) {
			w.rsa = p.Bits
		}
	}
	return w
}

// come counts the signing keys that were never seen before.
func (c *Case) come() int {
	n := 0
	for _, ch := range c.Changes {
		if ch.Kind == diff.Added && ch.Material.In(jwks.ClassSignature) {
			n++
		}
	}
	return n
}

// rides reports whether a step brought more signing keys than any before it: one
// of them may ride on a rotation. After a gap several rotations look like one.
func (c *Case) rides(n int) bool {
	steps := c.Before.Rotation.Steps
	if len(steps) == 0 || n > fewKeys && len(steps) < manySteps {
		return false
	}
	return n >= 2 && n > slices.Max(steps) && c.Replaced == nil && !c.uncertain()
}

// uncertain reports whether so much time lies between the looks that several
// changes may have become one.
func (c *Case) uncertain() bool { return c.At.Sub(c.After) > uncertainAfter*c.Policy.Interval }

// of are the reasons for one key.
func (w *why) of(m diff.Material) []string {
	if !m.In(jwks.ClassSignature) {
		return nil
	}
	out := slices.Clone(w.step)
	novel, weaker := false, false
	for i := range m.Entries {
		p, ok := history.ProfileOf(&m.Entries[i])
		if !ok || len(w.profile) == 0 || m.Entries[i].Class() != jwks.ClassSignature {
			continue
		}
		novel = novel || !slices.Contains(w.profile, p)
		weaker = weaker || p.Kty == "RSA" && p.Bits < w.rsa || p.Alg == "" && w.noAlg
	}
	if novel {
		out = append(out, newProfile)
	}
	if weaker {
		out = append(out, weakerProfile)
	}
	slices.Sort(out)
	return out
}

// severityOf is that of an added key with these reasons; 0 for that of the rule.
func severityOf(reasons []string, m diff.Material) event.Severity {
	if slices.Contains(reasons, weakerProfile) {
		return event.SeverityHigh
	}
	n := len(reasons)
	if m.Key().Kty == "AKP" && slices.Contains(reasons, newProfile) && n == 2 {
		n = 1 // everybody's first key of the new kind is new
	}
	switch {
	case n > 1:
		return event.SeverityHigh
	case n == 1:
		return event.SeverityMedium
	}
	return 0
}

// reasoned reports whether an addition has a reason of its own.
func reasoned(f *Finding) bool {
	return slices.ContainsFunc(f.Reasons, func(r string) bool {
		switch r {
		case newProfile, weakerProfile, rider, dormant, offCadence:
			return true
		}
		return false
	})
}

// inWords says reasons in words; what exactly was learned stays unsaid.
func inWords(reasons []string) string {
	var out []string
	for _, r := range reasons {
		switch r {
		case newProfile:
			out = append(out, "its kind is new here")
		case weakerProfile:
			out = append(out, "it is weaker than any before")
		case rider:
			out = append(out, "more keys came at once than ever")
		case dormant:
			out = append(out, "nothing had changed for long")
		case offCadence:
			out = append(out, "out of the rhythm")
		}
	}
	return strings.Join(out, ", ")
}

// takesTurns reports whether answers of the endpoint alternate: then what came and
// went says nothing of its keys.
func (c *Case) takesTurns() bool {
	return c.unstable != nil || c.Before.Stability.Phase == history.Unstable
}

// resurrects reports whether a key came back: the story is that, and not what left.
func (c *Case) resurrects() bool {
	return c.resurrection != nil || slices.ContainsFunc(c.Changes, func(ch Change) bool { return ch.Kind == diff.Reappeared })
}

// offbeat is how far a rotation comes too soon.
type offbeat struct {
	rhythm
	least, most time.Duration // since the last one
	surely      bool
}

// offbeat judges the rotation of a case, nil when it is none or in its rhythm. Late
// is no offence here; what catches up with its schedule is none either.
func (c *Case) offbeat() *offbeat {
	if c.Before == nil || c.Replaced != nil || c.takesTurns() || c.resurrects() || c.come() == 0 {
		return nil
	}
	turns := c.Before.Rotation.Turns
	r, ok := rhythmOf(c.Before, &c.Policy, c.At)
	if !ok || len(turns) == 0 {
		return nil
	}
	last := turns[len(turns)-1]
	o := &offbeat{rhythm: r, least: max(0, c.After.Sub(last.At)), most: c.At.Sub(last.After)}
	if c.At.Sub(last.At) <= sameTurn(turns) || o.most >= r.every-r.within {
		return nil
	}
	if n := len(turns); n > 1 && last.At.Sub(turns[n-2].At) > r.every && (c.At.Sub(turns[n-2].At)-2*r.every).Abs() <= 2*r.within {
		return nil // the last one was late, this one is back in the calendar
	}
	o.surely = r.turns >= surelyTurns && o.most < r.every/2
	return o
}
