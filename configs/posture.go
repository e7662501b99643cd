package configs

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Posture is what of a configuration says how much is watched and whom it trusts:
// what a reload, and a start with another file, are held against. It holds no secret
// and is stored as JSON: members are added and never change their meaning.
type Posture struct {
	Endpoints map[string]Stance `json:"endpoints"` // by name
	Sinks     map[string]string `json:"sinks"`     // type by name
	Outlets   map[string]Outlet `json:"outlets,omitempty"`
	Retain    time.Duration     `json:"retain"`
	Backup    time.Duration     `json:"backup,omitzero"`
	Heartbeat time.Duration     `json:"heartbeat,omitzero"`
	Drill     time.Duration     `json:"drill,omitzero"`
	// Compromised are thumbprints, Lists counts the keys of lists by their path.
	Compromised []string          `json:"compromised,omitempty"`
	Lists       map[string]int    `json:"lists,omitempty"`
	Windows     map[string]string `json:"windows,omitempty"` // their times by name
	// Rules is the digest of the rules of the operator. Of them only a reload can
	// say what they lower.
	Rules string `json:"rules,omitzero"`
}

// Stance is what an endpoint is held to.
type Stance struct {
	// Sum changes with everything that is no secret: headers, keys and the query of a
	// URL are not in it.
	Sum        string        `json:"sum"`
	Tier       string        `json:"tier"`
	Discovery  bool          `json:"discovery,omitzero"`
	Pins       []string      `json:"pins,omitempty"`
	OwnCA      bool          `json:"own_ca,omitzero"`
	Redirects  bool          `json:"redirects,omitzero"`
	Each       bool          `json:"each,omitzero"`
	Private    bool          `json:"private,omitzero"`
	Proxy      bool          `json:"proxy,omitzero"`
	Interval   time.Duration `json:"interval"`
	MaxBody    int64         `json:"max_body"`
	MaxEvents  int64         `json:"max_events"`
	Cadence    time.Duration `json:"cadence,omitzero"`
	Overlap    time.Duration `json:"overlap,omitzero"`
	MaxKeyAge  time.Duration `json:"max_key_age,omitzero"`
	MaxKeys    int           `json:"max_keys,omitzero"`
	Algs       []string      `json:"algs,omitempty"`
	Expected   []string      `json:"expected,omitempty"` // thumbprints
	Windows    []string      `json:"windows,omitempty"`
	NoLearning bool          `json:"no_learning,omitzero"`
}

// Posture is that of the configuration.
func (c *Config) Posture() *Posture {
	p := &Posture{
		Endpoints: map[string]Stance{}, Sinks: map[string]string{}, Outlets: map[string]Outlet{}, Retain: c.State.Retain, Backup: c.State.Backup.Every,
		Heartbeat: c.Observer.Heartbeat, Drill: c.Drill.Every, Compromised: c.Compromised.Thumbprints,
		Lists: map[string]int{}, Windows: map[string]string{},
	}
	for i := range c.Endpoints {
		p.Endpoints[c.Endpoints[i].Name] = c.Endpoints[i].stance()
	}
	for _, s := range c.Sinks {
		p.Sinks[s.Name], p.Outlets[s.Name] = s.Type, s.outlet()
	}
	for i, l := range c.Compromised.Lists {
		p.Lists[c.Compromised.Blocklists[i]] = l.Len()
	}
	for _, w := range c.Windows {
		p.Windows[w.Name] = w.Weekly + w.Dated
	}
	if sum := c.Rules.Set.Digest(); sum != [32]byte{} {
		p.Rules = hex.EncodeToString(sum[:])
	}
	return p
}

