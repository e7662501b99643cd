package configs

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Problem is one thing wrong with a configuration, or one warning. It never
// holds a secret: neither what an expansion gave, nor the value of a header,
// nor a URL with credentials.
type Problem struct {
	File    string `json:"file"`
	Line    int    `json:"line"` // from 1
	Col     int    `json:"col"`  // from 1, in characters
	Message string `json:"message"`
	Hint    string `json:"hint"` // the cure

	// excerpt is the key and, where it may be shown, its value. It is made of
	// the parsed key and value and not of the source line, because a
	// neighbour on the same line may be a secret.
	excerpt string
	caret   int // characters before the value in excerpt
}

// Errors are all problems of a configuration, sorted by position: those of the
// file itself, then those of included files by name.
type Errors []Problem

// Error returns one line for each problem, `file:line:col: error: message`,
// with the hint on a line of its own, indented.
func (e Errors) Error() string {
	var b strings.Builder
	for i, p := range e {
		if i > 0 {
			b.WriteByte('\n')
		}
		p.write(&b, "error", false)
	}
	return b.String()
}

// Print writes what Error says with an excerpt and a caret for each problem,
// and the number of problems at the end.
func (e Errors) Print(w io.Writer) error {
	if err := printProblems(w, "error", e); err != nil || len(e) == 0 {
		return err
	}
	s := "s"
	if len(e) == 1 {
		s = ""
	}
	_, err := fmt.Fprintf(w, "%d error%s\n", len(e), s)
	return err
}

// PrintWarnings writes the warnings as Errors.Print writes errors, and nothing
// when there are none.
func (c *Config) PrintWarnings(w io.Writer) error {
	return PrintWarnings(w, c.Warnings)
}

// PrintWarnings writes warnings as Errors.Print writes errors.
func PrintWarnings(w io.Writer, warnings []Problem) error {
	return printProblems(w, "warning", warnings)
}

func printProblems(w io.Writer, level string, problems []Problem) error {
	var b bytes.Buffer
	for _, p := range problems {
		p.write(&b, level, true)
		b.WriteByte('\n')
	}
	_, err := w.Write(b.Bytes())
	return err
}

func (p *Problem) write(w io.Writer, level string, excerpt bool) {
	fmt.Fprintf(w, "%s:%d:%d: %s: %s", p.File, p.Line, p.Col, level, p.Message)
	if excerpt && p.excerpt != "" {
		fmt.Fprintf(w, "\n%6d | %s\n       | %s^", p.Line, p.excerpt, strings.Repeat(" ", p.caret))
	}
	if p.Hint != "" {
		fmt.Fprintf(w, "\n    hint: %s", p.Hint)
	}
}

// sort puts the main file first, then the others by name.
func (d *decoder) sort(list []Problem) {
	rank := func(p Problem) int {
		if p.File == d.main.name {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(
			cmp.Compare(rank(a), rank(b)), cmp.Compare(a.File, b.File),
			cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col),
		)
	})
}
