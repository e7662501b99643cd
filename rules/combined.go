package rules

import (
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

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
	if len(discovery) > 0 {
		for _, f := range append(discovery, keys...) {
			f.because("discovery_novel")
			f.lift(event.SeverityHigh, "discovery_novel")
		}
	}
	// An issuer of certificates that came within the hour before is part of the
	// story too.
	if len(transport) > 0 || transportNovel(c) {
		for _, f := range keys {
			f.because("transport_novel")
		}
		for _, f := range transport {
			f.because("transport_novel")
			f.lift(event.SeverityHigh, "transport_novel")
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
