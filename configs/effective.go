package configs

import (
	"bytes"
	"cmp"
	"strconv"
	"strings"
)

// Effective returns the configuration as YAML with every default filled in,
// endpoints and sinks sorted by name, comments gone and secrets as [redacted].
// Parse accepts it again and finds the same Digest, unless an expanded text
// holds ${ itself.
func (c *Config) Effective() []byte {
	var b bytes.Buffer
	writeFields(&b, c.fields(nil), "")
	return b.Bytes()
}

func writeFields(b *bytes.Buffer, fields []field, indent string) {
	for i := range fields {
		f := &fields[i]
		switch {
		case f.one != nil:
			if text := f.one.show(); text != "" {
				b.WriteString(indent + f.key + ": " + text + "\n")
			}
		case f.section != nil:
			var inner bytes.Buffer
			writeFields(&inner, f.section, indent+"  ")
			if inner.Len() > 0 {
				b.WriteString(indent + f.key + ":\n")
				b.Write(inner.Bytes())
			}
		case f.table != nil:
			if pairs := f.table.sorted(); len(pairs) > 0 {
				b.WriteString(indent + f.key + ":\n")
				for _, p := range pairs {
					b.WriteString(indent + "  " + strconv.Quote(p.key) + ": " + strconv.Quote(p.text) + "\n")
				}
			}
		case f.list != nil:
			b.WriteString(indent + f.key + ":\n")
			for _, element := range f.list.show() {
				var inner bytes.Buffer
				writeFields(&inner, element, indent+"    ")
				text := inner.String()
				b.WriteString(indent + "  - " + strings.TrimPrefix(text, indent+"    "))
			}
		}
	}
}

func byName[T any](name func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(name(a), name(b)) }
}
