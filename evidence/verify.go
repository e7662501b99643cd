package evidence

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// Kind says what is wrong.
type Kind string

// The kinds of findings.
const (
	Unreadable   Kind = "unreadable"    // a line is no event
	Altered      Kind = "altered"       // an event is not what the next one, or a checkpoint, says that it was
	Missing      Kind = "missing"       // events that others or a checkpoint know are not there
	Conflicting  Kind = "conflicting"   // two events, or two signatures, have one place
	Inserted     Kind = "inserted"      // an event is older than a checkpoint that does not know it
	Reordered    Kind = "reordered"     // an event stands before one that came before it
	BadSignature Kind = "bad_signature" // a checkpoint is not signed, or by another key
	Unsigned     Kind = "unsigned"      // a key is pinned, and it has signed nothing here
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Stream   string `json:"stream"`
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"` // of the event concerned, the first of several
	ID       string `json:"id"`       // of the event, "" when it is not there
	File     string `json:"file"`
	Line     int    `json:"line"` // of the file, from 1; 0: there is none
	Message  string `json:"message"`

	order int // over all files
}

// Report is what was checked and found.
type Report struct {
	Events      int `json:"events"` // each once
	Repeated    int `json:"repeated"`
	Streams     int `json:"streams"`
	Checkpoints int `json:"checkpoints"`
	// Signed are the events that a signature holds: from the head that a checkpoint has
	// signed back over the chain, as far as it is whole. Unsigned are the others.
	Signed   int       `json:"signed"`
	Unsigned int       `json:"unsigned"`
	Signers  []string  `json:"signers"` // thumbprints of the keys that signed
	Findings []Finding `json:"findings"`
	// Notes say what is not wrong and what cannot be known.
	Notes []string `json:"notes"`
}

// Verifier takes exported events in their order. The zero value is ready; its fields
// may be set before the first line. It keeps some two hundred octets of each event.
type Verifier struct {
	// Keys are the thumbprints of the keys that checkpoints must be signed by; with
	// none any key does, and the report says which.
	Keys []string
	// Filtered says that not all events were exported, for instance by a severity:
	// then what is missing is noted, and no finding.
	Filtered bool
	// Thinned says the same of the agent's own stream alone: the state gives up
	// heartbeats after a day.
	Thinned bool

	stated      []Head
	file        string
	files       int
	lines       int // of all files
	chains      map[chainID][]link
	epochs      map[string]map[string]bool // by source
	checkpoints []signed
	report      Report
}

type chainID struct{ stream, epoch string }

// link is what is kept of an event.
type link struct {
	sequence uint64
	hash     [32]byte
	previous string // as the event says it; "" for none
	id       string
	at       int64 // unix milliseconds
	file     string
	line     int
	files    int // which file of all
	order    int // over all files
}

// signed is a part of a checkpoint whose signature holds.
type signed struct {
	Checkpoint
	epoch    string // of the event that carries it
	sequence uint64
	signer   string
	file     string
	line     int
	order    int
}

// stored is what is read of an event.
type stored struct {
	ID     string     `json:"id"`
	Source string     `json:"source"`
	Time   event.Time `json:"time"`
	Data   struct {
		Event struct {
			Type     event.Type     `json:"type"`
			Severity event.Severity `json:"severity"`
			Message  string         `json:"message"`
		} `json:"event"`
		Integrity event.Integrity `json:"integrity"`
		Details   json.RawMessage `json:"details"`
	} `json:"data"`
}

// Heads says where the chains end by another source than their events: by the state
// that holds them. What is not so is a finding.
func (v *Verifier) Heads(ends []Head) { v.stated = ends }

// MaxLine is how many octets a line has at most; above what an event can have.
const MaxLine = 1 << 20

// Read takes a file: an event a line, as it is or as the log sink wraps it. Lines of
// operations and empty ones are passed over. Order counts within a file: another one
// may have the same events again. Errors are those of r.
func (v *Verifier) Read(file string, r io.Reader) error {
	v.file = file
	v.files++
	lines := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, whole, err := readLine(lines)
		if len(line) > 0 || err == nil {
			v.lines++
			v.line(n, line, whole)
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s, line %d: %w", file, n, err)
		}
	}
}

// Line takes one line that is whole, as Read does. Lines of one file come in one row.
func (v *Verifier) Line(file string, n int, line []byte) {
	if v.file != file || v.files == 0 {
		v.file = file
		v.files++
	}
	v.lines++
	v.line(n, line, true)
}

// readLine returns a line without its end; whole is false when the file ended before.
// Of a line that is too long it returns one octet more than MaxLine.
func readLine(r *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		part, err := r.ReadSlice('\n')
		if room := MaxLine + 1 - len(line); room > 0 {
			line = append(line, part[:min(len(part), room)]...)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err == nil, err
		}
	}
}

// wrapped is the line of the log sink.
type wrapped struct {
	Level   *string         `json:"level"`
	Stream  string          `json:"stream"`
	Time    string          `json:"time"`
	Event   json.RawMessage `json:"event"`
	Message *string         `json:"message"`
}

