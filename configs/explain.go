package configs

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/jwkswatch/jwkswatch/fetch"
)

// Explained is one effective value and where it comes from.
type Explained struct {
	Path  string `json:"path"`  // such as endpoints[corp-idp].tls.ca_file
	Value string `json:"value"` // secrets as [redacted]
	// Origin is file:line, file:line (${env:NAME}) of an expanded value,
	// file:line (poll.interval) of an inherited one, or default.
	Origin string `json:"origin"`
}

// Explanation lists every effective value.
type Explanation []Explained

// origin is where a value was read.
type origin struct {
	file string
	line int
	col  int
	from string // the expansions, "" for none
}

const originDefault = "default"

func (d *decoder) origin(v value, s scalarText) origin {
	return origin{d.source.name, v.node.Line, v.node.Column, s.from}
}

func (o origin) String() string {
	switch {
	case o.file == "":
		return originDefault
	case o.from == "":
		return fmt.Sprintf("%s:%d", o.file, o.line)
	}
	return fmt.Sprintf("%s:%d (%s)", o.file, o.line, o.from)
}

// Place is where the value of a key was read, of a section its first one: a Problem
// that lacks its words. What stands in no file has the beginning of the main one.
func (c *Config) Place(key string) Problem {
	p := Problem{Line: 1, Col: 1}
	if len(c.Files) > 0 {
		p.File = c.Files[0].Path
	}
	found := false
	for path, o := range c.origins {
		if (path == key || strings.HasPrefix(path, key+".")) && o.file != "" && (!found || o.line < p.Line || o.line == p.Line && o.col < p.Col) {
			p.File, p.Line, p.Col, found = o.file, o.line, o.col, true
		}
	}
	return p
}

// Explain lists every effective value with its origin, in the order of the
// reference, endpoints and sinks sorted by name. Only a Config that Load or
// Parse made knows its origins; in another one all is default.
func (c *Config) Explain() Explanation {
	return c.explain(c.fields(nil), "", nil)
}

func (c *Config) explain(fields []field, prefix string, out Explanation) Explanation {
	for i := range fields {
		f := &fields[i]
		path := prefix + f.key
		switch {
		case f.absent:
		case f.one != nil:
			if text := f.one.show(); text != "" {
				out = append(out, Explained{path, c.public(path, unquoted(text)) + f.one.noted(" (%s)"), c.origin(path, f)})
			}
		case f.section != nil:
			out = c.explain(f.section, path+".", out)
		case f.table != nil:
			for _, p := range f.table.sorted() {
				out = append(out, Explained{path + "." + p.key, p.text, c.origins[path+"."+p.key].String()})
			}
		case f.texts != nil:
			if list := f.texts.show(); len(list) > 0 {
				out = append(out, Explained{path, strings.Join(list, ", "), c.origin(path, f)})
			}
		case f.list != nil:
			for _, e := range f.list.show() {
				out = c.explain(e.fields, prefix+listed(f, e.name), out)
			}
		}
	}
	return out
}

// public is a value fit to be shown: what a file was asked for is a secret, and
// so may be the values in the query of a URL.
func (c *Config) public(path, text string) string {
	if strings.Contains(c.origins[path].from, "${file:") {
		return Redacted
	}
	// Letters of a scheme do not count, neither here nor where URLs are checked.
	if scheme, _, ok := strings.Cut(text, "://"); ok && (strings.EqualFold(scheme, "https") || strings.EqualFold(scheme, "http")) {
		return fetch.MaskURL(text)
	}
	return text
}

// origin of a value: what was inherited comes from where that was written.
func (c *Config) origin(path string, f *field) string {
	o, given := c.origins[path]
	if given || f.inherits == "" {
		return o.String()
	}
	o, given = c.origins[f.inherits]
	if !given {
		return originDefault
	}
	o.from = f.inherits
	return o.String()
}

// Print writes a table of path, value and origin.
func (e Explanation) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, x := range e {
		// A tab or an escape in a value would break the table.
		if _, err := fmt.Fprintf(t, "%s\t%s\t%s\n", x.Path, printable(x.Value), printable(x.Origin)); err != nil {
			return err
		}
	}
	return t.Flush()
}

func printable(s string) string {
	quoted := strconv.Quote(s)
	if quoted[1:len(quoted)-1] != s {
		return quoted
	}
	return s
}

// unquoted is the text of a value that show wrote as YAML.
func unquoted(s string) string {
	if text, err := strconv.Unquote(s); err == nil {
		return text
	}
	return s
}
