package configs

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// expand replaces ${env:NAME}, ${env:NAME:-default} and ${file:PATH} in a
// scalar. What comes in is never read as YAML nor expanded again. A $ without a
// brace is literal; any other ${ is refused, for whoever writes ${HOME} does
// not mean those seven characters. from names what was expanded and is fit to
// be shown.
func (d *decoder) expand(text string) (expanded, from string, r *refusal) {
	const mostNames = 3 // are shown
	var b strings.Builder
	var names []string
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			break
		}
		inner, after, closed := strings.Cut(rest, "}")
		if !closed {
			return "", "", refused("has a ${ without its }", literalBrace())
		}
		name, value, r := d.lookup(inner)
		if r != nil {
			return "", "", r
		}
		if !slices.Contains(names, name) && len(names) < mostNames {
			names = append(names, name)
		}
		b.WriteString(value)
		if b.Len() > MaxExpansion {
			return "", "", refused(fmt.Sprintf("is longer than %s after expansion", formatSize(MaxExpansion)), "only short texts belong here")
		}
		text = after
	}
	return b.String(), strings.Join(names, " and "), nil
}

func literalBrace() string {
	return "only ${env:NAME}, ${env:NAME:-default} and ${file:PATH} expand; a text that must hold ${ can come from a file"
}

// lookup resolves what stands between ${ and }.
func (d *decoder) lookup(inner string) (name, value string, r *refusal) {
	scheme, rest, _ := strings.Cut(inner, ":")
	switch {
	case strings.Contains(inner, "${"):
		return "", "", refused("has an expansion inside an expansion", "expansions do not nest")
	case scheme == "env":
		return d.lookupEnv(rest)
	case scheme == "file" && rest != "":
		return d.lookupFile(rest)
	case variable(inner):
		return "", "", refused("has an unknown expansion", fmt.Sprintf("for an environment variable write ${env:%s}", inner))
	}
	return "", "", refused("has an unknown expansion", literalBrace())
}

func (d *decoder) lookupEnv(rest string) (name, value string, r *refusal) {
	variableName, fallback, hasFallback := strings.Cut(rest, ":-")
	if !variable(variableName) {
		return "", "", refused("has an expansion without a proper name of an environment variable", "write ${env:NAME} or ${env:NAME:-default}")
	}
	name = "${env:" + variableName + "}"
	value, set := d.options.LookupEnv(variableName)
	switch {
	case hasFallback && value == "": // as in a shell, also when it is set and empty
		return name, fallback, nil
	case !set:
		return "", "", refused(
			fmt.Sprintf("needs the environment variable %s, which is not set", variableName),
			fmt.Sprintf("set it, or give a default: ${env:%s:-default}", variableName),
		)
	}
	return name, value, nil
}

func (d *decoder) lookupFile(path string) (name, value string, r *refusal) {
	name = "${file:" + event.Text(path) + "}"
	b, r := d.load(d.path(path), MaxExpansion)
	if r != nil {
		return "", "", refused(fmt.Sprintf("needs the file of %s: %s", name, r.what), r.hint)
	}
	return name, string(bytes.TrimRight(b, "\r\n")), nil
}

// variable reports whether s can name an environment variable (POSIX.1, XBD 8.1).
func variable(s string) bool {
	for i, r := range s {
		if r != '_' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return s != ""
}
