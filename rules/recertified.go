package rules

import (
	"slices"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

// maxCertified bounds the certificates of one key that are read: an issuer may
// repeat it without end.
const maxCertified = 8

func keyCertificateChanged(c *Case) []Finding {
	return each(c, diff.Recertified, func(ch Change, f *Finding) {
		c.was(ch, f)
		f.Details = &event.KeyCertificateChangedDetails{
			Before: certificate(*ch.Was), After: certificate(ch.Material), Confirmation: ch.Seen,
		}
		what, effect := "changed, its material did not", ""
		if f.Reasons = c.renamed(ch); len(f.Reasons) > 0 {
			f.Severity, f.Verdict = event.SeverityMedium, event.Unexpected
			what, effect = "is of another issuer or for another subject, its material is the same", "who trusts the certificate and not the key now trusts another name"
		}
		f.Message = c.message(f, "certificate of "+noun(ch.Material), what, effect)
	})
}

// renamed says which names differ in a certificate that came, the first of its x5c,
// from the one that was checked before. Where that is not known, as of a key that
// stood with several, nothing does.
func (c *Case) renamed(ch Change) (reasons []string) {
	if c.Before == nil || c.Before.Sightings[ch.ID] == nil {
		return nil
	}
	was := ch.Was.Certs()
	h := c.Before.Sightings[ch.ID].Health
	if h == nil || len(was) != 1 || h.Cert != was[0] {
		return nil
	}
	differs := func(a, b [8]byte) bool { return a != b && a != [8]byte{} && b != [8]byte{} }
	for _, now := range c.certified(ch, was[0]) {
		if differs(h.Issuer, shortSum(now.Issuer)) {
			reasons = append(reasons, "issuer_changed")
		}
		if differs(h.Subject, shortSum(now.Subject)) {
			reasons = append(reasons, "subject_changed")
		}
	}
	slices.Sort(reasons)
	return slices.Compact(reasons)
}

// certified are the certificates that came, from the first answer that shows any.
func (c *Case) certified(ch Change, was [32]byte) (out []keyhealth.Certificate) {
	for _, a := range c.looks {
		if !a.valid() || len(out) > 0 {
			continue
		}
		is := func(k *jwks.Key) bool { return k.ID == ch.ID && k.Cert != was }
		if !slices.ContainsFunc(a.set.Keys, func(k jwks.Key) bool { return is(&k) }) {
			continue
		}
		for i, p := range a.set.Publics() {
			if !is(&a.set.Keys[i]) {
				continue
			}
			if now, ok := keyhealth.CheckCertificate(p); ok {
				out = append(out, now)
			}
			if len(out) == maxCertified {
				break
			}
		}
	}
	return out
}
