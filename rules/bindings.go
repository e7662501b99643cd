package rules

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// becameSigning is the reason of a key that is known, but not for signatures.
const becameSigning = "became_signing_key"

// becomesSigning reports whether a key that stood before only now can verify
// signatures.
func becomesSigning(ch diff.Change) bool {
	return ch.Was != nil && ch.Material.In(jwks.ClassSignature) && !ch.Was.In(jwks.ClassSignature)
}

// altered judges other members of a key whose material is the same, and says why
// it is more than a note.
func (c *Case) altered(ch diff.Change) (to event.Severity, why string) {
	to = event.SeverityLow
	raise := func(s event.Severity, reason string) {
		if s > to {
			to, why = s, reason
		}
	}
	signs := ch.Material.In(jwks.ClassSignature)
	if becomesSigning(ch) {
		raise(event.SeverityHigh, becameSigning)
	}
	for _, m := range ch.Fields {
		switch m.Name {
		case "alg", "use", "issuer", "x5u":
			if m.Replaced() {
				raise(event.SeverityHigh, m.Name+"_replaced")
			}
			if m.Name == "alg" && len(m.After) == 0 && signs && c.allHadAlg() && !c.seenBefore() {
				raise(event.SeverityMedium, "alg_gone")
			}
		case "key_ops":
			if slices.Contains(m.After, "sign") && !slices.Contains(m.Before, "sign") {
				raise(event.SeverityMedium, "gained_sign")
			}
		}
	}
	return to, why
}

// meaning says what follows from a reason for which an alteration matters.
func meaning(why string) string {
	switch why {
	case becameSigning:
		return "it did not verify signatures before, now it does"
	case "use_replaced":
		return "it serves another purpose now"
	case "alg_replaced":
		return "tokens of another algorithm now verify with it"
	case "issuer_replaced":
		return "tokens of another issuer may now verify with it"
	case "x5u_replaced":
		return "who holds that place names its certificate"
	case "alg_gone":
		return "every key here had one; now a token chooses"
	case "gained_sign":
		return "a public key cannot sign"
	}
	return ""
}

// allHadAlg reports whether each signing key of the last set named its algorithm.
func (c *Case) allHadAlg() bool {
	if c.Before == nil {
		return false
	}
	return !slices.ContainsFunc(c.Before.Live, func(k jwks.Key) bool { return k.Class() == jwks.ClassSignature && k.Alg == "" })
}

// labelsKnown reports whether a key only took on labels that it bore before, or
// lost some as it had before: servers that label it differently take turns.
func (c *Case) labelsKnown(ch diff.Change) bool {
	if ch.Kind != diff.Relabelled || c.Before == nil {
		return false
	}
	gained, _ := diff.Pair{Old: *ch.Was, New: ch.Material}.Labels()
	for _, kid := range gained {
		if b := c.Before.Bindings[kid]; b == nil || !slices.Contains(b.IDs, ch.ID) {
			return false
		}
	}
	return len(gained) > 0 || c.seenBefore()
}

// seenBefore reports whether the newest answer of the case is a set that was here
// before: servers whose documents differ take turns.
func (c *Case) seenBefore() bool {
	if len(c.looks) == 0 || c.Before == nil {
		return false
	}
	sum := c.looks[len(c.looks)-1].set.Digest
	for i := range c.Before.Digests {
		if c.Before.Digests[i].Sum == sum {
			return true
		}
	}
	return false
}
