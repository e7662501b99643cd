package rules

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

func baseline(c *Case) []Finding {
	if c.Baseline == "" {
		return nil
	}
	all, sig := len(diff.Group(c.Keys)), diff.SigningKeys(c.Keys)
	what, so := "watched from now on", "their age is unknown"
	f := Finding{Details: &event.BaselineDetails{Reason: c.Baseline, Keys: all, SigningKeys: sig, Confirmation: c.Seen}}
	if c.Baseline == "url_changed" {
		what = "its URL changed: a new baseline"
		f.Severity, f.Reasons = event.SeverityMedium, []string{"known_before"} // what stood there is no measure any more
	}
	switch others := c.unverified(); {
	case len(others) > 0 && len(c.Policy.Expect.Thumbprints) > 0:
		f.Severity, f.Verdict, f.Keys, f.Count = event.SeverityHigh, event.Unexpected, others, len(others)
		f.Reasons = append(f.Reasons, "outside_thumbprints")
		so = plural(len(others), "signing key") + " beyond the declared thumbprints"
	case len(others) > 0 && c.Policy.Tier == "critical":
		f.Severity, f.Verdict, f.Reasons = event.SeverityMedium, event.Unexpected, append(f.Reasons, "unverified")
		so = "nothing says that they are the issuer's"
	case len(others) == 0 && sig > 0:
		f.Severity, f.Verdict, f.Reasons = event.SeverityInformational, event.Expected, append(f.Reasons, "verified")
		so = "all of these are declared or approved"
	}
	f.Message = short(fmt.Sprintf("%s: %s, %s, of them %d for signatures; %s", c.Policy.Endpoint, what, plural(all, "key"), sig, so))
	return []Finding{f}
}

func setReplaced(c *Case) []Finding {
	r := c.Replaced
	if r == nil {
		return nil
	}
	f := Finding{
		When: c.When, Confirmed: c.Seen.Agreed > 1,
		Details: &event.SetReplacedDetails{Before: r.Before, After: r.After, Mutated: r.Mutated, Confirmation: c.Seen},
	}
	f.Message = c.message(&f, "", fmt.Sprintf("no signing key survives: %d before, %d others now", r.Before, r.After), "every older token fails")
	return []Finding{f}
}

func setEmptied(c *Case) []Finding {
	if c.Emptied == nil {
		return nil
	}
	f := Finding{
		When: c.When, Confirmed: c.Seen.Agreed > 1, opens: []string{history.FlawID(string(event.SetEmptied))},
		Details: &event.SetEmptiedDetails{KnownKeys: c.Emptied.Known, Confirmation: c.Seen},
	}
	stays := "the known key stays the baseline"
	if c.Emptied.Known != 1 {
		stays = fmt.Sprintf("the %d known keys stay the baseline", c.Emptied.Known)
	}
	f.Message = c.message(&f, "", "the set is empty", "no token verifies; "+stays)
	return []Finding{f}
}

func unreachable(c *Case) []Finding {
	f := c.Failure
	if f == nil || c.unreachable == "" {
		return nil
	}
	effect := "nobody watches this issuer meanwhile"
	what, codes, severity := failed(f), []string{}, event.Severity(0)
	switch {
	case c.unreachable == undiscovered():
		effect = "the last known key set is watched, a move of it would go unseen"
	case c.unreachable == prolonged():
		what, codes, severity = "still "+what, []string{codeProlonged}, event.SeverityHigh
	case c.unreachable == intermittent():
		what, codes, effect = "polls fail again and again", []string{codeIntermittent}, "a change between them is seen late"
	case f.Code == codeBlocked && f.Row >= f.Count:
		what, codes = "it refuses us", []string{codeBlocked}
	}
	return []Finding{{
		Failure: f, opens: []string{c.unreachable}, Severity: severity, Reasons: slices.Clone(codes),
		Details: &event.EndpointUnreachableDetails{
			Codes: codes, Phase: f.Phase, Failures: f.Count, Since: new(event.At(f.Since)), LastGood: event.AtOrNil(c.After),
		},
		Message: short(fmt.Sprintf("%s: %s since %s (%s, %d polls failed); %s",
			c.Policy.Endpoint, what, clock(f.Since), f.Phase, f.Count, effect)),
	}}
}

