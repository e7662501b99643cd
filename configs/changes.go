package configs

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
)

// Delta is what a reload changes. All lists are sorted; names are those of
// endpoints and sinks.
type Delta struct {
	EndpointsAdded, EndpointsRemoved, EndpointsChanged []string
	SinksAdded, SinksRemoved, SinksChanged             []string
	// Critical says that an endpoint whose tier was critical is removed.
	Critical bool
	// Settings are the other keys whose value changed and that take effect at
	// once, such as observer.heartbeat.
	Settings []string
	// Shrinks says in words what is watched less than before.
	Shrinks []string
	// Restart are the keys whose value changed and cannot change in a running
	// process.
	Restart []string
}

// Empty reports whether nothing changed.
func (d *Delta) Empty() bool { return reflect.ValueOf(*d).IsZero() }

// Changes compares two configurations. A rotated secret or certificate behind
// the same path is a change too, though not of the digest: the keys were read
// and must be taken up. Shrinks and all other lists never hold a secret.
func Changes(old, new *Config) Delta {
	var d Delta
	d.EndpointsAdded, d.EndpointsRemoved, d.EndpointsChanged = compared(byKey(old.Endpoints, endpointName), byKey(new.Endpoints, endpointName))
	d.SinksAdded, d.SinksRemoved, d.SinksChanged = compared(byKey(old.Sinks, sinkName), byKey(new.Sinks, sinkName))
	d.settings(old, new)
	d.shrunk(old.Posture(), new.Posture())
	d.lowers(old.Rules.Set, new.Rules.Set)
	d.sort()
	return d
}

func endpointName(e Endpoint) string { return e.Name }
func sinkName(s Sink) string         { return s.Name }

func byKey[T any](list []T, name func(T) string) map[string]T {
	out := make(map[string]T, len(list))
	for _, e := range list {
		out[name(e)] = e
	}
	return out
}

// compared sorts names into added, removed and changed.
func compared[T any](old, new map[string]T) (added, removed, changed []string) {
	for name, was := range old {
		switch is, there := new[name]; {
		case !there:
			removed = append(removed, name)
		case !reflect.DeepEqual(was, is):
			changed = append(changed, name)
		}
	}
	for name := range new {
		if _, there := old[name]; !there {
			added = append(added, name)
		}
	}
	slices.Sort(added)
	slices.Sort(removed)
	slices.Sort(changed)
	return added, removed, changed
}

// settings compares what is neither an endpoint nor a sink. The defaults of poll
// show in the endpoints.
func (d *Delta) settings(old, new *Config) {
	now, later := map[string]bool{
		"state.retain":       old.State.Retain != new.State.Retain,
		"state.backup":       old.State.Backup != new.State.Backup,
		"observer.vantage":   old.Observer.Vantage != new.Observer.Vantage,
		"drill":              old.Drill != new.Drill,
		"observer.heartbeat": old.Observer.Heartbeat != new.Observer.Heartbeat,
		"compromised":        !slices.Equal(old.Compromised.Thumbprints, new.Compromised.Thumbprints) || listsChanged(&old.Compromised, &new.Compromised),
		"windows":            windowsChanged(old.Windows, new.Windows),
		"approvals":          !slices.Equal(old.Approvals.List, new.Approvals.List),
		"rules":              old.Rules.Set.Digest() != new.Rules.Set.Digest(),
	}, map[string]bool{
		"evidence":      old.Evidence != new.Evidence,
		"state.path":    old.State.Path != new.State.Path,
		"observer.name": old.Observer.Name != new.Observer.Name,
	}
	was, is := webOf(old), webOf(new)
	later["web"] = (old.Web == nil) != (new.Web == nil)
	if !later["web"] {
		later["web.listen"] = was.Listen != is.Listen
		later["web.tls"] = !bytes.Equal(was.Cert, is.Cert) || !bytes.Equal(was.Key, is.Key)
		later["web.token_file"] = was.Token.Reveal() != is.Token.Reveal()
	}
	d.Settings, d.Restart = which(now), which(later)
}

func webOf(c *Config) Web {
	if c.Web == nil {
		return Web{}
	}
	return *c.Web
}

func which(keys map[string]bool) []string {
	var out []string
	for key, changed := range keys {
		if changed {
			out = append(out, key)
		}
	}
	return out
}

// String lists the changes in one line, for a log.
func (d *Delta) String() string {
	var parts []string
	for _, p := range []struct {
		what string
		list []string
	}{
		{"endpoints added", d.EndpointsAdded},
		{"endpoints removed", d.EndpointsRemoved},
		{"endpoints changed", d.EndpointsChanged},
		{"sinks added", d.SinksAdded},
		{"sinks removed", d.SinksRemoved},
		{"sinks changed", d.SinksChanged},
		{"settings changed", d.Settings},
		{"needs a restart", d.Restart},
	} {
		if len(p.list) > 0 {
			parts = append(parts, p.what+": "+strings.Join(p.list, ", "))
		}
	}
	if len(parts) == 0 {
		return "nothing changed"
	}
	return strings.Join(parts, "; ")
}
