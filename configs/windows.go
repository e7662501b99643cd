package configs

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // a container has no zones

	"go.yaml.in/yaml/v4"

	"github.com/jwkswatch/jwkswatch/rules"
)

// Window is a change window: Weekly or Dated says when it is open, as it was
// written.
type Window struct {
	Name   string
	Weekly string // "Tue 09:00-11:00 Europe/Berlin"
	Dated  string // "2026-12-01 22:00-02:00 Europe/Berlin"
	Times  rules.Window
}

func (w *Window) fields() []field {
	return []field{
		{key: "weekly", need: "this or `dated`", doc: "Days, times of the day and the zone of the clocks (IANA; UTC without one). One that ends before it begins ends on the day after.", example: `"Tue 09:00-11:00 Europe/Berlin"`, one: w.binding(&w.Weekly, weekPattern, "wants days, times and a zone, such as Tue 09:00-11:00 Europe/Berlin", "days are Mon to Sun, as Tue, Mon-Fri or Mon,Wed; times are of 24 hours")},
		{key: "dated", need: "this or `weekly`", doc: "The same on one date. When nothing changes in it, `rotation.missed` tells.", example: `"2026-12-01 22:00-02:00 Europe/Berlin"`, one: w.binding(&w.Dated, datePattern, "wants a date, times and a zone, such as 2026-12-01 22:00-02:00 Europe/Berlin", "the date is that of the beginning")},
	}
}

const (
	dayPattern  = `(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)`
	daysPattern = dayPattern + `(?:-` + dayPattern + `)?`
	timePattern = ` (?:[01][0-9]|2[0-3]):[0-5][0-9]-(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]|24:00)(?: [A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2})?`
	weekPattern = daysPattern + `(?:,` + daysPattern + `)*` + timePattern
	datePattern = `[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])` + timePattern
)

// binding keeps the text and what it means.
func (w *Window) binding(text *string, pattern, wants, hint string) *binding {
	sh := func() shape { return shape{pattern: pattern} }
	return &binding{typ: "window", shape: sh, show: func() string { return quoteSet(*text) }, set: func(s string) *refusal {
		if !regexp.MustCompile(`^(?:` + pattern + `)$`).MatchString(s) {
			return refused(wants, hint)
		}
		t, r := parseWindow(s)
		if r == nil {
			*text, w.Times = s, t
		}
		return r
	}}
}

// parseWindow reads a text of one of the patterns.
func parseWindow(s string) (w rules.Window, r *refusal) {
	parts := strings.Split(s, " ")
	if days, ok := weekdays(parts[0]); ok {
		w.Days = days
	} else {
		var err error
		if w.Date, err = time.Parse(time.DateOnly, parts[0]); err != nil {
			return w, refused("names a day that is on no calendar", "the month is shorter")
		}
	}
	from, to, _ := strings.Cut(parts[1], "-")
	if w.From, w.To = minutes(from), minutes(to); w.From == w.To {
		return w, refused("ends when it begins", "write 00:00-24:00 for a whole day")
	}
	w.Zone = time.UTC
	if len(parts) == 3 {
		zone, err := time.LoadLocation(parts[2])
		if err != nil || parts[2] == "Local" {
			return w, refused("names a zone that is not known", "zones are those of IANA, such as Europe/Berlin or America/New_York")
		}
		w.Zone = zone
	}
	return w, nil
}

// weekdays reads Tue, Mon-Fri and lists of them; Fri-Mon goes over the weekend.
func weekdays(s string) (days [7]bool, ok bool) {
	names := []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	for part := range strings.SplitSeq(s, ",") {
		first, last, both := strings.Cut(part, "-")
		if !both {
			last = first
		}
		i, j := slices.Index(names, first), slices.Index(names, last)
		if i < 0 || j < 0 {
			return days, false
		}
		for days[i] = true; i != j; days[i] = true {
			i = (i + 1) % 7
		}
	}
	return days, true
}

