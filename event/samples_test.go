package event_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// sample is one golden event: its file is testdata/golden/<name>.json.
type sample struct {
	name  string
	event event.Event
}

// samples builds the golden events from Go values: one for each type, the
// closing one of each condition, and a rolled-up one. Every name is synthetic.
func samples() []sample {
	var list []sample
	add := func(name string, e event.Event) { list = append(list, sample{name, e}) }

	add("baseline.established", baseline())
	add("key.added", keyAdded())
	add("key.added.rolled_up", keyAddedRolledUp())
	add("key.removed", keyRemoved())
	add("key.mutated", keyMutated())
	add("key.relabelled", keyRelabelled())
	add("key.altered", keyAltered())
	add("key.reencoded", keyReencoded())
	add("key.certificate_changed", keyCertificateChanged())
	add("key.reappeared", keyReappeared())
	add("key.kid_reused", keyKidReused())
	add("key.private", keyPrivate())
	add("key.private.closed", closed(keyPrivate(),
		"corp-idp: private key no longer published under kid 2026-11-a (seen 2 of 2), since 19:20 UTC; it stays burnt: tokens it signed prove nothing"))
	add("key.unparseable", keyUnparseable())
	add("key.unparseable.closed", closed(keyUnparseable(),
		"partner-keys: entry keys/1 reads again or is gone (seen 2 of 2), since 19:20 UTC; verifiers see every key"))
	add("set.replaced", setReplaced())
	add("set.emptied", setEmptied())
	add("set.emptied.closed", closed(setEmptied(),
		"partner-keys: keys are back (seen 2 of 2), since 19:20 UTC after 31 minutes without any; tokens verify again"))
	add("set.ambiguous", setAmbiguous())
	add("set.ambiguous.closed", closed(setAmbiguous(),
		"partner-keys: one key for each kid again (seen 2 of 2), since 19:20 UTC; verifiers agree"))
	add("document.invalid", documentInvalid())
	add("document.invalid.closed", closed(documentInvalid(),
		"partner-keys: a JWK Set is served again (seen 2 of 2), since 19:20 UTC after 31 minutes; changes are seen again"))
	add("endpoint.unreachable", endpointUnreachable())
	add("endpoint.unreachable.closed", closed(endpointUnreachable(),
		"partner-keys: reachable again (2 polls in a row), since 19:20 UTC; blind for 36 minutes, a change in them may have been missed"))
	add("endpoint.unreachable.discovery", discoveryUnreachable())
	historySamples(add)
	healthSamples(add)
	waySamples(add)
	agentSamples(add)
	return list
}

func golden(name string) *event.Event {
	for _, s := range samples() {
		if s.name == name {
			return &s.event
		}
	}
	panic("no such sample: " + name)
}

func at(clock string) event.Time {
	t, err := time.Parse("2006-01-02 15:04:05.000", clock)
	if err != nil {
		panic(err)
	}
	return event.At(t)
}

func now() event.Time    { return at("2026-11-22 18:49:03.412") }
func before() event.Time { return at("2026-11-22 18:48:03.207") }

// Digests and thumbprints of nothing but their own names.
func thumb(s string) string {
	h := sha256.Sum256([]byte("thumbprint of " + s))
	return base64.RawURLEncoding.EncodeToString(h[:])
}

