package watcher

import (
	"slices"
	"sync"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/rules"
)

const (
	// maxChanges bounds how many changes are remembered to compare with.
	maxChanges = 1024
	// leafWindow is the longest time for which the issuer of certificates makes
	// two changes one story: many have the same.
	leafWindow = time.Hour
)

// changes are the last steps in which keys changed, of all endpoints. They are
// lost with the process, and with them only that one story was told in parts.
type changes struct {
	mu   sync.Mutex
	list []changed // the oldest first
}

// changed is one step in which keys changed.
type changed struct {
	name, host, site, leaf string
	at                     time.Time
	interval               time.Duration
	story                  string // change set of the first that belongs with it
}

// by says what two changes have in common, "" when they are not one story.
func (c *changed) by(o *changed) string {
	apart := c.at.Sub(o.at).Abs()
	within := 2 * max(c.interval, o.interval)
	switch {
	case c.name == o.name || apart > within:
		return ""
	case c.host != "" && c.host == o.host:
		return "host"
	case c.site != "" && c.site == o.site:
		return "site"
	case c.leaf != "" && c.leaf == o.leaf && apart <= leafWindow:
		return "leaf_issuer"
	}
	return ""
}

// add notes a change, whose change set is its story so far, and returns what it is
// part of; nil when it stands alone. What binds closest counts.
func (l *changes) add(c changed) *event.Correlation {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = slices.DeleteFunc(l.list, func(o changed) bool { // a step that is decided anew
		return o.name == c.name && o.at.Equal(c.at)
	})
	var found *event.Correlation
	own := c.story
	for _, by := range []string{"host", "site", "leaf_issuer"} {
		i := slices.IndexFunc(l.list, func(o changed) bool { return c.by(&o) == by })
		if i < 0 {
			continue
		}
		c.story = l.list[i].story
		found = &event.Correlation{ID: c.story, By: by}
		break
	}
	if l.list = append(l.list, c); len(l.list) > maxChanges {
		l.list = slices.Delete(l.list, 0, len(l.list)-maxChanges)
	}
	if found == nil || found.ID == own {
		return nil
	}
	names := map[string]bool{}
	for i := range l.list {
		if l.list[i].story == found.ID {
			names[l.list[i].name] = true
		}
	}
	found.Endpoints = max(len(names), 2)
	return found
}

// correlate tells whether other endpoints changed together with this one. id is
// the change set of the step.
func (w *Watcher) correlate(e *Endpoint, out *rules.Outcome, o *rules.Observation, id string) *event.Correlation {
	if !slices.ContainsFunc(out.Findings, keysChanged) {
		return nil
	}
	c := changed{name: e.Name, host: e.host, site: e.site, at: o.At, interval: e.Interval, story: id}
	if o.Facts != nil {
		c.leaf = o.Facts.LeafIssuer
		if o.Facts.Host != "" && o.Facts.Host != e.host { // where discovery leads
			c.host = o.Facts.Host
		}
	}
	return w.changes.add(c)
}

// keysChanged reports whether a finding tells that other keys are published than
// before.
func keysChanged(f rules.Finding) bool {
	switch f.Type {
	case event.KeyAdded, event.KeyRemoved, event.KeyMutated, event.KeyKidReused, event.KeyReappeared, event.KeyRelabelled,
		event.SetReplaced, event.SetEmptied, event.SetRolledBack:
		return !f.Closing
	}
	return false
}
