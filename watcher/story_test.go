package watcher

import (
	"fmt"
	"testing"
	"time"
)

func TestWhatMakesOneStory(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	base := changed{name: "a", host: "a.example", site: "example", leaf: "CN=One", at: at, interval: time.Minute}
	for name, c := range map[string]struct {
		change func(*changed)
		want   string
	}{
		"the same endpoint":                 {func(c *changed) { c.name = "a" }, ""},
		"the same host":                     {func(*changed) {}, "host"},
		"two polls later":                   {func(c *changed) { c.at = at.Add(2 * time.Minute) }, "host"},
		"a little later than that":          {func(c *changed) { c.at = at.Add(2*time.Minute + 1) }, ""},
		"two polls of the slower":           {func(c *changed) { c.interval, c.at = time.Hour, at.Add(2*time.Hour) }, "host"},
		"the same domain":                   {func(c *changed) { c.host = "b.example" }, "site"},
		"the same authority":                {func(c *changed) { c.host, c.site = "b.test", "b.test" }, "leaf_issuer"},
		"the same authority, an hour later": {func(c *changed) { c.host, c.site, c.interval, c.at = "b.test", "b.test", time.Hour, at.Add(time.Hour) }, "leaf_issuer"},
		"the same authority, later than that": {func(c *changed) {
			c.host, c.site, c.interval, c.at = "b.test", "b.test", time.Hour, at.Add(time.Hour+1)
		}, ""},
		"nothing":        {func(c *changed) { c.host, c.site, c.leaf = "b.test", "b.test", "CN=Two" }, ""},
		"no certificate": {func(c *changed) { c.host, c.site, c.leaf = "b.test", "b.test", "" }, ""},
	} {
		o := base
		o.name = "b"
		c.change(&o)
		if got := o.by(&base); got != c.want || base.by(&o) != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestStoriesAreBounded lets a large fleet change, and decides a step anew.
func TestStoriesAreBounded(t *testing.T) {
	t.Parallel()
	var l changes
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	for i := range 2 * maxChanges {
		l.add(changed{name: fmt.Sprint(i), site: "example", at: at, interval: time.Minute, story: fmt.Sprint("cs", i)})
	}
	again := changed{name: "x", site: "example", at: at, interval: time.Minute, story: "csx"}
	l.add(again)
	if c := l.add(again); len(l.list) != maxChanges || c == nil || c.ID != "cs0" || c.Endpoints != maxChanges {
		t.Errorf("%d remembered, %+v", len(l.list), c)
	}
	l = changes{}
	l.add(again)
	if c := l.add(again); c != nil {
		t.Errorf("a step that was decided anew is a story with itself: %+v", c)
	}
}
