// Package event is the public contract of jwkswatch: the security event, its
// types, severities, ids and JSON form. It is what a SIEM stores for years, so
// members are added and never renamed; schema.json beside this file is its
// JSON Schema and a golden file for each type freezes it.
//
// The package imports the standard library only, reads no clock, no disk and
// no network, so that a consumer may import it too.
package event

import (
	"encoding/json"
	"fmt"
	"time"
)

// MaxBytes is the largest size of an encoded event, in octets.
const MaxBytes = 64 << 10

// Constants of the CloudEvents 1.0 envelope.
const (
	SpecVersion     = "1.0"
	DataContentType = "application/json"
	DataSchema      = "urn:jwkswatch:schema:event:v1"
	ContentType     = "application/cloudevents+json" // of the encoded event
	AgentStream     = "_agent"                       // integrity stream of agent, approval and drill events
)

// Event is one CloudEvents 1.0 event in structured JSON form.
type Event struct {
	SpecVersion     string `json:"specversion"`
	ID              string `json:"id"`
	Source          string `json:"source"`  // urn:jwkswatch:<observer>:<endpoint>
	Type            string `json:"type"`    // jwkswatch.<type>.v1
	Subject         string `json:"subject"` // thumbprint of Data.Key, else the endpoint's name, of the agent's own events AgentStream
	Time            Time   `json:"time"`    // time of observation
	DataContentType string `json:"datacontenttype"`
	DataSchema      string `json:"dataschema"`
	Data            Data   `json:"data"`
}

// Data is the payload. Every member is always present, null where it does not
// apply.
type Data struct {
	Event       Facts      `json:"event"`
	Endpoint    *Endpoint  `json:"endpoint"` // null on the agent's own stream
	Rules       []Rule     `json:"rules"`
	Judgement   Judgement  `json:"judgement"`
	Key         *Key       `json:"key"`          // null when rolled up
	PreviousKey *Key       `json:"previous_key"` // what Key took the place of
	Keys        []Key      `json:"keys"`         // of a rolled-up event, at most MaxKeys
	Change      Change     `json:"change"`
	Observed    *Observed  `json:"observed"`
	Snapshot    *Snapshots `json:"snapshot"`
	Transport   *Transport `json:"transport"`
	Failure     *Failure   `json:"failure"`
	Details     any        `json:"details"`   // one struct of details.go for each type
	Truncated   []string   `json:"truncated"` // members of data that Encode had to cut for MaxBytes or MaxKeys
	Standards   Standards  `json:"standards"`
	Observer    Observer   `json:"observer"`
	Integrity   Integrity  `json:"integrity"`
}

// Caps of single members.
const (
	MaxKeys    = 32  // of Data.Keys; Facts.Count has the true number
	MaxMessage = 200 // of Facts.Message, in characters
)

// Facts is the verdict in short: what a filter, a pager and a person read first.
type Facts struct {
	Type       Type       `json:"type"`
	Severity   Severity   `json:"severity"`
	SeverityID int        `json:"severity_id"` // 1 informational .. 5 critical, as in OCSF
	Verdict    Verdict    `json:"verdict"`
	Message    string     `json:"message"` // at most 200 characters, never starts with text of the issuer
	Reasons    []string   `json:"reasons"`
	Count      int        `json:"count"`     // changes this event stands for; above 1 when rolled up
	Confirmed  bool       `json:"confirmed"` // a second look over a fresh connection showed it too
	ChangeSet  *ChangeSet `json:"change_set"`
	// Correlation is null while no other endpoint changed with this one.
	Correlation *Correlation `json:"correlation"`
	Condition   *Condition   `json:"condition"`
	Drill       bool         `json:"drill"`
}

// ChangeSet ties together the events of one step of one endpoint.
type ChangeSet struct {
	ID    string `json:"id"`
	Index int    `json:"index"` // from 0
	Total int    `json:"total"`
}

// Correlation ties together endpoints that changed within two polls and have
// something in common. The first of them could not know, and has none: its change
// set is the id.
type Correlation struct {
	ID        string `json:"id"`
	By        string `json:"by"`        // host, site (registrable domain), leaf_issuer
	Endpoints int    `json:"endpoints"` // that changed so far, this one included
}

// Condition names a finding that lasts. It opens once and closes once.
type Condition struct {
	ID       string         `json:"id"`
	State    ConditionState `json:"state"`
	OpenedAt Time           `json:"opened_at"`
	OpenedBy string         `json:"opened_by"` // id of the opening event
}

// ConditionState is open or closed.
type ConditionState string

// The two states of a condition.
const (
	Open   ConditionState = "open"
	Closed ConditionState = "closed"
)

// Verdict says how a change stands to what was declared.
type Verdict string

// The verdicts.
const (
	Expected      Verdict = "expected"      // a declaration or approval matched
	Unexpected    Verdict = "unexpected"    // one was broken, or it is a finding
	Informational Verdict = "informational" // nothing was declared
)

// Endpoint is the configured thing that was watched.
type Endpoint struct {
	Name    string            `json:"name"`
	Issuer  *string           `json:"issuer"`
	JWKSURI *string           `json:"jwks_uri"`
	Tier    string            `json:"tier"`
	Owner   *string           `json:"owner"`
	Group   *string           `json:"group"`
	Labels  map[string]string `json:"labels"`
}

