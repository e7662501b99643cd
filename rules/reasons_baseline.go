package rules

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// unverified are the signing keys of a first sight that neither a declaration nor
// an approval covers. An endpoint that is poisoned before it is watched looks like
// any other.
func (c *Case) unverified() []KeyFact {
	var out []KeyFact
	for _, m := range diff.Group(c.Keys) {
		if m.In(jwks.ClassSignature) && !c.covered(m) {
			out = append(out, c.fact(*m.Key(), c.When))
		}
	}
	return out
}

// covered reports whether the key was named before it was seen.
func (c *Case) covered(m diff.Material) bool {
	t := identified(m.ID)
	if t == nil {
		return false
	}
	if slices.Contains(c.Policy.Expect.Thumbprints, *t) {
		return true
	}
	return slices.ContainsFunc(c.Policy.Approvals, func(a Approval) bool {
		return a.Thumbprint == *t && !c.At.Before(a.From) && c.At.Before(a.Until) &&
			!slices.ContainsFunc(m.Entries, func(k jwks.Key) bool {
				return a.Kid != "" && a.Kid != k.Kid || a.Alg != "" && a.Alg != k.Alg || a.Use != "" && a.Use != k.Use
			})
	})
}
