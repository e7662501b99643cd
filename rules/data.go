package rules

import (
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Data is what an event says of the finding itself. Who publishes it adds the
// endpoint, the change set, the condition, the snapshots, the observer and the
// place in the chain, and Observed.Uncertain.
func (f *Finding) Data() event.Data {
	d := event.Data{
		Event: event.Facts{
			Type: f.Type, Severity: f.Severity, SeverityID: int(f.Severity), Verdict: f.Verdict, Message: f.Message,
			Reasons: f.Reasons, Count: f.Count, Confirmed: f.Confirmed,
		},
		Rules:     []event.Rule{{ID: f.Rule.ID, Title: f.Rule.Title, Severity: f.Base}},
		Judgement: event.Judgement{BaseSeverity: f.Base, Adjustments: f.Adjusted},
		Key:       f.Key.event(), PreviousKey: f.Previous.event(),
		Change:    f.Change,
		Observed:  &event.Observed{After: event.AtOrNil(f.After), Before: event.At(f.At)},
		Transport: f.Evidence,
		Details:   f.Details,
		Standards: f.Rule.Standards,
	}
	for j := range f.Keys { // Encode cuts the list, and says so
		d.Keys = append(d.Keys, *f.Keys[j].event())
	}
	if f.Failure != nil {
		d.Failure = &event.Failure{
			Phase: f.Failure.Phase, Error: event.Text(f.Failure.Error), Count: f.Failure.Count, Since: event.At(f.Failure.Since),
		}
	}
	return d
}

// event describes a key without its material, in text that is safe to show.
func (f *KeyFact) event() *event.Key {
	if f == nil {
		return nil
	}
	k := &f.Key
	out := &event.Key{
		Kid: event.TextOrNil(k.Kid), Kty: event.TextOrNil(k.Kty), Crv: event.TextOrNil(k.Crv),
		Alg: event.TextOrNil(k.Alg), Use: event.TextOrNil(k.Use),
		FirstSeen: event.AtOrNil(f.FirstSeen), LastSeen: event.AtOrNil(f.LastSeen),
	}
	if k.ID.Kind == jwks.Thumbprint {
		out.Thumbprint = new(k.ID.String())
	}
	if k.Bits > 0 {
		out.Bits = new(k.Bits)
	}
	return out
}
