package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

// document turns octets into the tree of the one document, or fails. Only nodes
// are asked of the library, never values: it would take yes for true, and its
// errors are written without a cure.
func (d *decoder) document(src []byte) *yaml.Node {
	if len(src) > MaxFile {
		d.at(1, 1, "the file is larger than "+formatSize(MaxFile), "is it a configuration?")
		return nil
	}
	if !d.characters(src) {
		return nil
	}
	loader, err := yaml.NewLoader(bytes.NewReader(src), yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		d.at(1, 1, "the YAML reader cannot start", "this is a defect of jwkswatch: please report it")
		return nil
	}
	var doc, next yaml.Node
	switch err := loader.Load(&doc); {
	case errors.Is(err, io.EOF):
		d.at(1, 1, "the file is empty", d.emptyHint())
		return nil
	case err != nil:
		d.syntax(src, err)
		return nil
	}
	switch err := loader.Load(&next); {
	case errors.Is(err, io.EOF):
	case err != nil:
		d.syntax(src, err)
	default:
		d.at(next.Line, next.Column, "a second document begins here", "one file holds one document: take out the line with --- or ...")
	}
	if len(doc.Content) != 1 {
		d.at(1, 1, "the file is empty", d.emptyHint())
		return nil
	}
	root := doc.Content[0]
	d.plain(value{node: root})
	return root
}

func (d *decoder) emptyHint() string {
	if d.source != d.main {
		return "give it endpoints: or sinks:, or take it away"
	}
	return endpointHint()
}

func (d *decoder) at(line, col int, message, hint string) {
	d.errs = append(d.errs, Problem{File: d.source.name, Line: max(line, 1), Col: max(col, 1), Message: message, Hint: hint})
}

// characters finds octets that are no text before the library does, which
// cannot say where they are. YAML 1.2, section 5.1.
func (d *decoder) characters(src []byte) bool {
	line, col := 1, 1
	for i := 0; i < len(src); {
		r, size := utf8.DecodeRune(src[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			hint := "save the file as UTF-8"
			d.at(line, col, "this octet is not UTF-8", hint)
			return false
		case r < ' ' && r != '\t' && r != '\n' && r != '\r', r == 0xfffe, r == 0xffff:
			d.at(line, col, fmt.Sprintf("character U+%04X is not allowed in YAML", r), "take it out; in a quoted text write it as an escape")
			return false
		}
		i += size
		switch {
		case r == '\n':
			line, col = line+1, 1
		case r == '\ufeff' && i == size: // a byte order mark has no width
		default:
			col++
		}
	}
	return true
}

// syntax tells an error of the library in words of ours. What the library may
// quote of the file is left out.
func (d *decoder) syntax(src []byte, err error) {
	e, ok := errors.AsType[*yaml.LoadError](err)
	if !ok {
		d.at(1, 1, "this is not YAML", "check quotes, colons and indentation")
		return
	}
	mark := e.Mark
	if mark.Line == 0 {
		mark = e.ContextMark
	}
	message, hint := explain(e.Message, charAt(src, mark.Line, mark.Column))
	if begun := e.ContextMark; begun.Line > 0 && begun.Line != mark.Line {
		message += fmt.Sprintf(" (%s that begins on line %d)", strings.TrimPrefix(e.ContextMsg, "while "), begun.Line)
	}
	d.at(mark.Line, mark.Column, message, hint)
}

func explain(message string, at rune) (text, hint string) {
	switch {
	case strings.HasPrefix(message, "unknown anchor"), strings.HasPrefix(message, "did not find expected alphabetic"):
		return "anchors and aliases are not read", aliasHint()
	case strings.HasPrefix(message, "exceeded max depth"):
		return "nested too deeply", fmt.Sprintf("at most %d levels are read", maxDepth)
	case message == "mapping values are not allowed in this context":
		return "a second colon on one line, or a line that is indented too far", "quote a text that holds a colon and a space, and align keys"
	case message == "found character that cannot start any token" && at == '\t',
		strings.Contains(message, "tab"):
		return "a tab where YAML wants spaces", "indent with spaces"
	case message == "found character that cannot start any token":
		return "a text cannot begin with this character", "put the text in quotes"
	case message == "found unexpected end of stream":
		return "a quoted text has no end", "close the quote"
	case strings.Contains(message, "',' or ']'"):
		return "expected a comma or ]", "close the list with ], and quote texts with ${ or a comma in it"
	case strings.Contains(message, "',' or '}'"):
		return "expected a comma or }", `close the mapping with }, and quote texts with ${…}: "${env:NAME}"`
	case strings.Contains(message, "expected key"), strings.Contains(message, "'-' indicator"):
		return "this line does not fit the lines before it", "align it with its neighbours: the same number of spaces for each key or dash"
	case strings.Contains(message, "could not find expected ':'"):
		return "a key without a colon", "write key: value, with a space after the colon"
	case strings.Contains(message, "expected node content"):
		return "a value is missing, or a bracket is not closed", "give the value, and close each [ and {"
	case strings.Contains(message, "escape"):
		return "an unknown escape in a double-quoted text", `write \\ for a backslash, or use single quotes`
	}
	return "this is not YAML", "check quotes, colons and indentation here and on the line before"
}

func aliasHint() string { return "write the value out where it is used" }

// charAt returns the character at a position, 0 when there is none.
func charAt(src []byte, line, col int) rune {
	n := 0
	for l := range bytes.Lines(src) {
		if n++; n == line {
			if runes := []rune(string(l)); 0 < col && col <= len(runes) {
				return runes[col-1]
			}
			break
		}
	}
	return 0
}

// plain tells what YAML has and a configuration does not: repeated keys, which
// the library lets pass in a tree, anchors, aliases, merges, tags, and keys
// that are no text.
func (d *decoder) plain(v value) {
	n := v.node
	switch {
	case n.Kind == yaml.AliasNode, n.Anchor != "":
		d.fail(value{node: n}, false, "anchors and aliases are not read", aliasHint())
	case n.Style&yaml.TaggedStyle != 0 && n.ShortTag() != "!!str":
		d.fail(value{node: n}, false, "tags are not read", "take the word with ! out, or quote a text that begins with !")
	}
	if n.Kind == yaml.AliasNode {
		return // not followed: it may lead back here
	}
	if n.Kind != yaml.MappingNode {
		for _, c := range n.Content {
			d.plain(value{node: c})
		}
		return
	}
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		member := value{key: n.Content[i], node: n.Content[i+1], hide: true}
		switch {
		case member.key.ShortTag() == "!!merge":
			d.fail(member, true, "merge keys are not read", aliasHint())
		case !plainKey(member.key):
			d.fail(value{node: member.key}, false, "a key must be a plain text", "write key: value")
		case first[member.key.Value] > 0:
			d.repeated(member, first[member.key.Value])
		default:
			first[member.key.Value] = member.key.Line
		}
		d.plain(member)
	}
}

func (d *decoder) repeated(v value, line int) {
	d.fail(v, true, fmt.Sprintf("key %s on line %d stands on line %d already", quoteKey(v.key), v.key.Line, line), "keep one of them")
}

func plainKey(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Anchor == "" && n.ShortTag() != "!!merge" && strconv.CanBackquote(n.Value)
}
