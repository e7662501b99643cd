package rules

import (
	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

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

// renamed says which names differ in the first certificate of x5c from the one that
// was checked before. Where that is not known, nothing does.
func (c *Case) renamed(ch Change) (reasons []string) {
	if c.Before == nil || c.Before.Sightings[ch.ID] == nil {
		return nil
	}
	h := c.Before.Sightings[ch.ID].Health
	if h == nil || h.Cert == ([32]byte{}) || h.Cert != ch.Was.Key().Cert {
		return nil
	}
	now, ok := c.certified(ch)
	if !ok {
		return nil
	}
	if i := shortSum(now.Issuer); h.Issuer != ([8]byte{}) && i != ([8]byte{}) && i != h.Issuer {
		reasons = append(reasons, "issuer_changed")
	}
	if s := shortSum(now.Subject); h.Subject != ([8]byte{}) && s != ([8]byte{}) && s != h.Subject {
		reasons = append(reasons, "subject_changed")
	}
	return reasons
}

// certified is the certificate that came, from the first answer that shows it.
func (c *Case) certified(ch Change) (keyhealth.Certificate, bool) {
	is := func(k *jwks.Key) bool { return k.ID == ch.ID && k.Cert == ch.Material.Key().Cert }
	for _, a := range c.looks {
		if !a.valid() {
			continue
		}
		for i := range a.set.Keys {
			if !is(&a.set.Keys[i]) {
				continue
			}
			if p, ok := a.set.Public(i); ok {
				return keyhealth.CheckCertificate(p)
			}
		}
	}
	return keyhealth.Certificate{}, false
}
