package query

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/jwkswatch/jwkswatch/event"
)

// Code says what kind of problem a question has.
type Code string

// The codes.
const (
	UnknownEndpoint Code = "unknown_endpoint" // no endpoint of this name was ever watched
	UnknownEvent    Code = "unknown_event"    // no such id in the journal
	NothingSeen     Code = "nothing_seen"     // at that time no key set had been seen
	Dropped         Code = "dropped"          // what was seen then has been dropped since
	UnknownSink     Code = "unknown_sink"     // no sink of this name
	BadQuestion     Code = "bad_question"     // a filter that cannot be
	NotRunning      Code = "not_running"      // only a running daemon can answer
)

// Problem is an error about the question, as opposed to one about the state.
type Problem struct {
	Code       Code   `json:"code"`
	Message    string `json:"message"`
	Suggestion string `json:"suggestion"` // what was probably meant; "" when nothing is near
}

// Error is the message, with the suggestion.
func (p *Problem) Error() string {
	if p.Suggestion != "" {
		return p.Message + "; did you mean " + p.Suggestion + "?"
	}
	return p.Message
}

// quote makes a word of the question fit to be repeated.
func quote(s string) string { return strconv.Quote(event.Text(s)) }

// checkEndpoint returns a Problem unless the name is in the state or is watched.
func (s *State) checkEndpoint(ctx context.Context, name string, live *Live) error {
	names, err := s.Source.Endpoints(ctx)
	if err != nil {
		return err
	}
	if live != nil {
		for i := range live.Endpoints {
			names = append(names, live.Endpoints[i].Name)
		}
	}
	if slices.Contains(names, name) {
		return nil
	}
	p := &Problem{UnknownEndpoint, "no endpoint is named " + quote(name), nearest(name, names)}
	if p.Suggestion == "" {
		p.Message += ": jwkswatch endpoints lists them"
	}
	return p
}

// nearest returns the candidate with the smallest edit distance, of at most a
// third of its length, or one that begins or ends with s; "" when none is near.
func nearest(s string, candidates []string) string {
	const longest = 64
	if s == "" || len(s) > longest {
		return ""
	}
	s = strings.ToLower(s)
	best, least := "", len(s)
	for _, c := range candidates {
		n := distance(s, c)
		if len(s) > 2 && (strings.HasPrefix(c, s) || strings.HasSuffix(c, s)) {
			n = 1
		}
		if n <= max(1, len(c)/3) && n < least {
			best, least = c, n
		}
	}
	return best
}

// distance is the number of insertions, deletions, replacements and
// transpositions of neighbours between two short texts, in octets.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j]+cost, last[j+1]+1, row[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

func bad(format string, args ...any) error {
	return &Problem{Code: BadQuestion, Message: fmt.Sprintf(format, args...)}
}