// failed says in words what came in place of a key set.
func failed(f *Failure) string {
	status := 0
	if f.Evidence != nil && f.Evidence.Status != nil {
		status = *f.Evidence.Status
	}
	switch {
	case f.Phase == "refused":
		return "not asked, as its URL or address is not allowed to us"
	case f.Phase == "status" && status != 0:
		return fmt.Sprintf("HTTP %d in place of a key set", status)
	case f.Phase == "status":
		return "an error in place of a key set"
	case f.Phase == "discovery" && status == 200: // it was tampered with, perhaps: readers differ on what it says
		return "a discovery document that must not be used"
	case f.Phase == "discovery":
		return "no discovery document"
	case f.Phase == "size":
		return "an answer that is too long"
	case f.Phase == "tls":
		return "no connection that can be trusted"
	}
	return "no answer"
}

// openedByChange is the reason of a flaw that a change brought.
const openedByChange = "opened_by_change"

// opened makes a finding of a flaw that is news.
func opened(c *Case, fl Flaw) Finding {
	f := Finding{
		Rule: fl.Rule, Type: fl.Rule.Type, Severity: fl.Severity, Verdict: fl.Rule.Verdict, Count: 1,
		Confirmed: fl.Seen.Agreed > 1, opens: []string{fl.ID}, When: fl.or(c.When),
	}
	if fl.ByChange != 0 && c.Baseline == "" {
		f.Severity = fl.ByChange
		f.Reasons = []string{openedByChange}
	}
	if c.Baseline != "" {
		f.Reasons = []string{"at_baseline"}
	}
	if fl.Rule.Type == event.KeyPrivate && fl.Key != nil && has(fl.Key.Defects, jwks.PrivateProven) {
		f.Reasons = append(f.Reasons, "proven")
	}
	if spoilt(c, fl) {
		f.Severity = event.SeverityHigh
		f.Reasons = append(f.Reasons, "opened_by_change")
	}
	f.Base = f.Severity
	if f.Severity == event.SeverityInformational {
		f.Verdict = event.Informational
	}
	if fl.Key != nil {
		f.Key = new(c.fact(*fl.Key, f.When))
		f.present()
	}
	if byFailure(f.Type) {
		if f.Failure = c.Failure; f.Failure == nil && c.Facts != nil && c.Facts.Discovery != nil {
			f.Failure = c.Facts.Discovery.Failure
		}
	}
	confirm(fl.Details, fl.Seen)
	switch d := fl.Details.(type) {
	case *event.EndpointTLSInvalidDetails:
		d.LastGood = event.AtOrNil(c.After)
	case *event.EndpointDanglingDetails:
		d.LastGood = event.AtOrNil(c.After)
	}
	f.Details = fl.Details
	f.Message = c.message(&f, "", fl.What, "")
	return f
}

// closed makes the closing finding of a condition. It has the type of its
// opening, tells nothing else, and wakes nobody.
func closed(book []Rule, c *Case, cond *history.Condition) Finding {
	f := Finding{
		Type: event.Type(cond.Type), Severity: event.SeverityInformational, Base: event.SeverityInformational,
		Verdict: event.Informational, Count: 1, Confirmed: true, Condition: cond, Closing: true, Reasons: []string{"closed"},
	}
	for i := range book {
		if book[i].Type == f.Type && (f.Rule == nil || book[i].ID == cond.Rule) {
			f.Rule = &book[i]
		}
	}
	if f.Rule == nil { // of a book that has the rule no more
		f.Rule = &Rule{ID: cond.Rule, Type: f.Type, Title: cond.Type, Severity: f.Severity, Verdict: f.Verdict, Standards: monitoring()}
	}
	if cond.Key != nil {
		f.Key = new(c.fact(*cond.Key, c.When))
	}
	f.Count = max(1, len(cond.Flaws))
	f.Details = event.NewDetails(f.Type)
	if err := json.Unmarshal(cond.Details, f.Details); err != nil {
		// Of a condition that an older version opened: its closing says less.
		f.Details = event.NewDetails(f.Type)
	}
	if d, ok := f.Details.(*event.KeySharedDetails); ok && d.Peers == nil {
		d.Peers = []string{d.Peer} // an older version knew one alone
	}
	confirm(f.Details, c.Seen)
	lasted := "less than a second"
	if d := c.At.Sub(cond.OpenedAt).Round(time.Second); d > 0 {
		lasted = d.String()
	}
	f.Message = short(fmt.Sprintf("%s: over, it lasted %s: %s", c.Policy.Endpoint, lasted, f.Rule.Title))
	return f
}

