package token

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/query"
)

// Signature says what became of verifying.
type Signature string

// The outcomes of verifying.
const (
	Valid   Signature = "valid"
	Invalid Signature = "invalid" // of the keys that were tried, none made it
	NoKey   Signature = "no_key"  // no published key could be tried
)

// Published says how the token's iat lies to the time in which its key was
// published.
type Published string

// The places of iat.
const (
	Yes     Published = "yes"
	Before  Published = "before"  // made before the key was published
	After   Published = "after"   // made after the key was gone
	Never   Published = "never"   // no such key was ever seen
	Unknown Published = "unknown" // made before anybody watched, or before the key came back
)

// Report is the answer of `jwkswatch token`. Members are always present.
type Report struct {
	Kid        *string     `json:"kid"`
	Alg        string      `json:"alg"`
	Endpoint   *string     `json:"endpoint"`   // that published the key; null when none did
	Thumbprint *string     `json:"thumbprint"` // of the key that verifies, else of the only one of that kid
	Signature  Signature   `json:"signature"`
	Published  Published   `json:"published"`
	FirstSeen  *event.Time `json:"first_seen"` // null: in a baseline, so its age is unknown
	LastSeen   *event.Time `json:"last_seen"`
	GoneBy     *event.Time `json:"gone_by"` // null while it is live
	IssuedAt   *event.Time `json:"iat"`
	Findings   []Finding   `json:"findings"`
}

// Finding is one thing about a token that is not as it should be.
type Finding struct {
	Code     string         `json:"code"`
	Severity event.Severity `json:"severity"`
	Message  string         `json:"message"`
}

// Worst is the highest severity of the findings, 0 without one.
func (r *Report) Worst() event.Severity {
	var worst event.Severity
	for _, f := range r.Findings {
		worst = max(worst, f.Severity)
	}
	return worst
}

// maxTried bounds the signatures that are verified for one token.
const maxTried = 64

// asymmetric are the algorithms whose public half can be published.
func asymmetric() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	}
}

// Examine holds a token against keys that were ever published: those that bore
// the kid of its header, and others that may have signed it. Each are tried in
// their order.
func Examine(t *Token, named, others []query.PublishedKey) Report {
	r := Report{Alg: event.Text(t.Alg), Signature: NoKey, Published: Never, IssuedAt: event.AtOrNil(t.Issued), Findings: []Finding{}}
	if t.Kid != nil {
		r.Kid = new(event.Text(*t.Kid))
	}
	say := func(code string, severity event.Severity, message string) {
		r.Findings = append(r.Findings, Finding{code, severity, message})
	}
	header(t, say)
	key, tried := verifying(t, named)
	if key == nil {
		var more int
		key, more = verifying(t, others)
		tried += more
		if key != nil && t.Kid != nil {
			say("kid_differs", event.SeverityMedium, "a key that was never published under this kid verifies the token")
		}
	}
	switch {
	case key != nil:
		r.Signature = Valid
	case tried > 0:
		r.Signature = Invalid
		say("signature_invalid", event.SeverityHigh, "no published key verifies the signature: forged, cut, or signed by a key that was never seen")
	}
	if key == nil && len(named) > 0 {
		key = &named[0] // of that kid, the live one first
	}
	if key == nil {
		if t.Kid != nil {
			say("unknown_key", event.SeverityHigh, "no endpoint ever published a key with this kid: whoever accepted the token trusts a key that nobody watches")
		} else {
			say("unknown_key", event.SeverityHigh, "no published key verifies the token, and it names none")
		}
		return r
	}
	r.Endpoint, r.Thumbprint = new(key.Endpoint), key.Thumbprint
	r.FirstSeen, r.LastSeen, r.GoneBy = key.FirstSeen, key.LastSeen, key.GoneBy
	r.Published = placed(t.Issued, key)
	switch r.Published {
	case Before:
		say("issued_before_key", event.SeverityHigh, "the token says that it was made before its key was published: back-dated, or the key was held back")
	case After:
		say("issued_after_key", event.SeverityHigh, "the token says that it was made after its key was gone: whoever has the old key still signs")
	case Unknown:
		if key.Returned {
			say("key_returned", event.SeverityLow, "the key was published, withdrawn, and is back: jwkswatch history "+key.Endpoint+" says whether it was there when the token was made")
			break
		}
		say("issued_before_watch", event.SeverityLow, "the token says that it was made before the first look, at "+key.WatchedFrom.UTC().Format("2006-01-02 15:04:05 UTC")+": whether its key was published then is not known")
	}
	if t.Issued.IsZero() {
		say("no_iat", event.SeverityLow, "the token does not say when it was made: its key was held against now")
	}
	if key.Alg != nil && *key.Alg != t.Alg {
		say("alg_differs", event.SeverityMedium, fmt.Sprintf("the key is published for %s (RFC 8725, section 3.1)", event.Text(*key.Alg)))
	}
	if key.Issuer != nil && t.Issuer != "" && strings.TrimSuffix(t.Issuer, "/") != strings.TrimSuffix(*key.Issuer, "/") {
		say("issuer_differs", event.SeverityHigh, "the token names another issuer than the one whose key it is")
	}
	return r
}

