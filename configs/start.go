package configs

import (
	"bytes"
	"strings"
)

// Init returns a start file: every key with its sentence and its default or an
// example, all of it commented out but for one endpoint at a host that does not
// exist. It loads as it is. A line is a key when no space follows its #.
func Init() []byte {
	var b bytes.Buffer
	b.WriteString(`# The configuration of jwkswatch. Put your own issuer below endpoints, and check
# the file with: jwkswatch config check FILE
#
# A line that begins with # and no space after it is a key: take the # away to set
# it, at each line above it with less indentation as well. What it shows is the
# default, or an example where there is none. Unknown and repeated keys are errors.
# ${env:NAME}, ${env:NAME:-default} and ${file:PATH} expand inside values. Relative
# paths are relative to this file. Of sinks the keys of type nats are shown; those of
# file, syslog and webhook stand in configs/README.md and configs/examples/full.yaml.
`)
	for _, f := range startOrder(new(Config).fields(nil)) {
		b.WriteString("\n")
		start(&b, f, "", f.key != "endpoints")
	}
	return b.Bytes()
}

// startOrder puts what must be filled in first.
func startOrder(fields []field) []*field {
	var first, rest []*field
	for i := range fields {
		switch f := &fields[i]; {
		case !f.built():
		case f.key == "endpoints":
			first = append(first, f)
		default:
			rest = append(rest, f)
		}
	}
	return append(first, rest...)
}

// start writes one key with what belongs to it; off comments it out.
func start(b *bytes.Buffer, f *field, indent string, off bool) {
	about(b, f.about(), indent)
	hash := ""
	if off {
		hash = "#"
	}
	line := func(text string) { b.WriteString(indent + hash + text + "\n") }
	switch {
	case f.section != nil:
		line(f.key + ":")
		for i := range f.section {
			start(b, &f.section[i], indent+"  ", off)
		}
	case f.list != nil:
		line(f.key + ":")
		if f.list.keyed {
			b.WriteString(indent + "  " + hash + "example:\n")
			for i := range f.list.element {
				start(b, &f.list.element[i], indent+"    ", off)
			}
			return
		}
		startElement(b, f.list.element, indent+"  ", off)
	case f.def != "":
		line(f.key + ": " + f.def)
	default:
		line(f.key + ": " + f.example)
	}
}

// startElement writes one element of a list. Of an endpoint that is to be filled in,
// name and issuer stand open.
func startElement(b *bytes.Buffer, fields []field, indent string, off bool) {
	dash := "- "
	for i := range fields {
		f := &fields[i]
		if !f.built() || f.only != "" && f.only != TypeNATS { // of the other types the reference tells
			continue
		}
		var inner bytes.Buffer
		start(&inner, f, indent+"  ", off || f.key != "name" && f.key != "issuer")
		text := inner.String()
		if dash != "" {
			// The dash stands before the first key, behind its comment.
			at := strings.LastIndex(text, "  ") // of the indentation of the key
			key := text[at+2:]
			if bare, commented := strings.CutPrefix(key, "#"); commented {
				key = "#" + dash + bare
			} else {
				key = dash + key
			}
			text, dash = text[:at]+key, ""
		}
		b.WriteString(text)
	}
}

// about wraps a comment to the width of a terminal.
func about(b *bytes.Buffer, text, indent string) {
	const width = 88
	head := "# "
	if indent != "" {
		head = indent + "# "
	}
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(head)+len(line)+1+len(word) > width {
			b.WriteString(head + line + "\n")
			line = ""
		}
		line = strings.TrimPrefix(line+" "+word, " ")
	}
	b.WriteString(head + line + "\n")
}

// about is the sentence of the reference with the choices there are.
func (f *field) about() string {
	text := f.described()
	if f.one == nil {
		return text
	}
	if choices := f.one.shape().enum; len(choices) > 1 {
		text += " One of " + listing(choices, "and") + "."
	}
	return text
}
