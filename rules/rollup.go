package rules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// rollUp joins findings that differ in the key only. New labels are one piece of
// news however many keys they are on. Mutations and leaks are never joined: each
// is an incident. Nor are closings: who follows a condition by its id would never
// hear of the end of the others. They are bounded by the openings that were told.
func rollUp(list []Finding) []Finding {
	groups := map[string][]int{}
	for i := range list {
		if k := groupOf(&list[i]); k != "" {
			groups[k] = append(groups[k], i)
		}
	}
	var out []Finding
	for i := range list {
		g := groups[groupOf(&list[i])]
		switch {
		case len(g) <= RollUpOver && (len(g) < 2 || !together(list[i].Type)):
			out = append(out, list[i])
		case g[0] == i:
			out = append(out, join(list, g))
		}
	}
	return out
}

// together reports whether findings of the type are one piece of news, however few.
func together(t event.Type) bool { return t == event.SetBreaksVerifiers || t == event.KeyRelabelled }

// join makes one finding of those at the places.
func join(list []Finding, places []int) Finding {
	f := list[places[0]]
	var opens []string
	var details []any
	f.Count, f.Keys = 0, nil
	for _, i := range places {
		o := &list[i]
		f.Count += o.Count
		opens = append(opens, o.opens...)
		details = append(details, o.Details)
		f.Confirmed = f.Confirmed && o.Confirmed
		if o.Key != nil {
			f.Keys = append(f.Keys, *o.Key)
		}
	}
	slices.Sort(opens)
	f.opens = slices.Compact(opens)
	f.Key, f.Previous, f.Change = nil, nil, event.Change{}
	f.Details = common(details)
	f.Message = rolledUp(&f)
	if d, ok := f.Details.(*event.SetBreaksVerifiersDetails); ok {
		name := d.Decoders[0].Name
		f.Count, f.Message = 1, short(strings.Replace(list[places[0]].Message, name, fmt.Sprintf("%s and %d more", name, len(d.Decoders)-1), 1))
	}
	return f
}

func groupOf(f *Finding) string {
	switch {
	case f.Type == event.KeyPrivate, f.Type == event.KeyCompromised, f.Type == event.KeyMutated, f.late, f.Closing:
		return ""
	case f.Key == nil && len(f.opens) == 0:
		return ""
	}
	parts := []string{string(f.Type), f.Severity.String(), string(f.Verdict)}
	return strings.Join(append(parts, f.Reasons...), "\x00")
}

// common is what the details of joined findings have in common. What names one
// key is left out: the first must not stand for all.
func common(list []any) any {
	switch first := list[0].(type) {
	case *event.SetAmbiguousDetails:
		out := &event.SetAmbiguousDetails{Code: first.Code, Pointers: []string{}, Confirmation: first.Confirmation}
		for _, d := range list {
			d := d.(*event.SetAmbiguousDetails)
			out.Keys += d.Keys
			out.Pointers = append(out.Pointers, d.Pointers[:min(len(d.Pointers), maxPointers-len(out.Pointers))]...)
		}
		return out
	case *event.KeyUnparseableDetails:
		out := &event.KeyUnparseableDetails{Codes: []string{}, Pointers: []string{}, Confirmation: first.Confirmation}
		for _, d := range list {
			d := d.(*event.KeyUnparseableDetails)
			out.Codes = append(out.Codes, d.Codes...)
			out.Pointers = append(out.Pointers, d.Pointers[:min(len(d.Pointers), maxPointers-len(out.Pointers))]...)
		}
		slices.Sort(out.Codes)
		out.Codes = slices.Compact(out.Codes)
		return out
	case *event.KeyWeakDetails:
		out := &event.KeyWeakDetails{Codes: []string{}, Confirmation: first.Confirmation}
		for _, d := range list {
			out.Codes = append(out.Codes, d.(*event.KeyWeakDetails).Codes...)
		}
		slices.Sort(out.Codes)
		out.Codes = slices.Compact(out.Codes)
		return out
	case *event.KeyCertificateInvalidDetails:
		out := &event.KeyCertificateInvalidDetails{Codes: []string{}, Confirmation: first.Confirmation}
		for _, d := range list {
			out.Codes = append(out.Codes, d.(*event.KeyCertificateInvalidDetails).Codes...)
		}
		slices.Sort(out.Codes)
		out.Codes = slices.Compact(out.Codes)
		return out
	case *event.SetBreaksVerifiersDetails:
		out := &event.SetBreaksVerifiersDetails{Decoders: []event.Decoder{}, Confirmation: first.Confirmation}
		for _, d := range list {
			out.Decoders = append(out.Decoders, d.(*event.SetBreaksVerifiersDetails).Decoders...)
		}
		return out
	case *event.KeySharedDetails:
		out := &event.KeySharedDetails{
			Peer: first.Peer, Peers: []string{}, Keys: first.Keys, Thumbprints: first.Thumbprints, SameSite: true, Confirmation: first.Confirmation,
		}
		for _, d := range list {
			d := d.(*event.KeySharedDetails)
			out.Peers = append(out.Peers, d.Peers...)
			out.Keys = max(out.Keys, d.Keys)
			out.Thumbprints = append(out.Thumbprints, d.Thumbprints...)
			out.SameSite = out.SameSite && d.SameSite
		}
		slices.Sort(out.Thumbprints)
		out.Thumbprints = slices.Compact(out.Thumbprints)
		out.Thumbprints = out.Thumbprints[:min(len(out.Thumbprints), maxShared)]
		return out
	case *event.KeyRelabelledDetails:
		return &event.KeyRelabelledDetails{KidsBefore: []string{}, KidsAfter: []string{}, Confirmation: first.Confirmation}
	}
	return list[0]
}
