package configs

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// include is an element of the list include.
type include struct {
	text string
	at   value
}

// included reads the files that include names into c. They are read in the
// order of their paths, whatever the order of the list.
func (d *decoder) included(c *Config) {
	wanted := map[string]include{}
	for _, in := range d.includes {
		for _, path := range d.matches(in) {
			if _, again := wanted[path]; !again {
				wanted[path] = in
			}
		}
	}
	if len(wanted) > maxIncluded {
		d.fail(d.includes[0].at, false, fmt.Sprintf("include names %d files, at most %d are read", len(wanted), maxIncluded), "put more endpoints into one file")
		return
	}
	for _, path := range slices.Sorted(maps.Keys(wanted)) {
		in := wanted[path]
		src, r := d.load(path, MaxFile)
		if r != nil {
			d.fail(in.at, false, fmt.Sprintf("include of %s: %s", excerptOf(d.shown(path, in)), r.what), r.hint)
			continue
		}
		d.source = source{name: d.shown(path, in), dir: filepath.Dir(path), path: path}
		if root := d.document(src); root != nil {
			d.mapping(value{node: root}, "an included file", d.includedFields(c))
		}
		d.source = d.main
	}
}

// matches resolves an element to paths.
func (d *decoder) matches(in include) []string {
	if !strings.ContainsAny(in.text, "*?[") {
		path := d.path(in.text)
		if path == d.main.path {
			d.fail(in.at, false, "include names the file that it stands in", "name other files")
			return nil
		}
		return []string{path}
	}
	pattern := in.text
	if !filepath.IsAbs(pattern) {
		// The directory is no part of the pattern.
		pattern = filepath.Join(strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(d.main.dir), pattern)
	}
	found, err := d.glob(pattern)
	if err != nil {
		d.fail(in.at, false, "include has a pattern that cannot be read", `patterns have * ? and […]; a \ takes the meaning from the next character`)
		return nil
	}
	// As in a shell: what an editor hides while it writes is not meant.
	hidden := strings.HasPrefix(filepath.Base(in.text), ".")
	found = slices.DeleteFunc(slices.Clone(found), func(path string) bool {
		return path == d.main.path || !hidden && strings.HasPrefix(filepath.Base(path), ".")
	})
	if len(found) == 0 {
		d.warn(in.at, "no file matches "+excerptOf(in.text), "is the directory right? It is relative to this file")
	}
	return found
}

// shown is a path as problems say it: beside the name of the main file when it
// was given relative to it.
func (d *decoder) shown(path string, in include) string {
	rel, err := filepath.Rel(d.main.dir, path)
	if err != nil || filepath.IsAbs(in.text) {
		return path
	}
	return filepath.Join(filepath.Dir(d.main.name), rel)
}

// includedFields are the keys of an included file. What there can be only one of
// stands in the main file, so that the order of files never matters.
func (d *decoder) includedFields(c *Config) []field {
	fields := c.fields(d)
	for i := range fields {
		f := &fields[i]
		switch {
		case f.list != nil && !f.list.keyed, !f.built():
		case f.key == "include":
			*f = field{key: f.key, elsewhere: "includes do not nest", hint: "name the files in include: of " + d.main.name}
		default:
			*f = field{key: f.key, elsewhere: f.key + " belongs in the main file", hint: "move it to " + d.main.name}
		}
	}
	return fields
}

// readInclude takes an element of include.
func (d *decoder) readInclude(v value, text string) *refusal {
	if r := checkPath(text); r != nil {
		return r
	}
	d.includes = append(d.includes, include{text, v})
	return nil
}

// complete fills in what is open when all files were read, and checks what
// concerns several elements.
func (d *decoder) complete(c *Config, root *yaml.Node, at map[string]value, before int) {
	_, given := at["endpoints"]
	switch {
	case len(c.Endpoints) > 0 || given:
	case len(d.includes) == 0:
		d.fail(value{node: root}, false, "the configuration has no endpoints", endpointHint())
	case len(d.errs) == before:
		d.fail(d.includes[0].at, false, "neither this file nor those it includes have endpoints", endpointHint())
	}
	for i := range c.Endpoints {
		c.Endpoints[i].inherit(&c.Poll)
	}
	c.Poll.Proxy = proxyOrNone(c.Poll.Proxy)
	if len(c.Sinks) == 0 {
		s := Sink{Name: "stdout", Type: TypeLog}
		d.defaults(s.fields(d))
		c.Sinks = []Sink{s}
	}
	d.unique("endpoint", d.endpoints)
	d.unique("sink", d.sinks)
	d.policies(c)
	d.openings(c)
	d.logs(c)
	d.writers(c)
	d.source = d.main
}

// inherit takes the defaults of poll where the endpoint has nothing of its own.
func (e *Endpoint) inherit(p *Poll) {
	if e.Interval == 0 {
		e.Interval = p.Interval
	}
	if e.Timeout == 0 {
		e.Timeout = p.Timeout
	}
	if e.MaxBody == 0 {
		e.MaxBody = p.MaxBody
	}
	if e.MaxEvents == 0 {
		e.MaxEvents = p.MaxEvents
	}
	if e.Proxy == "" {
		e.Proxy = p.Proxy
	}
	e.Proxy = proxyOrNone(e.Proxy)
}

// proxyOrNone is "" for none, which until then tells an endpoint that wants no
// proxy from one that says nothing.
func proxyOrNone(proxy string) string {
	if proxy == proxyNone {
		return ""
	}
	return proxy
}
