package format

import (
	"encoding/json"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// ecsVersion is the version of the Elastic Common Schema that is written.
const ecsVersion = "9.4.0"

// ecs is the event in fields of the Elastic Common Schema. JSON Web Keys have no
// field there: the whole of what was stored stands under jwkswatch.
func (d *document) ecs() object {
	r := d.rule()
	out := object{
		"@timestamp": d.Time.UTC().Format(event.TimeLayout), "ecs": object{"version": ecsVersion}, "message": d.Event.Message, "tags": d.tags(),
		"event": d.ecsEvent(r.ID), "rule": object{"id": r.ID, "name": d.title(r.Title), "ruleset": "jwkswatch"},
		"observer":  object{"name": d.Observer.Name, "product": "jwkswatch", "vendor": "jwkswatch", "type": "jwks-monitor", "version": d.Observer.Version},
		"jwkswatch": json.RawMessage(d.Data),
	}
	related := object{}
	if d.approval != nil && d.approval.Endpoint != "" {
		out["service"] = object{"name": d.approval.Endpoint}
	}
	if d.Endpoint != nil {
		service := object{"name": d.Endpoint.Name}
		if u := d.url(); u != "" {
			service["address"] = u
		}
		out["service"] = service
		if len(d.Endpoint.Labels) > 0 {
			l := object{}
			for _, k := range slices.Sorted(maps.Keys(d.Endpoint.Labels)) { // a.b and a_b are one: always the same of them stays
				l[strings.ReplaceAll(k, ".", "_")] = d.Endpoint.Labels[k] // a dot would be another level
			}
			out["labels"] = l
		}
	}
	if u := d.url(); u != "" {
		out["url"] = ecsURL(u, related)
	}
	if a, ok := d.remote(); ok {
		out["destination"] = object{"ip": a.Addr().String(), "port": int(a.Port()), "address": a.Addr().String()}
		related["ip"] = []string{a.Addr().String()}
	}
	if t := d.Transport; t != nil {
		response := object{}
		if t.Status != nil {
			response["status_code"] = *t.Status
		}
		if t.BodyBytes != nil {
			response["body"] = object{"bytes": *t.BodyBytes}
		}
		if len(response) > 0 {
			out["http"] = object{"response": response}
		}
		if v := text(t.TLSVersion); v != "" {
			out["tls"] = object{"version": v, "version_protocol": "tls"}
		}
	}
	if all := d.thumbprints(); len(all) > 0 {
		related["hash"] = all
	}
	if len(related) > 0 {
		out["related"] = related
	}
	if len(d.Standards.Attack) > 0 {
		out["threat"] = object{"framework": "MITRE ATT&CK", "technique": object{"id": d.Standards.Attack}}
	}
	return out
}

// thumbprints are those of all keys of the event, the one before, those of a rolled-up
// event and those of an approval too, each once: who looks for one of them finds it.
func (d *document) thumbprints() (all []string) {
	add := func(thumbprint *string) {
		if t := text(thumbprint); t != "" && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	for _, k := range []*event.Key{d.Key, d.Previous} {
		if k != nil {
			add(k.Thumbprint)
		}
	}
	for i := range d.Keys {
		add(d.Keys[i].Thumbprint)
	}
	if a := d.approval; a != nil {
		add(a.Thumbprint)
		for i := range a.Keys {
			add(&a.Keys[i])
		}
	}
	return all
}

func (d *document) tags() []string {
	tags := []string{"jwkswatch"}
	if d.Event.Drill {
		tags = append(tags, "drill")
	}
	return tags
}

func (d *document) ecsEvent(code string) object {
	kind := "event"
	if d.alert() {
		kind = "alert"
	}
	category, typ := d.ecsCategory()
	e := object{
		"id": d.ID, "kind": kind, "category": []string{category}, "type": []string{typ}, "action": string(d.Event.Type), "code": code,
		"severity": int(d.Event.Severity), "risk_score": riskScore(d.Event.Severity), "created": d.Time.UTC().Format(event.TimeLayout),
		"module": "jwkswatch", "dataset": "jwkswatch.events", "provider": "jwkswatch", "sequence": d.Integrity.Sequence,
	}
	if len(d.Event.Reasons) > 0 {
		e["reason"] = strings.Join(d.Event.Reasons, ", ")
	}
	if c := d.Event.Condition; c != nil {
		e["start"] = c.OpenedAt.UTC().Format(event.TimeLayout)
		if d.closes() {
			e["end"] = d.Time.UTC().Format(event.TimeLayout)
		}
	}
	return e
}

// ecsCategory is the category of the event, with a type that is expected there.
func (d *document) ecsCategory() (category, typ string) {
	switch d.object() {
	case "endpoint", "document":
		if d.Event.Condition != nil && !d.closes() {
			return "web", "error"
		}
		return "web", "info"
	}
	switch d.Event.Type {
	case event.KeyAdded, event.BaselineEstablished:
		return "configuration", "creation"
	case event.KeyRemoved, event.SetEmptied:
		return "configuration", "deletion"
	}
	switch d.object() {
	case "key", "set", "discovery", "rotation":
		return "configuration", "change"
	}
	return "configuration", "info"
}

// riskScore is the severity on Elastic's scale.
func riskScore(s event.Severity) int { return [...]int{0, 10, 21, 47, 73, 99}[min(int(s), 5)] }

func ecsURL(s string, related object) object {
	out := object{"full": s, "original": s}
	u, err := url.Parse(s)
	if err != nil {
		return out
	}
	if h := u.Hostname(); h != "" {
		out["domain"] = h
		related["hosts"] = slices.Compact([]string{h})
	}
	if u.Scheme != "" {
		out["scheme"] = u.Scheme
	}
	if u.Path != "" {
		out["path"] = u.Path
	}
	if port, err := strconv.Atoi(u.Port()); err == nil {
		out["port"] = port
	}
	return out
}