// confirm notes in the details how surely the finding was seen. All details that
// can tell it have a member of that name.
func confirm(details any, seen event.Confirmation) {
	v := reflect.ValueOf(details)
	if v.Kind() != reflect.Pointer || v.IsNil() {
		return
	}
	if f := v.Elem().FieldByName("Confirmation"); f.IsValid() {
		f.Set(reflect.ValueOf(seen))
	}
}

func (c *Case) sighting(id jwks.Identity) (*history.Sighting, bool) {
	if c.Before == nil {
		return nil, false
	}
	s, ok := c.Before.Sightings[id]
	return s, ok
}

// message says who, what, how sure, since when and so what, in at most 200
// characters. Text of the issuer never comes first. The kid stands between the
// subject and what is said of it.
func (c *Case) message(f *Finding, subject, what, effect string) string {
	var words []string
	if subject != "" {
		words = append(words, subject)
	}
	if f.Key != nil && f.Key.Key.Kid != "" && subject != "" {
		words = append(words, quoted(f.Key.Key.Kid))
	}
	words = append(words, what)
	if f.Key != nil && f.Key.Key.Kid != "" && subject == "" {
		words = append(words, "(kid "+quoted(f.Key.Key.Kid)+")")
	}
	if !f.At.IsZero() {
		words = append(words, sure(f))
	}
	s := strings.Join(words, " ")
	if c.Policy.Endpoint != "" {
		s = c.Policy.Endpoint + ": " + s
	}
	if effect != "" {
		s += "; " + effect
	}
	return short(s)
}

func quoted(kid string) string { return `"` + limit(event.Text(kid), 40) + `"` }

// sure says how sure the finding is and since when it holds.
func sure(f *Finding) string {
	s := "(seen once), "
	if f.Confirmed {
		s = "(seen twice), "
	}
	if f.After.IsZero() {
		return s + "by " + clock(f.At)
	}
	return s + "between " + f.After.UTC().Format("15:04:05") + " and " + clock(f.At)
}

func (w When) or(other When) When {
	if w.At.IsZero() {
		return other
	}
	return w
}

func rolledUp(f *Finding) string {
	return short(fmt.Sprintf("%s; %d alike in this step, told as one", f.Message, f.Count))
}

func clock(t time.Time) string { return t.UTC().Format("15:04:05 UTC") }

func short(s string) string { return limit(s, 200) }

func limit(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func class(m diff.Material) string {
	if c := m.Key().Class(); c != jwks.ClassNone {
		return string(c)
	}
	return "none"
}

func noun(m diff.Material) string {
	switch {
	case m.ID.Kind == jwks.Secret:
		return "symmetric key"
	case m.ID.Kind == jwks.Opaque:
		return "unreadable key"
	case m.In(jwks.ClassSignature):
		return "signing key"
	case m.In(jwks.ClassEncryption):
		return "encryption key"
	}
	return "key"
}

// announcement says who may have announced a new key.
func (c *Case) announcement(k *jwks.Key, at time.Time, inWindow bool) string {
	switch {
	case c.approval(k, at) != nil:
		return "as approved"
	case inWindow:
		return "a change window was open"
	}
	return "nothing announced it"
}

func names(list []diff.Field) string {
	var out []string
	for _, f := range list {
		out = append(out, f.Name)
	}
	return strings.Join(out, " and ")
}