func (v *Verifier) line(n int, line []byte, whole bool) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	var w wrapped
	if json.Unmarshal(line, &w) == nil && w.Stream != "" {
		if w.Stream != "event" {
			return
		}
		// Of a member that stands twice one reader takes the first, another the last.
		if _, err := event.Canonical(line); err != nil {
			v.find(Finding{Kind: Unreadable, File: v.file, Line: n, order: v.lines, Message: fmt.Sprintf("line %d can be read in two ways, or not at all", n)})
		}
		line = w.Event
	}
	e, sum, err := readEvent(line)
	if err != nil && !whole {
		v.note("the last line of %s is not whole: it is being written, or was cut off", v.file)
		return
	}
	if err != nil {
		v.find(Finding{Kind: Unreadable, File: v.file, Line: n, order: v.lines, Message: fmt.Sprintf("line %d is no event: %s", n, err)})
		return
	}
	at := e.Data.Integrity
	if w.contradicts(&e) {
		v.find(Finding{
			Kind: Altered, Stream: at.Stream, Epoch: at.Epoch, Sequence: at.Sequence, ID: e.ID, File: v.file, Line: n, order: v.lines,
			Message: fmt.Sprintf("%s: the line around event %d says something else than the event", at.Stream, at.Sequence),
		})
	}
	v.take(n, e, sum)
}

// contradicts reports whether the line says something else than the event in it: many
// filter by the level, and read no further than the message.
func (w *wrapped) contradicts(e *stored) bool {
	level := "info"
	switch s := e.Data.Event.Severity; {
	case s >= event.SeverityHigh:
		level = "error"
	case s == event.SeverityMedium:
		level = "warn"
	}
	return w.Level != nil && *w.Level != level ||
		w.Message != nil && (*w.Message != e.Data.Event.Message || w.Time != e.Time.UTC().Format(event.TimeLayout))
}

func readEvent(line []byte) (e stored, sum [32]byte, err error) {
	if len(line) > MaxLine {
		return e, sum, errors.New("it is too long")
	}
	if len(line) == 0 || line[0] != '{' {
		return e, sum, errors.New("it is no JSON object")
	}
	if sum, err = event.Hash(line); err != nil {
		return e, sum, errors.New("it is no whole JSON object")
	}
	if err := json.Unmarshal(line, &e); err != nil {
		return e, sum, errors.New("its members are not those of an event")
	}
	at := e.Data.Integrity
	if e.ID == "" || at.Stream == "" || at.Epoch == "" || at.Sequence == 0 {
		return e, sum, errors.New("it has no id or no place in a chain; only events in the format cloudevents can be verified")
	}
	return e, sum, nil
}

// take keeps what the check needs of an event.
func (v *Verifier) take(n int, e stored, sum [32]byte) {
	if v.chains == nil {
		v.chains, v.epochs = map[chainID][]link{}, map[string]map[string]bool{}
	}
	at := e.Data.Integrity
	id := chainID{at.Stream, at.Epoch}
	if list := v.chains[id]; len(list) > 0 {
		// One string for all events of a chain.
		at.Stream, at.Epoch = id.stream, id.epoch
	}
	if v.epochs[e.Source] == nil {
		v.epochs[e.Source] = map[string]bool{}
	}
	v.epochs[e.Source][at.Epoch] = true
	l := link{sequence: at.Sequence, hash: sum, id: e.ID, at: e.Time.UnixMilli(), file: v.file, line: n, files: v.files, order: v.lines}
	if at.Previous != nil {
		l.previous = *at.Previous
	}
	v.chains[id] = append(v.chains[id], l)
	if e.Data.Event.Type == event.AgentCheckpoint {
		v.checkpoint(n, &e)
	}
}

// checkpoint takes the signature of a checkpoint.
func (v *Verifier) checkpoint(n int, e *stored) {
	at := e.Data.Integrity
	wrong := func(message string) {
		v.find(Finding{Kind: BadSignature, Stream: at.Stream, Epoch: at.Epoch, Sequence: at.Sequence, ID: e.ID, File: v.file, Line: n, order: v.lines, Message: message})
	}
	var d event.AgentCheckpointDetails
	if err := json.Unmarshal(e.Data.Details, &d); err != nil {
		wrong("the checkpoint cannot be read")
		return
	}
	c, signer, err := Open(d.JWS)
	if signer != "" && !slices.Contains(v.report.Signers, signer) {
		v.report.Signers = append(v.report.Signers, signer)
	}
	switch {
	case err != nil:
		wrong(err.Error())
		return
	case len(v.Keys) > 0 && !slices.Contains(v.Keys, signer):
		wrong("the checkpoint is signed by the key " + signer + ", which is not pinned")
		return
	case at.Stream != event.AgentStream:
		wrong("the checkpoint does not stand in the agent's own stream")
		return
	}
	v.report.Checkpoints++
	v.checkpoints = append(v.checkpoints, signed{c, at.Epoch, at.Sequence, signer, v.file, n, v.lines})
}

func (v *Verifier) find(f Finding) { v.report.Findings = append(v.report.Findings, f) }

func (v *Verifier) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

// lacks is a finding, or a note where it is no surprise.
func (v *Verifier) lacks(f Finding) {
	if v.Filtered || v.Thinned && f.Stream == event.AgentStream {
		v.note("%s", f.Message)
		return
	}
	v.find(f)
}

// finding is one about an event that is there.
func (id chainID) finding(kind Kind, l *link, format string, args ...any) Finding {
	return Finding{
		Kind: kind, Stream: id.stream, Epoch: id.epoch, Sequence: l.sequence, ID: l.id, File: l.file, Line: l.line, order: l.order,
		Message: id.stream + ": " + fmt.Sprintf(format, args...),
	}
}

// says reports whether the event that follows another names its hash.
func (l *link) says(hash [32]byte) bool {
	got, ok := strings.CutPrefix(l.previous, "sha256:")
	return ok && got == hex.EncodeToString(hash[:])
}

func when(ms int64) string { return time.UnixMilli(ms).UTC().Format(event.TimeLayout) }
