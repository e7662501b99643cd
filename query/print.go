package query

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/jwkswatch/jwkswatch/event"
)

// The renderers write plain text for people: tables without colour, times in
// UTC. What an issuer, a file or a peer gave cannot move the cursor, break a
// line or start a column.

// cell makes a text fit for a terminal and a table.
func cell(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return r
	}, event.Text(s))
}

func or(s *string, none string) string {
	if s == nil || *s == "" {
		return none
	}
	return cell(*s)
}

func when(t *event.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04:05Z")
}

// table writes rows of cells that are fit to print.
type table struct{ w *tabwriter.Writer }

func newTable(w io.Writer) table { return table{tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)} }

func (t table) row(cells ...string) {
	// The writer keeps its first error, and Flush returns it.
	_, _ = fmt.Fprintln(t.w, strings.Join(cells, "\t"))
}

func (t table) flush() error { return t.w.Flush() }

// PrintStatus writes a status.
func PrintStatus(w io.Writer, r StatusReport) error {
	t := newTable(w)
	if r.Running {
		t.row("daemon", fmt.Sprintf("running, version %s, since %s", or(r.Version, "unknown"), when(r.StartedAt)))
		t.row("configuration", or(r.ConfigDigest, "-"))
		if r.ConfigRefused != nil {
			t.row("", "the file on disk is refused, the one before goes on: "+cell(*r.ConfigRefused))
		}
	} else {
		t.row("daemon", "not running; last event "+when(r.LastAlive))
	}
	if len(r.Degraded) > 0 {
		t.row("degraded", cell(strings.Join(r.Degraded, ", ")))
	}
	t.row("state", octets(r.StateBytes))
	e := r.Endpoints
	t.row("endpoints", counts(e.Total,
		count{e.Good, Good}, count{e.Failing, Failing}, count{e.Unseen, Unseen}, count{e.Unreadable, Unreadable})+also(e.Unwatched, Unwatched))
	c := r.Conditions
	t.row("open conditions", counts(c.Total, count{c.Critical, "critical"}, count{c.High, "high"}, count{c.Medium, "medium"},
		count{c.Low, "low"}, count{c.Informational, "informational"}))
	if l := r.LastEvent; l != nil {
		t.row("last event", fmt.Sprintf("%s %s %s: %s", when(&l.Time), l.Severity, cell(string(l.Type)), cell(l.Message)))
	}
	for _, s := range r.Sinks {
		t.row("sink "+cell(s.Name), s.text())
	}
	for _, p := range r.Problems {
		t.row("unreadable", cell(p))
	}
	if err := t.flush(); err != nil || c.Total == 0 {
		return err
	}
	t = newTable(w)
	t.row("")
	t.row("SEVERITY", "CONDITION", "ENDPOINT", "SINCE", "KID", "OPENED BY")
	for _, row := range c.Worst {
		t.row(row.Severity.String(), cell(string(row.Type)), cell(row.Endpoint), when(&row.OpenedAt), or(row.Kid, "-"), cell(row.OpenedBy))
	}
	if more := c.Total - len(c.Worst); more > 0 {
		t.row(fmt.Sprintf("and %d more", more))
	}
	return t.flush()
}

func (s *SinkRow) text() string {
	var words []string
	if s.Connected != nil && !*s.Connected {
		words = append(words, "not connected")
	}
	if s.Pending == 0 {
		words = append(words, "nothing pending")
	} else {
		words = append(words, fmt.Sprintf("%d pending since %s", s.Pending, when(s.Oldest)))
	}
	if s.Parked != nil && *s.Parked > 0 {
		words = append(words, fmt.Sprintf("%d parked: in the journal only", *s.Parked))
	}
	if s.Lost != nil && *s.Lost > 0 {
		words = append(words, fmt.Sprintf("%d lost by the receiver", *s.Lost))
	}
	if s.LastError != nil {
		words = append(words, "last error: "+cell(*s.LastError))
	}
	return strings.Join(words, ", ")
}

type count struct {
	n    int
	what string
}

// counts is "5: 3 good, 2 failing", without what there is none of.
func counts(total int, of ...count) string {
	var parts []string
	for _, c := range of {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	if len(parts) == 0 {
		return strconv.Itoa(total)
	}
	return fmt.Sprintf("%d: %s", total, strings.Join(parts, ", "))
}

func also(n int, what string) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("; and %d %s", n, what)
}

func octets(n int64) string {
	if n < 10<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}

// PrintEndpoints writes a table of endpoints.
func PrintEndpoints(w io.Writer, rows []EndpointRow) error {
	t := newTable(w)
	t.row("ENDPOINT", "STATE", "KEYS", "LAST GOOD", "LAST CHANGE", "OPEN", "FAILURES", "URL")
	for i := range rows {
		r := &rows[i]
		open := "-"
		if n := len(r.Conditions); n > 0 {
			open = fmt.Sprintf("%d (%s)", n, r.Conditions[0].Severity)
		}
		failures := "-"
		if r.Failures > 0 {
			failures = strings.TrimRight(fmt.Sprintf("%d %s %s", r.Failures, or(r.Phase, ""), or(r.Code, "")), " ")
		}
		last := or(r.URL, "-")
		if r.Error != nil {
			last = cell(*r.Error)
		}
		keys := strconv.Itoa(r.Keys)
		if r.Empty {
			keys = fmt.Sprintf("0 (%d known)", r.Keys)
		}
		t.row(cell(r.Name), r.State, keys, when(r.LastGood), when(r.LastChange), open, failures, last)
	}
	return t.flush()
}