// minutes of the day, of a text that has the form.
func minutes(s string) int {
	hours, minutes, _ := strings.Cut(s, ":")
	h, _ := strconv.Atoi(hours)
	m, _ := strconv.Atoi(minutes)
	return 60*h + m
}

// windowList is the catalogue's list of windows.
func (c *Config) windowList(d *decoder) *list {
	return &list{
		keyed: true, element: new(Window).fields(),
		readNamed: func(v value) {
			c.Windows = append(c.Windows, Window{Name: v.key.Value})
			d.window(&c.Windows[len(c.Windows)-1], v)
		},
		show: func() []element {
			var out []element
			for _, w := range slices.SortedFunc(slices.Values(c.Windows), byName(func(w Window) string { return w.Name })) {
				out = append(out, element{w.Name, w.fields()})
			}
			return out
		},
	}
}

func (d *decoder) window(w *Window, v value) {
	if !isName(w.Name) {
		d.fail(v, true, "the name of a window wants a-z, 0-9, _ and -, at most 63 long", "it stands in events")
	}
	at := d.mapping(v, "a window", w.fields())
	_, weekly := at["weekly"]
	dated, both := at["dated"]
	switch {
	case weekly && both:
		d.fail(dated, true, "dated beside weekly: a window has one of them", "give the other one a name of its own")
	case !weekly && !both && v.node.Kind == yaml.MappingNode:
		d.fail(value{node: v.node}, false, "a window has neither weekly nor dated", `give one, such as weekly: "Tue 09:00-11:00 Europe/Berlin"`)
	}
	w.Times.Name = w.Name
}

// openings holds that the windows which endpoints name are there, and not so long
// that a critical endpoint is hardly guarded. Those that nobody names are told.
func (d *decoder) openings(c *Config) {
	used := map[string]bool{}
	for i, e := range d.endpoints {
		d.source = e.source
		expect := e.at["expect"]
		if expect.node == nil || expect.node.Kind != yaml.MappingNode {
			continue
		}
		v := member(expect.node, "windows")
		for _, name := range c.Endpoints[i].Expect.Windows {
			used[name] = true
			j := slices.IndexFunc(c.Windows, func(w Window) bool { return w.Name == name })
			switch {
			case j < 0:
				hint := "windows stand at the top of the main file: windows: { " + name + `: { weekly: "Tue 09:00-11:00 Europe/Berlin" } }`
				var names []string
				for _, w := range c.Windows {
					names = append(names, w.Name)
				}
				if near := nearest(name, names); near != "" {
					hint = fmt.Sprintf("did you mean %q?", near)
				}
				d.fail(v, false, "no window is named "+name, hint)
			case c.Endpoints[i].Tier == "critical" && c.Windows[j].Times.TooLong():
				d.fail(v, false, fmt.Sprintf("window %s is open for %s: at a critical endpoint four hours are the most", name, formatDuration(c.Windows[j].Times.Longest())), "make it shorter, or announce the key instead: see docs/approvals.md")
			}
		}
	}
	d.source = d.main
	for _, w := range c.Windows {
		if v := member(member(d.root, "windows").node, w.Name); v.node != nil && !used[w.Name] {
			d.warn(v, "no endpoint has the window "+w.Name, "name it in expect: { windows: ["+w.Name+"] } of an endpoint")
		}
	}
}

// WindowsOf are the change windows of an endpoint, in the order of their names
// there.
func (c *Config) WindowsOf(e *Endpoint) []rules.Window {
	var out []rules.Window
	for _, name := range e.Expect.Windows {
		if i := slices.IndexFunc(c.Windows, func(w Window) bool { return w.Name == name }); i >= 0 {
			out = append(out, c.Windows[i].Times)
		}
	}
	return out
}

func windowsChanged(old, new []Window) bool {
	text := func(w Window) [3]string { return [3]string{w.Name, w.Weekly, w.Dated} }
	if len(old) != len(new) {
		return true
	}
	is := map[[3]string]bool{}
	for _, w := range new {
		is[text(w)] = true
	}
	return slices.ContainsFunc(old, func(w Window) bool { return !is[text(w)] })
}
