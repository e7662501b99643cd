package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// ConfigChanged says that another configuration is in use, or was refused. A
// change that watches less than before is medium, and high when a critical
// endpoint goes; so is a refusal medium, which is said once for the same
// reasons. now is what is watched from now on; it is not used for a refusal.
func (v *Voice) ConfigChanged(ctx context.Context, at time.Time, d event.AgentConfigChangedDetails, critical bool, now StartFacts) error {
	refused := d.Outcome == "refused"
	sum := sha256.Sum256([]byte(strings.Join(d.Problems, "\n")))
	reason := hex.EncodeToString(sum[:])
	var coverage []byte
	if !refused {
		coverage = now.coverage().encode()
	}
	return v.record(ctx, at, coverage, func(m *memory) ([]word, bool) {
		if refused && m.Refused == reason {
			return nil, false
		}
		m.Refused = ""
		if !refused && m.Run != nil {
			m.Run.ConfigDigest = now.ConfigDigest
		}
		if refused {
			m.Refused = reason
		}
		return []word{changed(d, critical)}, true
	})
}

// ConfigMended tells, if a configuration was refused, that the file is good again
// although nothing changes by it: the same mistake is news from then on.
func (v *Voice) ConfigMended(ctx context.Context, at time.Time, trigger, digest string) error {
	return v.record(ctx, at, nil, func(m *memory) ([]word, bool) {
		if m.Refused == "" {
			return nil, false
		}
		m.Refused = ""
		w := changed(event.AgentConfigChangedDetails{Outcome: "applied", Trigger: trigger, DigestBefore: &digest, DigestAfter: &digest}, false)
		w.message = "the configuration that was refused is good again (" + trigger + "): nothing changed by it"
		return []word{w}, true
	})
}

// changed is the word of another configuration.
func changed(d event.AgentConfigChangedDetails, critical bool) word {
	w := word{
		typ: event.AgentConfigChanged, severity: event.SeverityLow, verdict: event.Informational,
		message: fmt.Sprintf("another configuration is in use (%s): %s", d.Trigger, summary(d)),
	}
	switch {
	case d.Outcome == "refused":
		w.rule, w.severity, w.verdict, w.reasons = ruleRefused, event.SeverityMedium, event.Unexpected, []string{"refused"}
		w.message = fmt.Sprintf("a configuration was refused (%s): %s; the old one stays in use", d.Trigger, plural(len(d.Problems), "problem"))
	case critical:
		w.rule, w.severity, w.base, w.reasons = ruleShrinks, event.SeverityHigh, event.SeverityMedium, []string{"coverage_shrinks", "tier_critical"}
		w.adjusted = []event.Adjustment{{Rule: ruleShrinks, Kind: "raise", To: event.SeverityHigh, Reason: "tier_critical"}}
	case len(d.Shrinks) > 0:
		w.rule, w.severity, w.reasons = ruleShrinks, event.SeverityMedium, []string{"coverage_shrinks"}
	}
	for _, list := range []*[]string{
		&d.EndpointsAdded, &d.EndpointsRemoved, &d.EndpointsChanged, &d.SinksAdded, &d.SinksRemoved, &d.SinksChanged, &d.Settings, &d.Shrinks, &d.Problems,
	} {
		*list = slices.Clone((*list)[:min(len(*list), maxListed)])
	}
	w.details = d
	return w
}

// maxNamed is how many settings a message names.
const maxNamed = 4

// summary says in short what changed.
func summary(d event.AgentConfigChangedDetails) string {
	var parts []string
	for _, p := range []struct {
		list []string
		what string
	}{
		{d.EndpointsAdded, "endpoints added"},
		{d.EndpointsRemoved, "endpoints removed"},
		{d.EndpointsChanged, "endpoints changed"},
		{d.SinksAdded, "sinks added"},
		{d.SinksRemoved, "sinks removed"},
		{d.SinksChanged, "sinks changed"},
	} {
		if len(p.list) > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", len(p.list), p.what))
		}
	}
	if len(d.Settings) > 0 {
		parts = append(parts, strings.Join(d.Settings[:min(len(d.Settings), maxNamed)], ", ")+" changed")
	}
	s := strings.Join(parts, ", ")
	if s == "" {
		s = "other values changed"
	}
	if len(d.Shrinks) > 0 {
		s += "; " + d.Shrinks[0]
	}
	return s
}
