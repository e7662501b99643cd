// Package rules judges. It turns one observation of one endpoint, held against
// what is remembered of it, into findings: what happened, how bad it is and
// why. The whole book of rules is a list of values in book.go and book_*.go, to be read from
// top to bottom.
//
// The package is pure: Step is a function of a memory, an observation and a
// policy. It takes structs and knows no YAML, no clock, no disk, no network.
package rules

import (
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/diff"
	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/history"
	"github.com/jwkswatch/jwkswatch/jwks"
)

// Rule is one entry of the book. Exactly one of Inspect, Recall, Observe and Judge
// is set.
type Rule struct {
	ID        string // stable: SIEMs pivot on it
	Type      event.Type
	Title     string
	Why       string
	Severity  event.Severity // of the finding unless the rule says otherwise for the case
	Verdict   event.Verdict
	Standards event.Standards

	// Inspect finds what is wrong with one document alone. What it finds is a
	// condition: it opens once and closes once.
	Inspect func(*jwks.Set) []Flaw
	// Recall finds what is wrong with one document by what is remembered of it and
	// of its keys. Also a condition.
	Recall func(*Recalled) []Flaw
	// Observe finds what is wrong with the way of one answer, or with the way to
	// none. Also a condition. Facts is nil when the poll failed, Failure when it
	// did not.
	Observe func(*Sight) []Flaw
	// Judge finds what happened in one step.
	Judge func(*Case) []Finding
}

// Policy is what is configured for an endpoint.
type Policy struct {
	Endpoint string // its name
	// URL is what is configured: of the key set, or the issuer. Another one is
	// a new baseline; where discovery leads is not configured.
	URL      string
	Issuer   string // "" when the key set is configured
	Site     string // registrable domain of the issuer
	Interval time.Duration
	Tier     string // low, standard or critical
	Group    string // endpoints of one group may share keys; "" for none
	Expect   Expect
	// EachAddress says that each address of the host is asked by itself.
	EachAddress bool
	// MaxEvents is how many events an hour the endpoint may tell one by one; 0
	// means MaxEvents.
	MaxEvents int
	// Windows are the change windows of the endpoint, Approvals what was announced
	// for it.
	Windows   []Window
	Approvals []Approval
	// Compromised are thumbprints (RFC 7638, base64url) of keys of own incidents,
	// each with what the operator says of it.
	Compromised map[string]string
	// Degraded says that the agent itself is in trouble: what fails now is
	// explained by that.
	Degraded bool
}

// Case is one step as the rules see it.
type Case struct {
	Policy Policy
	// At is the time of the answer that first showed what the case is about,
	// After that of the last good poll with the old state, zero at first sight.
	When
	// Baseline is set at first sight, with its reason.
	Baseline string
	Before   *history.Memory // as it was before the step
	Keys     []jwks.Key      // the baseline after the step
	Changes  []Change
	Replaced *Replaced // no signing key survived
	Emptied  *Emptied
	MaxAge   time.Duration      // of the answer's Cache-Control; 0 when it had none
	Facts    *Facts             // of the answer that first showed what the case is about; nil without one
	Seen     event.Confirmation // for rules of the way: how often Facts were seen
	Opened   []Flaw             // with Seen set
	Old      []jwks.Key         // the old document, when nothing else is remembered
	Failure  *Failure           // of the poll, when it failed; of the discovery, when that did

	resurrection *resurrection             // what came back
	doubted      []jwks.Identity           // what had, and was still to be decided
	unstable     *event.SetUnstableDetails // of the condition that opens
	moments      []history.Waiting         // keys that were there for a moment
	habit        habit

	missed        []Approval                  // announced changes that did not come
	unused        []history.Windowed          // dated windows in which nothing came
	noise         *event.EndpointNoisyDetails // of what is withheld, to be told
	noiseSeverity event.Severity

	due       *arrears   // of a case about time; else nil
	regressed *regressed // the sequence number of the set; else nil

	late   []*history.Condition // that were withheld when they opened
	closed []*history.Condition
	open   []*history.Condition // that stand while the case is judged
	looks  []*answer            // that the case stands on, the older one first
	aside  bool                 // beside the answer, which is judged for itself: no rule of the way speaks
	// unreachable is the flaw of endpoint.unreachable that opens, "" for none.
	unreachable string
	old         map[jwks.Identity]*jwks.Key // the first entry of each key of Old, once asked for
}

// Change is one change and how surely it was seen.
type Change struct {
	diff.Change
	Seen event.Confirmation
	When
}

// When bounds the time of a claim: the last good poll before it and the first
// answer that showed it. Zero: those of the case.
type When struct{ After, At time.Time }

