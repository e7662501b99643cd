package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/url"
	"slices"
)

// Outlet is what says how much a sink gets, and who takes it.
type Outlet struct {
	Least  string `json:"least"` // severity
	Format string `json:"format"`
	// Receiver is a sum of where it is, without the path and the query of a webhook,
	// which may be secret.
	Receiver string `json:"receiver"`
	Clear    bool   `json:"clear,omitzero"`  // insecure
	OwnCA    bool   `json:"own_ca,omitzero"` // of a file; a rotated one is no change
	Asked    bool   `json:"asked,omitzero"`  // manage: its stream is looked at
	Backlog  int64  `json:"backlog"`
}

func (s *Sink) outlet() Outlet {
	o := Outlet{Least: s.MinSeverity, Format: s.Format, Backlog: s.MaxBacklog}
	where := []string{s.Type}
	switch {
	case s.NATS != nil:
		where = append(where, s.NATS.URL, s.NATS.Stream, s.NATS.Subject)
		o.Clear, o.OwnCA, o.Asked = s.NATS.Insecure, s.NATS.TLS.CAFile != "", s.NATS.Manage != "none"
	case s.File != nil:
		where = append(where, s.File.Path)
	case s.Syslog != nil:
		where = append(where, s.Syslog.Address)
		o.OwnCA = s.Syslog.TLS.CAFile != ""
	case s.Webhook != nil:
		if u, err := url.Parse(s.Webhook.URL); err == nil {
			where = append(where, u.Scheme, u.Host)
		}
		o.Clear, o.OwnCA = s.Webhook.Insecure, s.Webhook.TLS.CAFile != ""
	}
	b, _ := json.Marshal(where) // of texts: it always encodes
	sum := sha256.Sum256(b)
	o.Receiver = hex.EncodeToString(sum[:8])
	return o
}

// outlets are what sinks are compared by: their types, and what more both postures know.
func (p *Posture) outlets(other *Posture) map[string]string {
	out := map[string]string{}
	for name, typ := range p.Sinks {
		out[name] = typ
		o, ours := p.Outlets[name]
		if _, theirs := other.Outlets[name]; ours && theirs {
			b, _ := json.Marshal(o) // as above
			out[name] += string(b)
		}
	}
	return out
}

// muted says which sinks get less than before, or from whom others may take it. A posture
// of an earlier program knows only the names of sinks.
func (d *Delta) muted(was, is *Posture) {
	for _, name := range slices.Sorted(maps.Keys(was.Sinks)) {
		if _, there := is.Sinks[name]; !there {
			d.shrinks("sink %s is removed", name)
			continue
		}
		before, known := was.Outlets[name]
		if !known {
			continue
		}
		now := is.Outlets[name]
		if severityRank(now.Least) > severityRank(before.Least) {
			d.shrinks("sink %s: min_severity is raised from %s to %s", name, before.Least, now.Least)
		}
		if now.Receiver != before.Receiver {
			d.shrinks("sink %s: events go to another receiver", name)
		}
		if now.Clear && !before.Clear {
			d.shrinks("sink %s: insecure is turned on", name)
		}
		if before.OwnCA && !now.OwnCA {
			d.shrinks("sink %s: its own certificate authorities are dropped", name)
		}
		if before.Asked && !now.Asked {
			d.shrinks("sink %s: its stream is no longer asked for what it acknowledged", name)
		}
		if now.Backlog < before.Backlog {
			d.shrinks("sink %s: max_backlog is lowered from %d to %d", name, before.Backlog, now.Backlog)
		}
	}
}

func severityRank(s string) int {
	return slices.Index([]string{"informational", "low", "medium", "high", "critical"}, s)
}