// header finds what is wrong with a token whatever its key.
func header(t *Token, say func(string, event.Severity, string)) {
	switch {
	case strings.EqualFold(t.Alg, "none"):
		say("alg_none", event.SeverityCritical, "the token is not signed: whoever accepts it accepts anything")
	case len(t.Alg) > 2 && strings.EqualFold(t.Alg[:2], "HS"):
		say("alg_hmac", event.SeverityHigh, "signed with a shared secret: with a public key as that secret anyone can sign (RFC 8725, section 2.1)")
	case !slices.Contains(asymmetric(), jose.SignatureAlgorithm(t.Alg)):
		say("alg_unknown", event.SeverityMedium, "an algorithm that is not verified here")
	}
	for _, name := range t.Sent {
		say("header_"+name, event.SeverityMedium, "the token brings or names its own key ("+name+"): who follows it trusts whoever wrote the token")
	}
	if t.Kid != nil && strings.ContainsAny(*t.Kid, "/\\'\"`;|<>${}\x00\n") {
		say("kid_unsafe", event.SeverityMedium, "the kid holds characters of paths, queries or templates: an injection, or an unwise label")
	}
}

// verifying returns the first key that verifies the token, and how many were
// tried.
func verifying(t *Token, keys []query.PublishedKey) (found *query.PublishedKey, tried int) {
	signed, err := jose.ParseSignedCompact(t.raw, asymmetric())
	if err != nil {
		return nil, 0
	}
	for i := range keys {
		public, err := usable(keys[i].JWK)
		if err != nil {
			continue
		}
		if tried++; tried > maxTried {
			break
		}
		if _, err := signed.Verify(public); err == nil {
			return &keys[i], tried
		}
	}
	return nil, tried
}

// usable makes a key of a published entry. Only its public members are read, and
// those as leniently as verifiers in the wild do: a padded number is a number.
func usable(entry json.RawMessage) (any, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(entry, &members); err != nil {
		return nil, err
	}
	clean := map[string]string{}
	for _, name := range []string{"kty", "crv", "n", "e", "x", "y"} {
		var value string
		if raw, ok := members[name]; !ok || json.Unmarshal(raw, &value) != nil {
			continue
		}
		if name != "kty" && name != "crv" {
			value = strings.NewReplacer("+", "-", "/", "_", "=", "", "\n", "", "\r", "", " ", "").Replace(value)
		}
		clean[name] = value
	}
	encoded, err := json.Marshal(clean)
	if err != nil {
		return nil, err
	}
	var key jose.JSONWebKey
	if err := key.UnmarshalJSON(encoded); err != nil {
		return nil, err
	}
	return key.Key, nil
}

// placed holds iat against the time in which the key was published. Polls bound
// that time: only what is surely outside is.
func placed(issued time.Time, k *query.PublishedKey) Published {
	switch {
	case issued.IsZero() && k.GoneBy != nil:
		return After
	case issued.IsZero():
		return Yes
	case k.FirstAfter != nil && issued.Before(k.FirstAfter.Time):
		if k.Returned {
			return Unknown
		}
		return Before
	case k.FirstAfter == nil && k.WatchedFrom != nil && issued.Before(k.WatchedFrom.Time):
		return Unknown
	case k.GoneBy != nil && issued.After(k.GoneBy.Time):
		return After
	}
	return Yes
}
