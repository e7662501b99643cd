package configs

import (
	"bytes"
	"cmp"
	"fmt"
	"strconv"
	"strings"
)

// Effective returns the configuration as YAML with every default filled in,
// endpoints and sinks sorted by name, includes merged, comments gone and secrets
// as [redacted]. A file of certificates has their digest as a comment. Parse
// accepts it again and finds the same Digest, unless an expanded text holds ${
// itself.
func (c *Config) Effective() []byte {
	var b bytes.Buffer
	writeFields(&b, c.fields(nil), "")
	return b.Bytes()
}

func writeFields(b *bytes.Buffer, fields []field, indent string) {
	for i := range fields {
		f := &fields[i]
		switch {
		case f.absent:
		case f.one != nil:
			if text := f.one.show(); text != "" {
				b.WriteString(indent + f.key + ": " + text + f.one.noted(" # %s") + "\n")
			}
		case f.texts != nil:
			if f.texts.merged {
				continue
			}
			if list := f.texts.show(); len(list) > 0 {
				b.WriteString(indent + f.key + ":\n")
				for _, text := range list {
					b.WriteString(indent + "  - " + strconv.Quote(text) + "\n")
				}
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
			elements := f.list.show()
			if len(elements) == 0 && f.list.keyed {
				continue
			}
			b.WriteString(indent + f.key + ":\n")
			for _, element := range elements {
				if f.list.keyed {
					b.WriteString(indent + "  " + element.name + ":\n")
					writeFields(b, element.fields, indent+"    ")
					continue
				}
				var inner bytes.Buffer
				writeFields(&inner, element.fields, indent+"    ")
				text := inner.String()
				b.WriteString(indent + "  - " + strings.TrimPrefix(text, indent+"    "))
			}
		}
	}
}

// noted is what belongs to the value and is not in it, in such a format.
func (b *binding) noted(format string) string {
	if b.note == nil || b.note() == "" {
		return ""
	}
	return fmt.Sprintf(format, b.note())
}

func byName[T any](name func(T) string) func(a, b T) int {
	return func(a, b T) int { return cmp.Compare(name(a), name(b)) }
}
