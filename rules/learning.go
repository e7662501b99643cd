package rules

import (
	"bytes"
	"encoding/json"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// leafRefresh is how old the remembered leaf certificate may grow while known
// ones take turns: two servers behind one name must not cost a write a poll.
const leafRefresh = 24 * time.Hour

// ofWay reports whether findings of the type compare the way of an answer with
// what was learned of it. They are told once and are no conditions.
func ofWay(t event.Type) bool {
	switch t {
	case event.DiscoveryMoved, event.DiscoveryWeakened, event.DiscoveryEndpointMoved, event.EndpointCertificateChanged:
		return true
	}
	return false
}

// novel reports whether the way of the answer is news: a claim as any other.
func (s *step) novel(x *answer) bool {
	return s.learns(x) && novel(s.m, s.p, x.facts, x.at)
}

// learns reports whether the way of the answer counts: not before a baseline,
// and not before the baseline of another URL.
func (s *step) learns(x *answer) bool {
	return x != nil && x.facts != nil && !s.m.Baseline.IsZero() && s.m.URL == s.p.URL
}

// learn takes in the way of answers that were judged. That a known value was
// seen once more is no reason to store.
func (s *step) learn(answers ...*answer) {
	for _, x := range answers {
		if !s.learns(x) {
			continue
		}
		was := s.m.Learned
		s.m.Learned = was.Clone()
		learn(s.m, s.p, x.facts, x.at)
		if !sameLearned(was, s.m.Learned, x.at) {
			s.out.Store = true
		}
	}
}

// settle ends a step: what need not be stored is as if it had not been.
func (s *step) settle() {
	if !s.m.Shown.IsZero() && s.m.Pending == nil && s.open(event.SetEmptied) == nil {
		s.m.Shown = time.Time{} // an answer showed keys again
		s.out.Store = true
	}
	if !s.out.Store {
		s.m.Learned = s.was.Learned
		return
	}
	s.m.Bound()
}

// sameLearned reports whether nothing was learned but that known values were
// seen again.
func sameLearned(a, b history.Learned, at time.Time) bool {
	if !sameValues(a.URIs, b.URIs) || !sameValues(a.SPKIs, b.SPKIs) || !sameValues(a.Issuers, b.Issuers) ||
		!sameValues(a.Weak, b.Weak) || !sameValues(a.Places, b.Places) || !sameValues(a.Others, b.Others) ||
		a.Discovered != b.Discovered || !slices.Equal(a.Algs, b.Algs) || a.SignedMetadata != b.SignedMetadata || a.PKCE != b.PKCE {
		return false
	}
	if history.Newest(a.URIs) != history.Newest(b.URIs) {
		return false // after a restart the last one is asked when discovery is away
	}
	if a.LeafSPKI == b.LeafSPKI {
		return a.LeafIssuer == b.LeafIssuer && a.LeafNotBefore.Equal(b.LeafNotBefore) && a.LeafNotAfter.Equal(b.LeafNotAfter)
	}
	i := slices.IndexFunc(a.SPKIs, func(v history.Value) bool { return v.Text == a.LeafSPKI })
	return i >= 0 && at.Sub(a.SPKIs[i].Last) < leafRefresh
}

func sameValues(a, b []history.Value) bool {
	has := func(list []history.Value, text string) bool {
		return slices.ContainsFunc(list, func(v history.Value) bool { return v.Text == text })
	}
	return len(a) == len(b) && !slices.ContainsFunc(b, func(v history.Value) bool { return !has(a, v.Text) })
}

// onWay lets a rule of the way speak on each answer of the case. What two
// answers showed alike is one finding, with the evidence of the first.
func onWay(r *Rule, c *Case) []Finding {
	if c.aside || c.Baseline != "" || c.Before == nil || c.Before.Baseline.IsZero() || c.Before.URL != c.Policy.URL {
		return nil
	}
	var looks []*answer
	for _, a := range c.looks {
		if a.facts != nil {
			looks = append(looks, a)
		}
	}
	at := func(i, agreed int) []Finding {
		n := *c
		n.Facts, n.When = looks[i].facts, When{looks[i].after, looks[i].at}
		if i > 0 {
			n.After = looks[0].at
		}
		n.Seen = event.Confirmation{Attempts: len(looks), Agreed: agreed, Addresses: addresses(looks...)}
		list := r.Judge(&n)
		for j := range list {
			list[j].When = list[j].or(n.When)
		}
		return list
	}
	agreed := map[string]int{}
	for i := range looks {
		for _, f := range at(i, 1) {
			agreed[essence(&f)]++
		}
	}
	var out []Finding
	for i := range looks {
		for j, f := range at(i, 1) {
			k := essence(&f)
			switch n := agreed[k]; {
			case n > 1:
				out = append(out, at(i, n)[j])
			case n == 1:
				out = append(out, f)
			}
			delete(agreed, k)
		}
	}
	return out
}

// essence is what a finding says, but for how often it was seen.
func essence(f *Finding) string {
	d := event.NewDetails(f.Type)
	encoded, _ := json.Marshal(f.Details) // structs of texts and numbers: they always encode
	if d == nil || json.Unmarshal(encoded, d) != nil {
		return string(encoded)
	}
	confirm(d, event.Confirmation{})
	encoded, _ = json.Marshal(d)
	return string(bytes.TrimSpace(encoded))
}
