package format

import (
	"encoding/json"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
)

// ocsfVersion is the version of the schema that is written.
const ocsfVersion = "1.8.0"

// The classes of OCSF.
const (
	detectionFinding     = 2004
	entityManagement     = 3004
	applicationLifecycle = 6002
)

// object is a JSON object; encoding/json writes its members sorted.
type object = map[string]any

// ocsf is the event as one of three classes: what somebody should look at is a
// Detection Finding, what happens to keys as it should is Entity Management, and
// what the agent says of itself is Application Lifecycle. No profile is used.
func (d *document) ocsf() object {
	class, activity, name := d.activity()
	out := object{
		"class_uid": class, "category_uid": class / 1000, "activity_id": activity, "activity_name": name, "type_uid": class*100 + activity,
		"severity_id": int(d.Event.Severity), "severity": ocsfSeverity(d.Event.Severity), "time": d.Time.UnixMilli(), "message": d.Event.Message,
		"count": d.Event.Count, "metadata": d.metadata(), "observables": d.observables(),
		"unmapped": object{"jwkswatch": json.RawMessage(d.Data)},
	}
	switch class {
	case detectionFinding:
		d.findingOf(out)
	case entityManagement:
		out["entity"] = d.entity()
		out["comment"] = d.Event.Message
	case applicationLifecycle:
		out["app"] = d.product()
		if c := d.Event.Condition; c != nil {
			out["status_id"], out["status"] = 99, string(c.State)
		}
	}
	return out
}

// activity is the class of the event, and what happened in its words.
func (d *document) activity() (class, activity int, name string) {
	switch {
	case d.object() == "agent":
		switch d.Event.Type {
		case event.AgentStarted:
			return applicationLifecycle, 3, "Start"
		case event.AgentStopped:
			return applicationLifecycle, 4, "Stop"
		}
		return applicationLifecycle, 99, string(d.Event.Type)
	case d.Event.Type == event.DrillPassed:
		return applicationLifecycle, 99, string(d.Event.Type)
	case d.finding() && d.object() != "approval":
		if d.closes() {
			return detectionFinding, 3, "Close"
		}
		return detectionFinding, 1, "Create"
	}
	switch d.Event.Type {
	case event.KeyAdded, event.BaselineEstablished, event.ApprovalGranted:
		return entityManagement, 1, "Create"
	case event.KeyRemoved, event.ApprovalRevoked, event.ApprovalExpired:
		return entityManagement, 4, "Delete"
	}
	return entityManagement, 3, "Update"
}

func ocsfSeverity(s event.Severity) string {
	return [...]string{"Unknown", "Informational", "Low", "Medium", "High", "Critical"}[min(int(s), 5)]
}

func (d *document) product() object {
	return object{"name": "jwkswatch", "vendor_name": "jwkswatch", "version": d.Observer.Version, "uid": d.Observer.Name}
}

func (d *document) metadata() object {
	m := object{
		"version": ocsfVersion, "uid": d.ID, "original_event_uid": d.ID, "original_time": d.Time.UTC().Format(event.TimeLayout),
		"event_code": string(d.Event.Type), "sequence": d.Integrity.Sequence, "log_name": d.Integrity.Stream, "product": d.product(),
	}
	if c := d.Event.ChangeSet; c != nil {
		m["correlation_uid"] = c.ID
	}
	if c := d.Event.Condition; c != nil && d.object() == "agent" {
		m["correlation_uid"] = c.ID // its class has no finding that ties the end to the beginning
	}
	labels := []string{"verdict:" + string(d.Event.Verdict)}
	if d.Event.Drill {
		labels = append(labels, "drill")
	}
	m["labels"] = labels
	return m
}

// findingOf fills what only a Detection Finding has.
func (d *document) findingOf(out object) {
	r := d.rule()
	info := object{
		"uid": d.incident(), "title": d.title(r.Title), "desc": d.Event.Message, "types": []string{string(d.Event.Type)},
		"analytic": object{"uid": r.ID, "name": r.Title, "type_id": 1, "type": "Rule"},
		"product":  d.product(),
	}
	if c := d.Event.Condition; c != nil {
		info["created_time"] = c.OpenedAt.UnixMilli()
	}
	if k := d.Key; k != nil && k.FirstSeen != nil {
		info["first_seen_time"] = k.FirstSeen.UnixMilli()
	}
	if u := d.url(); u != "" {
		info["src_url"] = u
	}
	var attacks []object
	for _, t := range d.Standards.Attack {
		attacks = append(attacks, object{"technique": object{"uid": t}})
	}
	if attacks != nil {
		info["attacks"] = attacks
	}
	out["finding_info"] = info
	out["is_alert"] = d.alert()
	out["status_id"], out["status"] = 1, "New"
	if d.closes() {
		out["status_id"], out["status"] = 4, "Resolved"
	}
	out["confidence_id"], out["confidence"] = 2, "Medium"
	if d.Event.Confirmed {
		out["confidence_id"], out["confidence"] = 3, "High"
	}
	if e := d.evidence(); e != nil {
		out["evidences"] = []object{e}
	}
	out["resources"] = []object{d.resource()}
}