func (e *Endpoint) stance() Stance {
	x := &e.Expect
	s := Stance{
		Tier: e.Tier, Discovery: e.Issuer != "", Pins: e.TLS.Pins, OwnCA: len(e.TLS.CA) > 0, Redirects: e.Redirects == "same-host",
		Each: e.Addresses == "each", Private: e.AllowPrivate, Proxy: e.Proxy != "", Interval: e.Interval, MaxBody: e.MaxBody, MaxEvents: e.MaxEvents,
		Cadence: x.Cadence, Overlap: x.Overlap, MaxKeyAge: x.MaxKeyAge, MaxKeys: x.Keys.Max, Algs: x.Algs, Expected: x.Thumbprints, Windows: x.Windows,
		NoLearning: e.Learn == "off",
	}
	url, _, _ := strings.Cut(e.JWKSURI, "?")
	// Of texts, numbers and truths: it always encodes, and in one way.
	b, _ := json.Marshal([]any{
		s, e.Issuer, url, e.Owner, e.Group, e.Labels, e.Timeout, slices.Sorted(maps.Keys(e.Headers)), certificatesDigest(e.TLS.CA), certificatesDigest(e.TLS.Cert),
		x.TokenLifetime, x.Keys.Min,
	})
	sum := sha256.Sum256(b)
	s.Sum = hex.EncodeToString(sum[:8])
	return s
}

// Encode writes a posture.
func (p *Posture) Encode() []byte {
	b, _ := json.Marshal(p) // as above
	return b
}

// Since says what differs from a posture that was encoded before. Of Restart and
// of what rules lower it knows nothing.
func (p *Posture) Since(before []byte) (Delta, error) {
	var d Delta
	var was Posture
	if err := json.Unmarshal(before, &was); err != nil {
		return d, fmt.Errorf("what was configured before: %w", err)
	}
	sum := func(m map[string]Stance) map[string]string {
		out := map[string]string{}
		for name, s := range m {
			out[name] = s.Sum
		}
		return out
	}
	d.EndpointsAdded, d.EndpointsRemoved, d.EndpointsChanged = compared(sum(was.Endpoints), sum(p.Endpoints))
	d.SinksAdded, d.SinksRemoved, d.SinksChanged = compared(was.outlets(p), p.outlets(&was))
	d.Settings = which(map[string]bool{
		"state.retain":       was.Retain != p.Retain,
		"state.backup":       was.Backup != p.Backup,
		"observer.heartbeat": was.Heartbeat != p.Heartbeat,
		"drill":              was.Drill != p.Drill,
		"compromised":        !slices.Equal(was.Compromised, p.Compromised) || !maps.Equal(was.Lists, p.Lists),
		"windows":            !maps.Equal(was.Windows, p.Windows),
		"rules":              was.Rules != p.Rules,
	})
	d.shrunk(&was, p)
	d.sort()
	return d, nil
}

func (d *Delta) sort() {
	slices.Sort(d.Settings)
	slices.Sort(d.Shrinks)
	slices.Sort(d.Restart)
}

// shrunk says what is watched less, or trusted more, than before.
func (d *Delta) shrunk(was, is *Posture) {
	for _, name := range slices.Sorted(maps.Keys(was.Endpoints)) {
		before := was.Endpoints[name]
		now, watched := is.Endpoints[name]
		switch {
		case !watched && before.Tier == "critical":
			d.Critical = true
			d.shrinks("critical endpoint %s is removed", name)
		case !watched:
			d.shrinks("endpoint %s is removed", name)
		default:
			for _, what := range loosened(&before, &now) {
				d.shrinks("endpoint %s: %s", name, what)
			}
		}
	}
	d.muted(was, is)
	for path, n := range was.Lists {
		switch now, there := is.Lists[path]; {
		case !there:
			d.shrinks("compromised.blocklists loses %s", filepath.Base(path))
		case now < n:
			d.shrinks("list of known keys %s has %d keys and no longer %d", filepath.Base(path), now, n)
		}
	}
	for name, times := range was.Windows {
		if now, there := is.Windows[name]; there && now != times {
			d.shrinks("window %s is open at other times", name)
		}
	}
	if !subset(was.Compromised, is.Compromised) {
		d.shrinks("compromised.thumbprints loses keys")
	}
	if is.Retain < was.Retain {
		d.shrinks("state.retain is lowered from %s to %s", formatDuration(was.Retain), formatDuration(is.Retain))
	}
	if was.Backup > 0 && is.Backup == 0 {
		d.shrinks("state.backup is turned off")
	}
	if was.Drill > 0 && (is.Drill == 0 || is.Drill > was.Drill) {
		d.shrinks("drills are sent less often")
	}
	switch {
	case was.Heartbeat > 0 && is.Heartbeat == 0:
		d.shrinks("observer.heartbeat is turned off")
	case was.Heartbeat > 0 && is.Heartbeat > was.Heartbeat:
		d.shrinks("observer.heartbeat is raised from %s to %s", formatDuration(was.Heartbeat), formatDuration(is.Heartbeat))
	}
}