// Replaced counts the signing keys of an exchange of all of them.
type Replaced struct{ Before, After, Mutated int }

// Emptied tells of a set that became empty, or always was.
type Emptied struct{ Known int }

// Failure is a row of failed polls. The rest says what the last one showed.
type Failure struct {
	Phase string    `json:"phase"` // resolve, dial, refused, tls, status, read, size, timeout, discovery
	Error string    `json:"error"`
	Count int       `json:"count"` // in a row, this one included
	Since time.Time `json:"since"` // of the first

	// Code is nxdomain, expired, not_yet_valid, wrong_name, unknown_ca,
	// pin_mismatch, redirect, blocked (HTTP 401, 403 or 429) or "".
	Code     string           `json:"code,omitempty"`
	Host     string           `json:"host,omitempty"` // that was asked
	Evidence *event.Transport `json:"evidence,omitempty"`
	// OthersResolve says that the resolver answers for other names.
	OthersResolve bool `json:"others_resolve,omitempty"`
	// Alias is the name that is gone, with the code nxdomain, when Host is an alias
	// of it; Platform is the domain of the shared hosting platform that answered
	// with its own certificate.
	Alias        string    `json:"alias,omitempty"`
	Platform     string    `json:"platform,omitempty"`
	LeafSPKI     string    `json:"leaf_spki,omitempty"` // hex, of the certificate that was refused
	LeafIssuer   string    `json:"leaf_issuer,omitempty"`
	LeafNotAfter time.Time `json:"leaf_not_after,omitzero"`
	Redirect     *Redirect `json:"redirect,omitempty"`
	// Row counts the failures in a row that had the same code, and RowSince is
	// the time of the first of them.
	Row      int       `json:"row,omitempty"`
	RowSince time.Time `json:"row_since,omitzero"`
}

// Flaw is one thing wrong with one document. Two answers have the same flaw
// when the ids are equal.
type Flaw struct {
	ID       string
	Rule     *Rule
	Severity event.Severity // 0: the rule's
	// ByChange is the severity when a change opens it, 0: the same.
	ByChange event.Severity
	Key      *jwks.Key // nil: of the set or the document
	Kid      string    // of an ambiguity
	What     string    // for the message; no text of the issuer
	// Want says that something is lacking: as every absence, it takes two looks to
	// prove.
	Want    bool
	Details any
	Seen    event.Confirmation
	When
}

// Finding is one verdict, ready to become an event.
type Finding struct {
	Rule      *Rule
	Type      event.Type
	Severity  event.Severity
	Base      event.Severity
	Verdict   event.Verdict
	Reasons   []string
	Adjusted  []event.Adjustment
	Key       *KeyFact // nil for findings of sets and documents, and when rolled up
	Previous  *KeyFact
	Keys      []KeyFact // of a rolled-up finding, all of them
	Count     int
	Change    event.Change
	Confirmed bool
	Message   string
	Details   any
	Failure   *Failure
	// Evidence is that of the answer which first showed it, or of the failure;
	// nil when nothing is known of its way.
	Evidence *event.Transport
	// Condition is what opens or closes, in the memory of the outcome.
	Condition *history.Condition
	Closing   bool
	When

	opens []string // the flaws of the condition that it opens
	late  bool     // of a condition that was withheld when it opened
}

// Sight is one poll as the rules of the way see it.
type Sight struct {
	Policy  Policy
	Before  *history.Memory
	At      time.Time
	Facts   *Facts
	Failure *Failure
}

// KeyFact is a key and when it was seen.
type KeyFact struct {
	Key                 jwks.Key
	FirstSeen, LastSeen time.Time // zero: unknown
}

// Digest identifies the book: two agents with the same digest judge alike.
func Digest(book []Rule) [32]byte {
	h := sha256.New()
	for _, r := range book {
		fmt.Fprintf(h, "%q %q %d %q\n", r.ID, r.Type, r.Severity, r.Verdict)
	}
	return [32]byte(h.Sum(nil))
}

// identified is the identity of a key as events name it: nil when it must not
// be shown or is no thumbprint.
func identified(id jwks.Identity) *string {
	if id.Kind != jwks.Thumbprint {
		return nil
	}
	return new(id.String())
}

// Subject is what the finding's event is about: a thumbprint, or "" for the
// endpoint.
func (f *Finding) Subject() string {
	if f.Key == nil {
		return ""
	}
	if t := identified(f.Key.Key.ID); t != nil {
		return *t
	}
	return ""
}

func text(list []string) []string {
	out := make([]string, 0, len(list))
	for _, s := range list {
		out = append(out, event.Text(s))
	}
	return out
}