// PrintHistory writes a table of steps, one line an event.
func PrintHistory(w io.Writer, rows []HistoryRow) error {
	t := newTable(w)
	t.row("REVISION", "TIME", "KEYS", "SET", "SEVERITY", "EVENT", "MESSAGE")
	for i := range rows {
		r := &rows[i]
		set := "same"
		if r.Changed {
			set = brief(r.Digest)
		}
		head := []string{strconv.FormatUint(r.Revision, 10), when(&r.At), strconv.Itoa(r.Keys), set}
		for _, e := range r.Events {
			t.row(append(head, e.Severity.String(), cell(string(e.Type)), cell(e.Message))...)
			head = []string{"", "", "", ""}
		}
		if missing := int(r.Told) - len(r.Events); missing > 0 {
			t.row(append(head, "", "", fmt.Sprintf("(%d events that the journal no longer has)", missing))...)
		} else if len(r.Events) == 0 {
			t.row(head...)
		}
	}
	return t.flush()
}

// brief is enough of a digest to tell sets apart by eye.
func brief(digest *string) string {
	s := strings.TrimPrefix(or(digest, "-"), "sha256:")
	return s[:min(len(s), 12)]
}

// PrintShown writes the set and where it comes from. The document itself is in
// the JSON form only.
func PrintShown(w io.Writer, s Shown) error {
	t := newTable(w)
	t.row("endpoint", cell(s.Endpoint))
	t.row("observed", fmt.Sprintf("%s (revision %d)", when(&s.ObservedAt), s.Revision))
	if s.ReplacedAt != nil {
		t.row("replaced", when(s.ReplacedAt))
	} else {
		t.row("stands", "last good poll "+when(s.LastSeen))
	}
	t.row("digest", cell(s.Digest))
	if len(s.Keys) == 0 {
		t.row("keys", "none: the set is empty")
	}
	if e := s.Evidence; e != nil {
		t.row("from", fmt.Sprintf("%s (%s)", cell(e.URL), or(e.RemoteAddr, "unknown address")))
	}
	if err := t.flush(); err != nil || len(s.Keys) == 0 {
		return err
	}
	t = newTable(w)
	t.row("")
	state := "STATE"
	if s.At != nil {
		state = "STATE TODAY" // at that time it was there
	}
	t.row("KID", "KTY", "BITS", "ALG", "USE", "FIRST SEEN", state, "THUMBPRINT", "")
	for i := range s.Keys {
		k := &s.Keys[i]
		bits, state := "-", k.State
		if k.Bits != nil {
			bits = strconv.Itoa(*k.Bits)
		}
		if k.GoneBy != nil {
			state += " " + when(k.GoneBy)
		}
		t.row(or(k.Kid, "(no kid)"), or(k.Kty, "-"), bits, or(k.Alg, "-"), or(k.Use, "-"), when(k.FirstSeen), state,
			or(k.Thumbprint, "(no thumbprint)"), cell(k.notes()))
	}
	return t.flush()
}

func (k *ShownKey) notes() string {
	notes := k.Defects
	if len(k.Private) > 0 {
		notes = append([]string{"PRIVATE MATERIAL SERVED: " + strings.Join(k.Private, " ")}, notes...)
	}
	return strings.Join(notes, ", ")
}

// line is what a line of an event shows. Events of later versions have it too.
type line struct {
	ID   string     `json:"id"`
	Time event.Time `json:"time"`
	Data struct {
		Event struct {
			Type     string `json:"type"`
			Severity string `json:"severity"`
			Verdict  string `json:"verdict"`
			Message  string `json:"message"`
			Drill    bool   `json:"drill"`
		} `json:"event"`
		Integrity struct {
			Stream string `json:"stream"`
		} `json:"integrity"`
	} `json:"data"`
}

// PrintEventLine writes one event as one line, so that lines of a stream that
// goes on stand under each other.
func PrintEventLine(w io.Writer, stored json.RawMessage) error {
	var l line
	if err := json.Unmarshal(stored, &l); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	f := &l.Data.Event
	message := cell(f.Message)
	if f.Drill {
		message = "[drill] " + message
	}
	_, err := fmt.Fprintf(w, "%s  %-13s  %-22s  %-20s  %s\n", when(&l.Time), cell(f.Severity), cell(f.Type), cell(l.Data.Integrity.Stream), message)
	return err
}

// PrintEvent writes one event for a person: the verdict in lines, then the
// whole of it as JSON.
func PrintEvent(w io.Writer, stored json.RawMessage) error {
	var l line
	if err := json.Unmarshal(stored, &l); err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	f := &l.Data.Event
	t := newTable(w)
	t.row("event", cell(l.ID))
	t.row("time", when(&l.Time))
	t.row("type", cell(f.Type))
	t.row("severity", cell(f.Severity)+" ("+cell(f.Verdict)+")")
	t.row("endpoint", cell(l.Data.Integrity.Stream))
	t.row("message", cell(f.Message))
	if err := t.flush(); err != nil {
		return err
	}
	indented, err := json.MarshalIndent(ascii(stored), "", "  ")
	if err != nil {
		return fmt.Errorf("reading an event: %w", err)
	}
	_, err = fmt.Fprintf(w, "\n%s\n", indented)
	return err
}
