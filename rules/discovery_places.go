package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
)

// placed is the text by which it is remembered that an endpoint of discovery was
// at a host.
func placed(name, host string) string { return name + " " + host }

// newPlaces are the endpoints of a discovery document on hosts that none of them
// was ever on. The issuer's own host is no news. A memory of before they were
// read knows none, and learns first.
func newPlaces(p Policy, l *history.Learned, d *Discovery) []DiscoveryEndpoint {
	if len(l.Places) == 0 {
		return nil
	}
	known := map[string]bool{hostOf(p.Issuer): true}
	for _, v := range l.Places {
		_, host, _ := strings.Cut(v.Text, " ")
		known[host] = true
	}
	return slices.DeleteFunc(slices.Clone(d.Endpoints), func(e DiscoveryEndpoint) bool { return known[e.Host] })
}

// lastPlace is the host that an endpoint was on last, "" for none.
func lastPlace(l *history.Learned, name string) string {
	of := slices.DeleteFunc(slices.Clone(l.Places), func(v history.Value) bool { return !strings.HasPrefix(v.Text, name+" ") })
	_, host, _ := strings.Cut(history.Newest(of), " ")
	return host
}

// foreign reports whether a host is of a registrable domain that is neither the
// issuer's nor one in which any endpoint was.
func foreign(p Policy, l *history.Learned, e *DiscoveryEndpoint) bool {
	return e.Site != "" && e.Site != p.Site && !slices.ContainsFunc(l.Places, func(v history.Value) bool {
		_, host, _ := strings.Cut(v.Text, " ")
		return within(host, e.Site)
	})
}

// endpointMoved finds endpoints that receive codes, tokens and client secrets on
// hosts that were never seen there.
func endpointMoved(c *Case) []Finding {
	if c.Facts == nil || c.Before == nil || !believed(c.Policy, c.Facts.Discovery) {
		return nil
	}
	d, l := c.Facts.Discovery, &c.Before.Learned
	list := newPlaces(c.Policy, l, d)
	if len(list) == 0 {
		return nil
	}
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Severity: event.SeverityHigh}
	details := &event.DiscoveryEndpointMovedDetails{Document: event.Text(d.Document), Members: []event.MovedMember{}, Confirmation: c.Seen}
	for i := range list {
		m := event.MovedMember{
			Name: list[i].Name, Code: "other_host", Before: event.TextOrNil(lastPlace(l, list[i].Name)), After: event.TextOrNil(list[i].Shown),
		}
		if foreign(c.Policy, l, &list[i]) {
			m.Code, f.Severity = "other_domain", event.SeverityCritical
		}
		details.Members = append(details.Members, m)
		f.because(m.Code)
	}
	slices.Sort(f.Reasons)
	f.Details = details
	what := list[0].Name
	if len(list) > 1 {
		what += fmt.Sprintf(" and %d more", len(list)-1)
	}
	where := "a host never seen there"
	if list[0].Host != "" {
		where = limit(event.Text(list[0].Host), attemptedText) + ", never seen there"
	}
	f.Message = c.message(&f, "", what+" of discovery: now on "+where, "it gets codes, tokens and secrets")
	return []Finding{f}
}

// disagrees reports whether the second discovery document leads elsewhere, and
// was never seen to lead there.
func disagrees(l *history.Learned, d *Discovery) bool {
	o := d.Other
	return o != nil && sameURI(o.Against, d.JWKSURI) && !sameURI(o.JWKSURI, d.JWKSURI) &&
		!slices.ContainsFunc(l.Others, func(v history.Value) bool { return sameURI(v.Text, o.JWKSURI) })
}

// disagreeing tells of OpenID Connect and RFC 8414 documents that name different
// key sets: clients of one of them trust other keys than those that are watched.
func disagreeing(c *Case) []Finding {
	if c.Facts == nil || c.Before == nil || !believed(c.Policy, c.Facts.Discovery) || !disagrees(&c.Before.Learned, c.Facts.Discovery) {
		return nil
	}
	d := c.Facts.Discovery
	f := Finding{When: c.When, Confirmed: c.Seen.Agreed > 1, Severity: event.SeverityMedium, Reasons: []string{"documents_disagree"}}
	if len(c.Before.Learned.Others) > 0 { // they agreed before
		f.Severity = event.SeverityHigh
	}
	f.Details = &event.DiscoveryMovedDetails{
		Code: "documents_disagree", Document: event.Text(d.Other.Document), Before: event.TextOrNil(d.Shown), After: event.TextOrNil(d.Other.Shown),
		Confirmation: c.Seen,
	}
	f.Message = c.message(&f, "", "a second discovery document names another key set", "its clients trust keys that are not watched")
	return []Finding{f}
}

// learnPlaces takes in where a discovery document that is believed leads.
func learnPlaces(l *history.Learned, d *Discovery, at time.Time) {
	for _, e := range d.Endpoints {
		l.Places = history.Met(l.Places, placed(e.Name, e.Host), at, history.MaxLearnedPlaces)
	}
	if o := d.Other; o != nil && sameURI(o.Against, d.JWKSURI) {
		l.Others = history.Met(l.Others, o.JWKSURI, at, history.MaxLearnedURIs)
	}
}
