package evidence

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/jwkswatch/jwkswatch/event"
)

// Kind says what is wrong.
type Kind string

// The kinds of findings.
const (
	Unreadable   Kind = "unreadable"    // a line is no event
	Altered      Kind = "altered"       // an event is not what the next one, or a checkpoint, says that it was
	Missing      Kind = "missing"       // events between two others, or at the end, are not there
	Conflicting  Kind = "conflicting"   // two events have one place: one was altered or inserted
	Reordered    Kind = "reordered"     // an event stands before one that came before it
	BadSignature Kind = "bad_signature" // a checkpoint is not signed, or by another key
)

// Finding is one thing that is wrong.
type Finding struct {
	Kind     Kind   `json:"kind"`
	Stream   string `json:"stream"`
	Epoch    string `json:"epoch"`
	Sequence uint64 `json:"sequence"` // of the event concerned, the first of several
	ID       string `json:"id"`       // of the event, "" when it is not there
	Line     int    `json:"line"`     // 0: there is none
	Message  string `json:"message"`
}

// Report is what was checked and found.
type Report struct {
	Events      int       `json:"events"` // each once
	Repeated    int       `json:"repeated"`
	Streams     int       `json:"streams"`
	Checkpoints int       `json:"checkpoints"`
	Signers     []string  `json:"signers"` // thumbprints of the keys that signed
	Findings    []Finding `json:"findings"`
	// Notes say what is not wrong and what cannot be known.
	Notes []string `json:"notes"`
}

// Verifier takes exported events line by line, in their order. The zero value is
// ready; its fields may be set before the first line. It keeps some hundred octets
// of each event.
type Verifier struct {
	// Key is the thumbprint of the key that checkpoints must be signed by; "" takes
	// any, and says which.
	Key string
	// Filtered says that not all events were exported, for instance by a severity:
	// then what is missing is noted, and no finding.
	Filtered bool

	chains      map[chainID][]link
	checkpoints []signed
	report      Report
}

type chainID struct{ stream, epoch string }

type link struct {
	sequence       uint64
	hash, previous string
	id             string
	line           int
}

type signed struct {
	Checkpoint
	line int
}

// stored is what is read of an event.
type stored struct {
	ID   string
	Data struct {
		Event     struct{ Type event.Type }
		Integrity event.Integrity
		Details   json.RawMessage
	}
}

// Line takes one line: an event, or one as the log sink wraps it. Lines of
// operations and empty ones are passed over.
func (v *Verifier) Line(n int, line []byte) {
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return
	}
	var wrapped struct {
		Stream string
		Event  json.RawMessage
	}
	if json.Unmarshal(line, &wrapped) == nil && wrapped.Stream != "" {
		if wrapped.Stream != "event" {
			return
		}
		line = wrapped.Event
	}
	var e stored
	err := json.Unmarshal(line, &e)
	if err == nil && (e.ID == "" || e.Data.Integrity.Stream == "" || e.Data.Integrity.Sequence == 0) {
		err = fmt.Errorf("it has no id or no place in a chain")
	}
	var sum [32]byte
	if err == nil {
		sum, err = event.Hash(line)
	}
	if err != nil {
		v.find(Finding{Kind: Unreadable, Line: n, Message: fmt.Sprintf("line %d is no event: %v", n, err)})
		return
	}
	if v.chains == nil {
		v.chains = map[chainID][]link{}
	}
	at := e.Data.Integrity
	id := chainID{at.Stream, at.Epoch}
	l := link{sequence: at.Sequence, hash: "sha256:" + hex.EncodeToString(sum[:]), id: e.ID, line: n}
	if at.Previous != nil {
		l.previous = *at.Previous
	}
	v.chains[id] = append(v.chains[id], l)
	if e.Data.Event.Type == event.AgentCheckpoint {
		v.checkpoint(n, &e)
	}
}

func (v *Verifier) checkpoint(n int, e *stored) {
	var d event.AgentCheckpointDetails
	wrong := func(message string) {
		at := e.Data.Integrity
		v.find(Finding{Kind: BadSignature, Stream: at.Stream, Epoch: at.Epoch, Sequence: at.Sequence, ID: e.ID, Line: n, Message: message})
	}
	if err := json.Unmarshal(e.Data.Details, &d); err != nil {
		wrong("the checkpoint cannot be read")
		return
	}
	c, signer, err := Open(d.JWS)
	if err != nil {
		wrong(err.Error())
		return
	}
	if !slices.Contains(v.report.Signers, signer) {
		v.report.Signers = append(v.report.Signers, signer)
	}
	if v.Key != "" && signer != v.Key {
		wrong("the checkpoint is signed by the key " + signer + ", and not by the one that is pinned")
		return
	}
	v.report.Checkpoints++
	v.checkpoints = append(v.checkpoints, signed{c, n})
}

func (v *Verifier) find(f Finding) { v.report.Findings = append(v.report.Findings, f) }

func (v *Verifier) note(format string, args ...any) {
	v.report.Notes = append(v.report.Notes, fmt.Sprintf(format, args...))
}

// lacks is a finding, or a note where it is no surprise.
func (v *Verifier) lacks(f Finding) {
	if v.Filtered {
		v.note("%s", f.Message)
		return
	}
	v.find(f)
}