// title says of a drill that it is one: it must not wake anybody twice.
func (d *document) title(t string) string {
	if d.Event.Drill {
		return "DRILL: " + t
	}
	return t
}

// evidence is the answer that showed it; nil when there was none.
func (d *document) evidence() object {
	e := object{"data": object{"change_set": d.Event.ChangeSet}}
	u := d.url()
	if u == "" {
		return nil
	}
	e["url"] = object{"url_string": u}
	if t := d.Transport; t != nil && t.Status != nil {
		e["http_response"] = object{"code": *t.Status, "latency": t.DurationMS}
	}
	if a, ok := d.remote(); ok {
		e["dst_endpoint"] = object{"ip": a.Addr().String(), "port": int(a.Port())}
	}
	return e
}

// resource is what is concerned: the key, the key set of the endpoint, or the agent.
func (d *document) resource() object {
	r := object{"type": "JSON Web Key Set", "uid": d.name(), "name": d.name()}
	if d.Endpoint == nil {
		r = object{"type": "Watcher of JSON Web Key Sets", "uid": d.Observer.Name, "name": d.Observer.Name}
	}
	if d.Endpoint != nil {
		r["criticality"] = d.Endpoint.Tier
		if o := text(d.Endpoint.Owner); o != "" {
			r["owner"] = object{"name": o}
		}
		if g := text(d.Endpoint.Group); g != "" {
			r["group"] = object{"name": g}
		}
		if len(d.Endpoint.Labels) > 0 {
			r["labels"] = labels(d.Endpoint.Labels)
		}
	}
	if k := d.Key; k != nil {
		r["type"], r["data"] = "JSON Web Key", k
		if t := text(k.Thumbprint); t != "" {
			r["uid"] = t
		}
		if kid := text(k.Kid); kid != "" {
			r["name"] = kid
		}
	}
	return r
}

func labels(m map[string]string) []string {
	var out []string
	for k, v := range m {
		out = append(out, k+":"+v)
	}
	slices.Sort(out)
	return out
}

// entity is what was changed. Of an approval it is the approval: the key is as it was.
func (d *document) entity() object {
	if a := d.approval; a != nil {
		return object{"type_id": 99, "type": "Approval of a change of keys", "uid": a.ID, "name": d.name(), "data": a}
	}
	r := d.resource()
	e := object{"type_id": 99, "type": r["type"], "uid": r["uid"], "name": r["name"]}
	if data, ok := r["data"]; ok {
		e["data"] = data
	}
	return e
}

// The types of observables.
const (
	observableIP          = 2
	observableURL         = 6
	observableResource    = 10
	observableFingerprint = 30
)

func (d *document) observables() []object {
	out := []object{}
	add := func(id int, typ, name, value string) {
		if value != "" {
			out = append(out, object{"type_id": id, "type": typ, "name": name, "value": value})
		}
	}
	add(observableURL, "URL String", "evidences[].url.url_string", d.url())
	if a, ok := d.remote(); ok {
		add(observableIP, "IP Address", "evidences[].dst_endpoint.ip", a.Addr().String())
	}
	if d.approval != nil {
		add(observableResource, "Resource UID", "entity.data.thumbprint", text(d.approval.Thumbprint))
	}
	if d.Key != nil {
		add(observableResource, "Resource UID", "resources[].uid", text(d.Key.Thumbprint))
	}
	if d.Previous != nil {
		add(observableResource, "Resource UID", "unmapped.jwkswatch.previous_key.thumbprint", text(d.Previous.Thumbprint))
	}
	for i := range d.Keys {
		add(observableResource, "Resource UID", "unmapped.jwkswatch.keys[].thumbprint", text(d.Keys[i].Thumbprint))
	}
	if d.Transport != nil {
		add(observableFingerprint, "Fingerprint", "unmapped.jwkswatch.transport.leaf_spki_sha256", text(d.Transport.LeafSPKISHA256))
	}
	return out
}