// Rule is a rule that fired.
type Rule struct {
	ID       string   `json:"id"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
}

// Judgement says how the severity came about.
type Judgement struct {
	BaseSeverity Severity     `json:"base_severity"`
	Adjustments  []Adjustment `json:"adjustments"`
}

// Adjustment is one move of the severity.
type Adjustment struct {
	Rule    string   `json:"rule"`
	Kind    string   `json:"kind"` // downgrade, raise, override, approval, learned, explained
	To      Severity `json:"to"`
	Reason  string   `json:"reason"`
	By      *string  `json:"by"`
	Expires *Time    `json:"expires"`
}

// Key describes a public key without its material. Text of the issuer in it
// has passed Text.
type Key struct {
	Kid        *string `json:"kid"`        // null when the key has none
	Thumbprint *string `json:"thumbprint"` // RFC 7638, SHA-256, base64url; null for oct and for keys that could not be decoded
	Kty        *string `json:"kty"`
	Crv        *string `json:"crv"`
	Alg        *string `json:"alg"`
	Use        *string `json:"use"`
	Bits       *int    `json:"bits"`       // of the modulus or the curve
	FirstSeen  *Time   `json:"first_seen"` // null: seen first in a baseline, so its age is unknown
	LastSeen   *Time   `json:"last_seen"`
}

// Change lists the members that changed, by name, with their values.
type Change struct {
	Fields []string       `json:"fields"`
	Before map[string]any `json:"before"`
	After  map[string]any `json:"after"`
}

// Observed bounds the time of a change.
type Observed struct {
	After     *Time `json:"after"`     // last poll with the old state; null when there was none
	Before    Time  `json:"before"`    // the poll that showed the new state
	Uncertain bool  `json:"uncertain"` // the two lie more than three intervals apart
}

// Snapshots are the sets before and after.
type Snapshots struct {
	Previous *Snapshot `json:"previous"`
	Current  *Snapshot `json:"current"`
}

// Snapshot names one set.
type Snapshot struct {
	Digest        string `json:"digest"` // sha256:<hex>, of the set and not of its bytes
	Keys          int    `json:"keys"`
	FirstObserved Time   `json:"first_observed"`
}

// Transport is the evidence of the fetch.
type Transport struct {
	URL            string  `json:"url"` // without user information, query values masked
	Status         *int    `json:"status"`
	ETag           *string `json:"etag"`
	CacheControl   *string `json:"cache_control"`
	ContentType    *string `json:"content_type"`
	MaxAgeS        *int64  `json:"max_age_s"`
	RemoteAddr     *string `json:"remote_addr"`
	TLSVersion     *string `json:"tls_version"`
	LeafSPKISHA256 *string `json:"leaf_spki_sha256"` // hex
	LeafIssuer     *string `json:"leaf_issuer"`
	BodySHA256     *string `json:"body_sha256"` // hex; null when the body held a secret
	BodyBytes      *int64  `json:"body_bytes"`
	DurationMS     int64   `json:"duration_ms"`
}

// Failure says in which phase a poll failed.
type Failure struct {
	Phase string `json:"phase"` // resolve, dial, refused, tls, status, read, size, timeout; discovery: only the discovery document is missing
	Error string `json:"error"`
	Count int    `json:"count"` // failures in a row
	Since Time   `json:"since"` // the first of them
}

// Standards maps the type to public catalogues.
type Standards struct {
	Attack   []string `json:"attack"`    // MITRE ATT&CK techniques, possible and not certain
	NISTCSF  []string `json:"nist_csf"`  // NIST CSF 2.0 subcategories
	OWASPNHI []string `json:"owasp_nhi"` // OWASP Non-Human Identities Top 10
}

// Observer is the agent that saw it.
type Observer struct {
	Name         string  `json:"name"`
	Vantage      *string `json:"vantage"`
	Version      string  `json:"version"`
	ConfigDigest string  `json:"config_digest"` // sha256:<hex>
	RulesDigest  string  `json:"rules_digest"`  // sha256:<hex>
}

// Integrity places the event in the hash chain of its endpoint.
type Integrity struct {
	Stream   string  `json:"stream"`   // the endpoint's name, or AgentStream
	Epoch    string  `json:"epoch"`    // random, new whenever a state is created or restored
	Sequence uint64  `json:"sequence"` // 1 for the first event of the stream in this epoch
	Previous *string `json:"previous"` // sha256:<hex> over the RFC 8785 form of the event before; null on the first
}

// Time is a moment in UTC, encoded as RFC 3339 with milliseconds.
type Time struct{ time.Time }

// At makes a Time of t.
func At(t time.Time) Time { return Time{t} }

// AtOrNil makes a Time of t, nil for the zero time.
func AtOrNil(t time.Time) *Time {
	if t.IsZero() {
		return nil
	}
	return &Time{t}
}

// TimeLayout is the layout of every time in an event.
const TimeLayout = "2006-01-02T15:04:05.000Z"

// MarshalJSON writes the time in UTC with exactly three decimals. RFC 3339 has
// years of four digits only: others are an error.
func (t Time) MarshalJSON() ([]byte, error) {
	u := t.UTC()
	if y := u.Year(); y < 0 || y > 9999 {
		return nil, fmt.Errorf("event time: no RFC 3339 form for the year %d", y)
	}
	return []byte(`"` + u.Format(TimeLayout) + `"`), nil
}

// UnmarshalJSON reads any RFC 3339 time.
func (t *Time) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err != nil {
		return err
	}
	v, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return fmt.Errorf("event time: %w", err)
	}
	t.Time = v
	return nil
}
