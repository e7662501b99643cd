package configs

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestReference holds the table of README.md to the catalogue.
func TestReference(t *testing.T) {
	t.Parallel()
	const begin, end = "-update -->\n", "<!-- end of keys -->"
	src, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(src, []byte(begin))
	_, after, ok2 := bytes.Cut(rest, []byte(end))
	if !ok || !ok2 {
		t.Fatal("README.md has lost the marks of its table")
	}
	rows, absent := reference()
	compare(t, "README.md", []byte(string(before)+begin+rows+end+string(after)))
	if absent != "" && !strings.Contains(string(after), "refused: "+absent+".") {
		t.Errorf("README.md does not say that these are refused: %s", absent)
	}
}

func reference() (rows, absent string) {
	var b strings.Builder
	var later []string
	b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
	walk(new(Config).fields(nil), "", func(path string, f *field) {
		if !f.built() {
			later = append(later, "`"+path+"`")
			return
		}
		def := f.defDoc
		switch {
		case f.def != "":
			def = "`" + f.def + "`"
		case f.required:
			def = "required"
		case f.need != "":
			def = f.need
		}
		doc := f.doc
		if f.only != "" {
			doc = "Of type " + f.only + ". " + doc
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", path, f.typ(), def, doc)
	})
	return b.String(), strings.Join(later, ", ")
}

func (f *field) typ() string {
	switch {
	case f.one != nil:
		return f.one.typ
	case f.table != nil:
		return f.table.typ
	case f.list != nil && f.list.keyed:
		return "name to mapping"
	case f.list != nil:
		return "list"
	case f.texts != nil:
		return f.texts.typ
	}
	return "mapping"
}