func hex256(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

func digest(s string) string { return "sha256:" + hex256(s) }

func identifier() event.Identifier {
	return event.Identifier{Key: sha256.Sum256([]byte("installation key of the samples")), Epoch: "5kq2m7xw4zt3ahcj"}
}

func confirmation() event.Confirmation {
	return event.Confirmation{Attempts: 2, Agreed: 2, Addresses: []string{"203.0.113.10:443"}}
}

func rsa(kid string) *event.Key {
	return &event.Key{
		Kid: event.TextOrNil(kid), Thumbprint: new(thumb(kid)), Kty: new("RSA"), Alg: new("RS256"), Use: new("sig"),
		Bits: new(2048), FirstSeen: new(at("2026-08-24 09:14:22.031")), LastSeen: new(before()),
	}
}

func young(k *event.Key) *event.Key {
	k.FirstSeen, k.LastSeen = new(now()), new(now())
	return k
}

func corpIDP() *event.Endpoint {
	return &event.Endpoint{
		Name: "corp-idp", Issuer: new("https://login.corp.example"), JWKSURI: new("https://login.corp.example/oauth2/v1/keys"),
		Tier: "critical", Owner: new("iam@corp.example"), Group: new("corp"), Labels: map[string]string{"env": "prod"},
	}
}

func partnerKeys() *event.Endpoint {
	return &event.Endpoint{
		Name: "partner-keys", JWKSURI: new("https://partner.example/.well-known/jwks.json"), Tier: "standard",
	}
}

func transport(ep *event.Endpoint) *event.Transport {
	return &event.Transport{
		URL: *ep.JWKSURI, Status: new(200), ETag: new(`"b7f1"`), CacheControl: new("public, max-age=3600"),
		ContentType: new("application/json"), MaxAgeS: new(int64(3600)), RemoteAddr: new("203.0.113.10:443"),
		TLSVersion: new("1.3"), LeafSPKISHA256: new(hex256("leaf")), LeafIssuer: new("CN=Example TLS CA 1,O=Example Trust,C=ZZ"),
		BodySHA256: new(hex256("body")), BodyBytes: new(int64(1893)), DurationMS: 212,
	}
}

// step is what the events of every type have in common. The subject is the
// thumbprint of key, and the endpoint's name without one.
func step(ep *event.Endpoint, t event.Type, s event.Severity, v event.Verdict, message string, key *event.Key) event.Event {
	subject := ep.Name
	if key != nil && key.Thumbprint != nil {
		subject = *key.Thumbprint
	}
	prev, next := sha256.Sum256([]byte("set before")), sha256.Sum256([]byte("set after"))
	id := identifier()
	rule := strings.NewReplacer(".", "-", "_", "-").Replace(string(t))
	return event.Event{
		ID: id.Event(ep.Name, 41, prev, next, t, subject, 0), Source: event.Source("soc-1", ep.Name),
		Subject: subject, Time: now(),
		Data: event.Data{
			Event: event.Facts{
				Type: t, Severity: s, Verdict: v, Message: message, Confirmed: true,
				ChangeSet: &event.ChangeSet{ID: id.ChangeSet(ep.Name, 41, prev, next), Total: 1},
			},
			Endpoint:  ep,
			Rules:     []event.Rule{{ID: rule, Title: "Built-in rule of " + string(t), Severity: s}},
			Judgement: event.Judgement{BaseSeverity: s},
			Key:       key,
			Observed:  &event.Observed{After: new(before()), Before: now()},
			Snapshot: &event.Snapshots{
				Previous: &event.Snapshot{Digest: digest("set before"), Keys: 2, FirstObserved: at("2026-08-24 09:14:22.031")},
				Current:  &event.Snapshot{Digest: digest("set after"), Keys: 3, FirstObserved: now()},
			},
			Transport: transport(ep),
			Standards: event.Standards{NISTCSF: []string{"DE.CM-06"}},
			Observer: event.Observer{
				Name: "soc-1", Vantage: new("eu-central"), Version: "1.0.0",
				ConfigDigest: digest("configuration"), RulesDigest: digest("rules"),
			},
			Integrity: event.Integrity{
				Stream: ep.Name, Epoch: id.Epoch, Sequence: 41, Previous: new(digest("event 40 of " + ep.Name)),
			},
		},
	}
}

// opened makes an event the opening of a condition.
func opened(e event.Event) event.Event {
	f := &e.Data.Event
	f.Condition = &event.Condition{
		ID: identifier().Condition(e.Data.Endpoint.Name, 41, f.Type, e.Subject, 0), State: event.Open, OpenedAt: e.Time, OpenedBy: e.ID,
	}
	return e
}

// closed turns the opening of a condition into its closing, 31 minutes and one
// revision later.
func closed(e event.Event, message string) event.Event {
	f := &e.Data.Event
	f.Condition.State = event.Closed
	e.Time = at("2026-11-22 19:20:03.390")
	e.Data.Observed = &event.Observed{After: new(at("2026-11-22 19:19:03.188")), Before: e.Time}
	e.Data.Snapshot.Previous = &event.Snapshot{Digest: digest("set after"), Keys: 3, FirstObserved: now()}
	e.Data.Snapshot.Current = &event.Snapshot{Digest: digest("set healed"), Keys: 2, FirstObserved: e.Time}
	name := e.Data.Endpoint.Name
	prev, next := sha256.Sum256([]byte("set after")), sha256.Sum256([]byte("set healed"))
	e.ID = identifier().Event(name, 42, prev, next, f.Type, e.Subject, 0)
	f.Severity, f.Verdict, f.Message = event.SeverityInformational, event.Informational, message
	f.Reasons = []string{"condition_closed"}
	f.ChangeSet.ID = identifier().ChangeSet(name, 42, prev, next)
	e.Data.Judgement = event.Judgement{BaseSeverity: event.SeverityInformational}
	e.Data.Failure = nil
	if e.Data.Transport == nil {
		e.Data.Transport = transport(e.Data.Endpoint)
	}
	e.Data.Integrity.Sequence, e.Data.Integrity.Previous = 42, new(digest("event 41 of "+name))
	return e
}
