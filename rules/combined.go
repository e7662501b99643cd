package rules

import (
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// The reasons for which a change of keys is no ordinary one: the way to them is new
// too. No change window and no habit lowers what has one.
const (
	transportNew = "transport_novel"
	discoveryNew = "discovery_novel"
	anotherOwner = "returned_as_another"
)

// overNewWay reports whether the finding has one of these reasons.
func (f *Finding) overNewWay() bool {
	return slices.ContainsFunc(f.Reasons, func(r string) bool { return r == transportNew || r == discoveryNew || r == anotherOwner })
}

// combined judges what came in one step on the way and in the keys. Whoever takes
// an issuer over moves both; either alone has everyday reasons.
func combined(c *Case, list []Finding) {
	var keys, discovery, transport []*Finding
	for i := range list {
		f := &list[i]
		switch {
		case f.Closing:
		case f.Type == event.DiscoveryMoved, f.Type == event.DiscoveryWeakened, f.Type == event.DiscoveryEndpointMoved:
			discovery = append(discovery, f)
		case f.Type == event.EndpointCertificateChanged:
			if d, ok := f.Details.(*event.EndpointCertificateChangedDetails); ok && d.NewIssuer {
				transport = append(transport, f)
			}
		case keyChange(f):
			keys = append(keys, f)
		}
	}
	if len(keys) == 0 {
		return
	}
	returned(c, keys)
	if len(discovery) > 0 {
		for _, f := range append(discovery, keys...) {
			f.because(discoveryNew)
			f.lift(event.SeverityHigh, discoveryNew)
		}
	}
	// An issuer of certificates that came within the hour before is part of the
	// story too. It was told as less than this by then: who takes a host over may
	// serve the true keys first.
	if len(transport) > 0 || transportNovel(c) {
		for _, f := range keys {
			f.because(transportNew)
			if len(transport) == 0 {
				f.Verdict = event.Unexpected
				f.lift(event.SeverityHigh, transportNew)
			}
		}
		for _, f := range transport {
			f.because(transportNew)
			f.lift(event.SeverityHigh, transportNew)
		}
	}
}

// keyChange reports whether the finding tells that other keys are to be trusted,
// and is not told as the mere consequence of another.
func keyChange(f *Finding) bool {
	switch f.Type {
	case event.KeyAdded, event.KeyMutated, event.KeyKidReused, event.KeyReappeared, event.KeyRelabelled, event.KeyAltered, event.SetReplaced:
		return !slices.ContainsFunc(f.Reasons, func(r string) bool { return strings.HasPrefix(r, "explained_by:") })
	}
	return false
}

func (f *Finding) because(reason string) {
	if !slices.Contains(f.Reasons, reason) {
		f.Reasons = append(f.Reasons, reason)
	}
}

// lift brings the severity up to a level, if it is below.
func (f *Finding) lift(to event.Severity, reason string) {
	if f.Severity >= to {
		return
	}
	f.Severity = to
	f.Adjusted = append(f.Adjusted, event.Adjustment{Rule: f.Rule.ID, Kind: "raise", To: to, Reason: reason})
}

// away is how long an endpoint must have been gone for its return with other keys
// over another way to be the return of somebody else.
const away = 24 * time.Hour

// returned judges an endpoint that was gone for long and is back with none of its
// signing keys, over a certificate of an issuer never seen, or at another host:
// what a name that somebody else registered looks like.
func returned(c *Case, keys []*Finding) {
	if c.Replaced == nil || c.Before == nil || !transportNovel(c) && !otherHost(c) {
		return
	}
	gone := slices.ContainsFunc(c.Before.Conditions, func(o *history.Condition) bool {
		return byFailure(event.Type(o.Type)) && !slices.Contains(o.Flaws, undiscovered()) && !slices.Contains(o.Flaws, intermittent()) &&
			c.At.Sub(o.OpenedAt) >= away
	})
	if !gone || c.After.IsZero() || c.At.Sub(c.After) < away {
		return
	}
	for _, f := range keys {
		if f.Type == event.SetReplaced {
			f.because(anotherOwner)
			f.lift(event.SeverityHigh, anotherOwner)
		}
	}
}

// otherHost reports whether an answer came from a host to which discovery never
// led.
func otherHost(c *Case) bool {
	l := &c.Before.Learned
	return slices.ContainsFunc(c.looks, func(a *answer) bool {
		return a.facts != nil && a.facts.Discovery != nil && l.Discovered && a.facts.Host != "" &&
			!slices.ContainsFunc(l.URIs, func(v history.Value) bool { return hostOf(v.Text) == a.facts.Host })
	})
}