func (d *Delta) shrinks(format string, args ...any) {
	d.Shrinks = append(d.Shrinks, fmt.Sprintf(format, args...))
}

// loosened says what of an endpoint is watched less, or trusted more.
func loosened(was, is *Stance) []string {
	var out []string
	say := func(when bool, format string, args ...any) {
		if when {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	say(tierRank(is.Tier) < tierRank(was.Tier), "tier is lowered from %s to %s", was.Tier, is.Tier)
	say(was.Discovery && !is.Discovery, "its discovery document is no longer watched")
	say(len(was.Pins) > 0 && len(is.Pins) == 0, "pins are dropped")
	say(len(is.Pins) > 0 && len(was.Pins) > 0 && !subset(is.Pins, was.Pins) && subset(was.Pins, is.Pins), "more pins are accepted")
	say(was.OwnCA && !is.OwnCA, "its own certificate authorities are dropped, those of the system are trusted")
	say(!was.Redirects && is.Redirects, "redirects are followed")
	say(was.Each && !is.Each, "its addresses are no longer asked one by one")
	say(!was.Private && is.Private, "allow_private is turned on")
	say(!was.Proxy && is.Proxy, "a proxy stands before it, and its addresses are no longer guarded")
	say(is.Interval > was.Interval, "interval is raised from %s to %s", formatDuration(was.Interval), formatDuration(is.Interval))
	say(is.MaxBody < was.MaxBody, "max_body is lowered from %s to %s", formatSize(was.MaxBody), formatSize(is.MaxBody))
	say(is.MaxEvents < was.MaxEvents, "max_events is lowered from %d to %d an hour", was.MaxEvents, is.MaxEvents)
	say(was.Cadence > 0 && (is.Cadence == 0 || is.Cadence > was.Cadence), "expect.cadence is loosened")
	say(was.Overlap > 0 && is.Overlap < was.Overlap, "expect.overlap is loosened")
	say(was.MaxKeyAge > 0 && (is.MaxKeyAge == 0 || is.MaxKeyAge > was.MaxKeyAge), "expect.max_key_age is loosened")
	say(was.MaxKeys > 0 && (is.MaxKeys == 0 || is.MaxKeys > was.MaxKeys), "expect.keys is loosened")
	say(len(was.Algs) > 0 && (len(is.Algs) == 0 || !subset(is.Algs, was.Algs)), "expect.algs is loosened")
	say(len(was.Expected) > 0 && (len(is.Expected) == 0 || !subset(is.Expected, was.Expected)), "expect.thumbprints is loosened")
	say(!subset(is.Windows, was.Windows) && len(was.Windows) > 0, "expect.windows has more windows")
	say(len(was.Windows) > 0 && len(is.Windows) == 0, "expect.windows is dropped: changes at any time are as good")
	say(was.NoLearning && !is.NoLearning, "learn is turned on")
	return out
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func tierRank(tier string) int {
	return slices.Index([]string{"low", "standard", "critical"}, tier)
}
