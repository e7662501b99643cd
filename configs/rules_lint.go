package configs

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/jwkswatch/jwkswatch/rules/custom"
)

// use is a test whose values are names that must stand somewhere else.
type use struct {
	sourced
	test custom.Test
}

// lint warns of one rule that is probably not meant as it stands.
func (b *bookReader) lint(v value, at map[string]value, r *custom.Rule) {
	warn := func(key, what, hint string) {
		place := value{node: v.node}
		if at[key].node != nil {
			place = at[key]
		}
		b.warn(place, "rule "+r.ID+" "+what, hint)
	}
	if r.Action == custom.Downgrade {
		now := b.d.options.Now()
		switch {
		case !now.Before(r.Expires):
			warn("expires", "has expired: it lowers nothing any more", "take it out, or look at it again and give it another date")
		case r.Expires.Sub(now) > soon:
			warn("expires", "lowers severities for more than 90 days", "give it an earlier date: what was true in spring need not be in autumn")
		}
		if !r.Where.Narrow() {
			warn("where", "lowers severities of more than single endpoints", "name them: where: { endpoint.name: [a, b] }; who can choose a label or a tier can choose to be quiet")
		}
	}
	if r.Where.Never() {
		warn("where", "never matches: what it asks for excludes itself", "look at its bounds and values")
	}
	if open := r.Where.Open(); len(open) > 0 {
		warn("where", fmt.Sprintf("matches what has no %s, because of not", listing(open, "or")), fmt.Sprintf("add %s: { exists: true } beside not, if it should not", open[0]))
	}
	for i := range r.Escalate {
		e := &r.Escalate[i]
		both := custom.Matcher{All: []custom.Matcher{r.Where, e.Where}}
		switch {
		case both.Never():
			warn("escalate", "escalates where it never matches", "look at its bounds and values")
		case e.Severity == r.Severity:
			warn("escalate", "escalates to the severity that it has", "leave the escalation out, or give it another severity")
		}
	}
}

// between warns of what is odd between rules, once all are read.
func (b *bookReader) between() {
	all := b.set.Rules
	warned := 0
	for i := range all {
		for j := range all {
			// Of two that say the same the later one is told of.
			if !all[j].Shadows(&all[i]) || j > i && all[i].Shadows(&all[j]) {
				continue
			}
			at := b.at[all[i].ID]
			b.d.source = at.source
			b.warn(at.value, fmt.Sprintf("rule %s never decides: whatever it matches, rule %s at %s says as strongly", all[i].ID, all[j].ID, all[j].Place), "take one of them out")
			warned++
			break
		}
		if warned >= maxRules/10 {
			break
		}
	}
	for what, names := range map[string]map[string]*named{"list": b.lists, "macro": b.macros} {
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if n := names[name]; !n.used {
				b.d.source = n.source
				b.warn(value{node: n.value.key}, fmt.Sprintf("no rule uses the %s %s", what, quoteKey(n.value.key)), "take it out, or is its name misspelt where it should be used?")
			}
		}
	}
	b.ruleNames()
}

// ruleNames warns of tests for rules that there are not.
func (b *bookReader) ruleNames() {
	var ids []string
	for _, r := range b.book {
		ids = append(ids, r.ID)
	}
	for _, u := range b.uses {
		if u.test.Field.Name == "event.rules" {
			b.known(u, "no built-in rule is named", ids)
		}
	}
}

// against warns of names that stand nowhere in the configuration: a rule about an
// endpoint that there is not is dead, and one that misses its label quiet.
func (b *bookReader) against(c *Config) {
	var names, groups, owners []string
	labels := map[string][]string{}
	for i := range c.Endpoints {
		e := &c.Endpoints[i]
		names, groups, owners = append(names, e.Name), append(groups, e.Group), append(owners, e.Owner)
		for k, v := range e.Labels {
			labels[k] = append(labels[k], v)
		}
	}
	for _, u := range b.uses {
		field := u.test.Field.Name
		switch label, ok := strings.CutPrefix(field, "endpoint.labels."); {
		case field == "endpoint.name":
			b.known(u, "no endpoint is named", names)
		case field == "endpoint.group":
			b.known(u, "no endpoint has the group", groups)
		case field == "endpoint.owner":
			b.known(u, "no endpoint has the owner", owners)
		case ok && labels[label] == nil:
			b.d.source = u.source
			b.warn(u.value, "no endpoint has a label "+strconv.Quote(excerptOf(label)), didYouMean(nearest(label, slices.Sorted(maps.Keys(labels))), "labels stand under labels: of endpoints"))
		case ok:
			b.known(u, "no endpoint has the label "+label+" with", labels[label])
		}
	}
}

// known warns of values of a test that are none of these. Patterns are left alone.
func (b *bookReader) known(u use, what string, there []string) {
	if u.test.Op != custom.Eq && u.test.Op != custom.Ne && u.test.Op != custom.In && u.test.Op != custom.NotIn {
		return
	}
	for _, v := range u.test.Values {
		if s, ok := v.(string); ok && !slices.Contains(there, s) {
			b.d.source = u.source
			b.warn(u.value, what+" "+strconv.Quote(excerptOf(s)), didYouMean(nearestID(s, there), "is it misspelt, or gone?"))
		}
	}
}

func didYouMean(near, otherwise string) string {
	if near == "" {
		return otherwise
	}
	return fmt.Sprintf("did you mean %q?", near)
}

// nearestID is nearest among names with hyphens.
func nearestID(s string, ids []string) string {
	under := make([]string, len(ids))
	for i, id := range ids {
		under[i] = strings.ReplaceAll(id, "-", "_")
	}
	near := nearest(s, under)
	if i := slices.Index(under, near); near != "" && i >= 0 {
		return ids[i]
	}
	return ""
}
