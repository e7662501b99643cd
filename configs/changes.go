package configs

import (
	"bytes"
	"fmt"
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
	d.endpoints(byKey(old.Endpoints, endpointName), byKey(new.Endpoints, endpointName))
	d.sinks(byKey(old.Sinks, sinkName), byKey(new.Sinks, sinkName))
	d.settings(old, new)
	slices.Sort(d.Settings)
	slices.Sort(d.Shrinks)
	slices.Sort(d.Restart)
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

func (d *Delta) endpoints(old, new map[string]Endpoint) {
	d.EndpointsAdded, d.EndpointsRemoved, d.EndpointsChanged = compared(old, new)
	for _, name := range d.EndpointsRemoved {
		if old[name].Tier == "critical" {
			d.Critical = true
			d.shrinks("critical endpoint %s is removed", name)
			continue
		}
		d.shrinks("endpoint %s is removed", name)
	}
	for _, name := range d.EndpointsChanged {
		was, is := old[name], new[name]
		for _, what := range loosened(&was, &is) {
			d.shrinks("endpoint %s: %s", name, what)
		}
	}
}

func (d *Delta) shrinks(format string, args ...any) {
	d.Shrinks = append(d.Shrinks, fmt.Sprintf(format, args...))
}

// loosened says what of an endpoint is watched less, or trusted more.
func loosened(was, is *Endpoint) []string {
	var out []string
	say := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(tierRank(is.Tier) < tierRank(was.Tier), "tier is lowered from %s to %s", was.Tier, is.Tier)
	say(was.Issuer != "" && is.Issuer == "", "its discovery document is no longer watched")
	say(len(was.TLS.Pins) > 0 && len(is.TLS.Pins) == 0, "pins are dropped")
	say(len(is.TLS.Pins) > 0 && len(was.TLS.Pins) > 0 && !subset(is.TLS.Pins, was.TLS.Pins) && subset(was.TLS.Pins, is.TLS.Pins), "more pins are accepted")
	say(len(was.TLS.CA) > 0 && len(is.TLS.CA) == 0, "its own certificate authorities are dropped, those of the system are trusted")
	say(was.Redirects == "none" && is.Redirects != "none", "redirects are followed")
	say(was.Addresses == "each" && is.Addresses != "each", "its addresses are no longer asked one by one")
	say(!was.AllowPrivate && is.AllowPrivate, "allow_private is turned on")
	say(was.Proxy == "" && is.Proxy != "", "a proxy stands before it, and its addresses are no longer guarded")
	say(is.Interval > was.Interval, "interval is raised from %s to %s", formatDuration(was.Interval), formatDuration(is.Interval))
	say(is.MaxBody < was.MaxBody, "max_body is lowered from %s to %s", formatSize(was.MaxBody), formatSize(is.MaxBody))
	say(is.MaxEvents < was.MaxEvents, "max_events is lowered from %d to %d an hour", was.MaxEvents, is.MaxEvents)
	declared, declares := &was.Expect, &is.Expect
	say(declared.Cadence > 0 && (declares.Cadence == 0 || declares.Cadence > declared.Cadence), "expect.cadence is loosened")
	say(declared.Overlap > 0 && declares.Overlap < declared.Overlap, "expect.overlap is loosened")
	say(declared.MaxKeyAge > 0 && (declares.MaxKeyAge == 0 || declares.MaxKeyAge > declared.MaxKeyAge), "expect.max_key_age is loosened")
	say(declared.Keys.Max > 0 && (declares.Keys.Max == 0 || declares.Keys.Max > declared.Keys.Max), "expect.keys is loosened")
	say(len(declared.Algs) > 0 && (len(declares.Algs) == 0 || !subset(declares.Algs, declared.Algs)), "expect.algs is loosened")
	say(len(declared.Thumbprints) > 0 && (len(declares.Thumbprints) == 0 || !subset(declares.Thumbprints, declared.Thumbprints)), "expect.thumbprints is loosened")
	say(!subset(declares.Windows, declared.Windows) && len(declared.Windows) > 0, "expect.windows has more windows")
	say(len(declared.Windows) > 0 && len(declares.Windows) == 0, "expect.windows is dropped: changes at any time are as good")
	say(was.Learn == "off" && is.Learn == "on", "learn is turned on")
	return out
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func tierRank(tier string) int {
	return slices.Index([]string{"low", "standard", "critical"}, tier)
}

func (d *Delta) sinks(old, new map[string]Sink) {
	d.SinksAdded, d.SinksRemoved, d.SinksChanged = compared(old, new)
	for _, name := range d.SinksRemoved {
		d.shrinks("sink %s is removed", name)
	}
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
		"compromised":        !slices.Equal(old.Compromised.Thumbprints, new.Compromised.Thumbprints),
		"windows":            windowsChanged(old.Windows, new.Windows),
		"approvals":          !slices.Equal(old.Approvals.List, new.Approvals.List),
		"rules":              old.Rules.Set.Digest() != new.Rules.Set.Digest(),
	}, map[string]bool{
		"evidence":               old.Evidence != new.Evidence,
		"state.path":             old.State.Path != new.State.Path,
		"compromised.blocklists": !slices.Equal(old.Compromised.Blocklists, new.Compromised.Blocklists),
		"observer.name":          old.Observer.Name != new.Observer.Name,
	}
	was, is := webOf(old), webOf(new)
	later["web"] = (old.Web == nil) != (new.Web == nil)
	if !later["web"] {
		later["web.listen"] = was.Listen != is.Listen
		later["web.tls"] = !bytes.Equal(was.Cert, is.Cert) || !bytes.Equal(was.Key, is.Key)
		later["web.token_file"] = was.Token.Reveal() != is.Token.Reveal()
	}
	d.Settings, d.Restart = which(now), which(later)
	if new.State.Retain < old.State.Retain {
		d.shrinks("state.retain is lowered from %s to %s", formatDuration(old.State.Retain), formatDuration(new.State.Retain))
	}
	if old.State.Backup.Every > 0 && new.State.Backup.Every == 0 {
		d.shrinks("state.backup is turned off")
	}
	if !subset(old.Compromised.Thumbprints, new.Compromised.Thumbprints) {
		d.shrinks("compromised.thumbprints loses keys")
	}
	d.widened(old.Windows, new.Windows)
	d.lowers(old.Rules.Set, new.Rules.Set)
	if before, after := old.Drill.Every, new.Drill.Every; before > 0 && (after == 0 || after > before) {
		d.shrinks("drills are sent less often")
	}
	switch before, after := old.Observer.Heartbeat, new.Observer.Heartbeat; {
	case before > 0 && after == 0:
		d.shrinks("observer.heartbeat is turned off")
	case before > 0 && after > before:
		d.shrinks("observer.heartbeat is raised from %s to %s", formatDuration(before), formatDuration(after))
	}
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