// Report checks all that was taken. Findings are in the order of their lines.
func (v *Verifier) Report() Report {
	ids := slices.SortedFunc(maps.Keys(v.chains), func(a, b chainID) int {
		return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(v.chains[a][0].line, v.chains[b][0].line))
	})
	streams := map[string]int{}
	for _, id := range ids {
		if streams[id.stream]++; streams[id.stream] == 2 {
			v.note("%s begins again with another epoch: the state was lost, restored or made anew", id.stream)
		}
		v.chain(id)
	}
	v.signedHeads()
	v.report.Streams = len(streams)
	r := v.report
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	if r.Findings == nil {
		r.Findings = []Finding{}
	}
	if r.Notes == nil {
		r.Notes = []string{}
	}
	if r.Signers == nil {
		r.Signers = []string{}
	}
	return r
}

// chain checks the events of one stream in one epoch, and leaves them sorted and
// each once.
func (v *Verifier) chain(id chainID) {
	list := v.chains[id]
	finding := func(kind Kind, l link, format string, args ...any) Finding {
		return Finding{Kind: kind, Stream: id.stream, Epoch: id.epoch, Sequence: l.sequence, ID: l.id, Line: l.line, Message: fmt.Sprintf(format, args...)}
	}
	highest, seen := uint64(0), map[uint64]link{}
	var once []link
	for _, l := range list {
		if first, again := seen[l.sequence]; again {
			if first.hash == l.hash {
				v.report.Repeated++ // delivery is at least once
				continue
			}
			v.find(finding(Conflicting, l, "%s: lines %d and %d have the same place, %d, and are not the same", id.stream, first.line, l.line, l.sequence))
			continue
		}
		if l.sequence < highest {
			v.find(finding(Reordered, l, "%s: event %d stands behind event %d", id.stream, l.sequence, highest))
		}
		seen[l.sequence] = l
		highest = max(highest, l.sequence)
		once = append(once, l)
	}
	slices.SortFunc(once, func(a, b link) int { return cmp.Compare(a.sequence, b.sequence) })
	v.chains[id] = once
	v.report.Events += len(once)
	if first := once[0]; first.sequence > 1 {
		v.note("%s begins with event %d: what came before is not in this export", id.stream, first.sequence)
	} else if first.previous != "" {
		v.find(finding(Altered, first, "%s: the first event says that there was one before", id.stream))
	}
	for i, l := range once[1:] {
		before := once[i]
		switch {
		case l.sequence > before.sequence+1:
			v.lacks(finding(Missing, link{sequence: before.sequence + 1, line: l.line}, "%s: events %d to %d are missing", id.stream, before.sequence+1, l.sequence-1))
		case l.previous != before.hash:
			v.find(finding(Altered, before, "%s: event %d is not what event %d says that it was", id.stream, before.sequence, l.sequence))
		}
	}
}

// signedHeads holds the chains against what was signed.
func (v *Verifier) signedHeads() {
	if len(v.checkpoints) == 0 {
		if len(v.chains) > 0 {
			v.note("there is no checkpoint: who could alter events could have made the chains anew")
		}
		return
	}
	if v.Key == "" {
		v.note("no key is pinned: the checkpoints show only that one key signed them all; pin it with --key")
	}
	covered, told := map[chainID]uint64{}, map[chainID]bool{}
	last := v.checkpoints[len(v.checkpoints)-1]
	for _, c := range v.checkpoints {
		if c.Digest != Digest(c.Heads) && c.Parts == 1 {
			v.find(Finding{Kind: BadSignature, Line: c.line, Message: "the digest of the checkpoint is not that of its heads"})
		}
		for _, h := range c.Heads {
			v.head(c, h, covered, told)
		}
	}
	after := 0
	for id, list := range v.chains {
		for _, l := range list {
			if l.sequence > covered[id] {
				after++
			}
		}
	}
	if after > 0 {
		v.note("%d events came after the last checkpoint that covers them, of %s: no signature holds them yet", after, last.At.UTC().Format(event.TimeLayout))
	}
}

func (v *Verifier) head(c signed, h Head, covered map[chainID]uint64, told map[chainID]bool) {
	id := chainID{h.Stream, h.Epoch}
	covered[id] = max(covered[id], h.Sequence)
	list := v.chains[id]
	i, there := slices.BinarySearchFunc(list, h.Sequence, func(l link, n uint64) int { return cmp.Compare(l.sequence, n) })
	f := Finding{Stream: h.Stream, Epoch: h.Epoch, Sequence: h.Sequence, Line: c.line}
	switch {
	case there && list[i].hash != h.Hash:
		f.Kind, f.ID, f.Line = Altered, list[i].id, list[i].line
		f.Message = fmt.Sprintf("%s: event %d is not the one that was signed", h.Stream, h.Sequence)
		v.find(f)
	case there, told[id]:
	case len(list) == 0:
		told[id] = true
		f.Kind, f.Message = Missing, fmt.Sprintf("%s: none of its %d events is here", h.Stream, h.Sequence)
		v.lacks(f)
	case h.Sequence > list[len(list)-1].sequence:
		told[id] = true
		f.Kind = Missing
		f.Message = fmt.Sprintf("%s: the end is missing, from event %d on: a checkpoint has signed event %d", h.Stream, list[len(list)-1].sequence+1, h.Sequence)
		v.lacks(f)
	}
}
