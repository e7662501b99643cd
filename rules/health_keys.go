package rules

import (
	"bytes"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/keyhealth"
)

// compromised finds keys whose private half is known to others: of the
// operator's own incidents, of the list that comes with the program, of a list
// that the operator keeps.
func compromised(r *Recalled) []Flaw {
	var out []Flaw
	for k, h := range r.each {
		d := &event.KeyCompromisedDetails{}
		what := "the private half of a key is public"
		if reason, ok := r.Policy.Compromised[k.ID.String()]; ok {
			d.List, d.Source = "operator", limit(event.Text(reason), 200)
			what = "a key that was declared compromised is published"
		} else if source, ok := keyhealth.Published(k.ID); ok {
			d.List, d.Source = "builtin", source
			what = "the private half of a key is public: it is a sample key of " + source
		} else if h != nil && h.List != "" {
			d.List, d.Source = h.List, h.Source
		} else {
			continue
		}
		out = append(out, Flaw{
			ID: history.FlawID(string(event.KeyCompromised), k.ID.String()), Key: k, Details: d,
			What: what + "; whoever has it signs for anyone",
		})
	}
	return out
}

// weakMaterial finds keys that checks of their numbers found weak. Findings of one
// severity are one flaw: a broken number mostly fails several checks.
func weakMaterial(r *Recalled) []Flaw {
	var out []Flaw
	for k, h := range r.each {
		if h == nil {
			continue
		}
		by := map[uint8][]string{}
		for _, w := range h.Weak {
			by[w.Severity] = append(by[w.Severity], w.Code)
		}
		for _, severity := range slices.Backward([]uint8{1, 2, 3, 4, 5}) {
			if codes := by[severity]; len(codes) > 0 {
				out = append(out, weak(k, event.Severity(severity), codes, h.Peer))
			}
		}
	}
	return out
}

func weak(k *jwks.Key, severity event.Severity, codes []string, peer string) Flaw {
	slices.Sort(codes)
	d := &event.KeyWeakDetails{Codes: codes}
	what := "a key is weak (" + strings.Join(codes, ", ") + ")"
	if slices.Contains(codes, keyhealth.RSASharedFactor) {
		d.Peer = new(peer)
		what = "a modulus shares a prime with one of " + peer + ": both private halves follow from it"
	}
	return Flaw{
		ID: history.FlawID(append([]string{string(event.KeyWeak), k.ID.String()}, codes...)...), Key: k, Severity: severity,
		What: what + grave(severity), Details: d,
	}
}

func grave(severity event.Severity) string {
	if severity == event.SeverityCritical {
		return "; treat it as stolen"
	}
	return ""
}

// certificates finds certificates of keys that are none, by what a check of them
// found and by the time of the answer.
func certificates(r *Recalled) []Flaw {
	var out []Flaw
	certs := history.Certified(r.Set.Keys)
	for k, h := range r.each {
		if h == nil || h.Cert != certs[k.ID] {
			continue // another one stands there now: it is not checked yet
		}
		codes := slices.Clone(h.CertCodes)
		switch {
		case !h.NotAfter.IsZero() && r.At.After(h.NotAfter):
			codes = append(codes, "expired")
		case r.At.Before(h.NotBefore):
			codes = append(codes, "not_yet_valid")
		}
		for _, code := range codes {
			f := Flaw{
				ID: history.FlawID(string(event.KeyCertificateInvalid), k.ID.String(), code), Key: k, What: invalidBy(code),
				Details: &event.KeyCertificateInvalidDetails{
					Codes: []string{code}, NotBefore: event.AtOrNil(h.NotBefore), NotAfter: event.AtOrNil(h.NotAfter),
				},
			}
			switch code {
			case keyhealth.KeyMismatch, keyhealth.ThumbprintMismatch:
				f.Severity = event.SeverityHigh
			case keyhealth.ThumbprintEncoding:
				f.Severity = event.SeverityInformational
			}
			out = append(out, f)
		}
	}
	return append(out, foreignX5U(r)...)
}

// invalidBy says what a code means.
func invalidBy(code string) string {
	switch code {
	case keyhealth.KeyMismatch:
		return "x5c is a certificate of another key: who trusts the certificate trusts that one"
	case keyhealth.ThumbprintMismatch:
		return "x5t is of no certificate in x5c, in no known encoding"
	case keyhealth.ThumbprintEncoding:
		return "x5t is written in another way than RFC 7517 wants"
	case keyhealth.WeakSignature:
		return "the certificate of a key is signed with a broken hash"
	case "expired":
		return "the certificate of a key has expired"
	case "not_yet_valid":
		return "the certificate of a key is not valid yet"
	case "foreign_x5u":
		return "x5u of a key leads to a foreign host: whoever holds that host names the certificate"
	}
	return "the certificate of a key is none by RFC 5280"
}

// foreignX5U finds keys whose certificate is to be had from another site than that
// of the endpoint. Nearly no set has an x5u, so that looking for the name first
// saves decoding.
func foreignX5U(r *Recalled) []Flaw {
	if r.Policy.Site == "" || !bytes.Contains(r.Set.Body, []byte("x5u")) {
		return nil
	}
	var out []Flaw
	seen := map[string]bool{}
	for i, p := range r.Set.Publics() {
		k := &r.Set.Keys[i]
		host, ours := "", true
		if u, err := url.Parse(p.X5U); err == nil {
			host = strings.ToLower(u.Hostname())
			ours = host == "" || host == r.Policy.Site || strings.HasSuffix(host, "."+r.Policy.Site)
		}
		id := history.FlawID(string(event.KeyCertificateInvalid), k.ID.String(), "foreign_x5u", host)
		if ours || seen[id] {
			continue
		}
		seen[id] = true
		f := Flaw{
			ID: id, Key: k, What: invalidBy("foreign_x5u"),
			Details: &event.KeyCertificateInvalidDetails{Codes: []string{"foreign_x5u"}},
		}
		if !r.Before.Baseline.IsZero() && r.At.After(r.Before.Baseline) {
			f.ByChange = event.SeverityHigh
		}
		out = append(out, f)
	}
	return out
}

// lately is within what time of its first sight a set that is judged by what was
// found of it later counts as the change that opened the finding.
const lately = 24 * time.Hour

// newSet reports whether the set is the news of the day: not that of the baseline,
// and not one that stood for long before anybody looked.
func (r *Recalled) newSet() bool {
	if r.Before.Baseline.IsZero() {
		return false
	}
	for _, d := range slices.Backward(r.Before.Digests) {
		if d.Sum == r.Set.Digest {
			return d.At.After(r.Before.Baseline) && r.At.Sub(d.At) < lately
		}
	}
	return true
}
