// Package runbooks holds one page for each type of event: what happened, why it
// matters, what to do first, how to tell true from false. The files are those of
// this folder.
package runbooks

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed *.md
var files embed.FS

// Of returns the page of a type, in Markdown of plain lines.
func Of(typ string) (page string, ok bool) {
	if typ == "README" {
		return "", false
	}
	b, err := fs.ReadFile(files, typ+".md")
	return string(b), err == nil
}

// Types lists the types that have a page, sorted.
func Types() []string {
	var out []string
	names, _ := fs.Glob(files, "*.md") // the pattern is good
	for _, n := range names {
		if typ := strings.TrimSuffix(n, ".md"); typ != "README" {
			out = append(out, typ)
		}
	}
	return out
}
