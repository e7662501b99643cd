package evidence

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"

	"github.com/jwkswatch/jwkswatch/event"
)

// Report checks all that was taken. Findings are in the order of their lines. It is
// called once.
func (v *Verifier) Report() Report {
	ids := slices.SortedFunc(maps.Keys(v.chains), func(a, b chainID) int {
		return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(v.chains[a][0].order, v.chains[b][0].order))
	})
	streams := map[string]bool{}
	for _, id := range ids {
		streams[id.stream] = true
		v.chain(id)
	}
	for _, source := range slices.Sorted(maps.Keys(v.epochs)) {
		if n := len(v.epochs[source]); n > 1 {
			v.note("%s has %d epochs: the state was lost, restored or made anew, and its chain begins again", event.Text(source), n)
		}
	}
	v.known()
	v.signatures(ids)
	v.report.Streams = len(streams)
	r := v.report
	slices.SortStableFunc(r.Findings, func(a, b Finding) int { return cmp.Compare(a.order, b.order) })
	for i := range r.Findings {
		f := &r.Findings[i]
		f.Stream, f.Epoch, f.ID, f.Message = event.Text(f.Stream), event.Text(f.Epoch), event.Text(f.ID), event.Text(f.Message)
	}
	for i, n := range r.Notes {
		r.Notes[i] = event.Text(n)
	}
	r.Findings, r.Notes, r.Signers = orEmpty(r.Findings), orEmpty(r.Notes), orEmpty(r.Signers)
	return r
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// chain checks the events of one stream in one epoch, and leaves them sorted and
// each once.
func (v *Verifier) chain(id chainID) {
	once := v.once(id)
	slices.SortFunc(once, func(a, b link) int { return cmp.Compare(a.sequence, b.sequence) })
	v.chains[id] = once
	v.report.Events += len(once)
	switch first := &once[0]; {
	case first.sequence == 1 && first.previous != "":
		v.find(id.finding(Altered, first, "the first event says that there was one before"))
	case first.sequence > 1 && first.previous == "":
		v.find(id.finding(Altered, first, "event %d says that there was none before", first.sequence))
	}
	for i := range once[1:] {
		before, l := &once[i], &once[i+1]
		switch {
		case l.sequence > before.sequence+1:
			f := id.finding(Missing, l, "%s not here: taken out, lost, or not delivered by a filter", span(before.sequence+1, l.sequence-1))
			f.Sequence, f.ID = before.sequence+1, ""
			v.lacks(f)
		case !l.says(before.hash):
			v.find(id.finding(Altered, before, "event %d is not what event %d says that it was", before.sequence, l.sequence))
		}
	}
}

// once drops what was delivered again, and tells of what cannot be.
func (v *Verifier) once(id chainID) []link {
	var once []link
	highest, file := uint64(0), 0
	seen := make(map[uint64]int, len(v.chains[id])) // place in once
	for i := range v.chains[id] {
		l := &v.chains[id][i]
		if l.files != file {
			highest, file = 0, l.files
		}
		if at, again := seen[l.sequence]; again {
			if first := &once[at]; first.hash != l.hash {
				v.find(id.finding(Conflicting, l, "lines %d and %d have the same place, event %d, and are not the same", first.line, l.line, l.sequence))
				continue
			}
			v.report.Repeated++ // delivery is at least once
			continue
		}
		if l.sequence < highest {
			v.find(id.finding(Reordered, l, "event %d stands behind event %d", l.sequence, highest))
		}
		highest = max(highest, l.sequence)
		seen[l.sequence] = len(once)
		once = append(once, *l)
	}
	return once
}

// known holds the ends of the chains against those that Heads was given.
func (v *Verifier) known() {
	empty := 0
	for _, h := range v.stated {
		id := chainID{h.Stream, h.Epoch}
		list := v.chains[id]
		if len(list) == 0 {
			empty++
			continue
		}
		switch last := &list[len(list)-1]; {
		case last.sequence != h.Sequence:
			f := id.finding(Missing, last, "the state says that event %d is the last, and the journal ends with event %d", h.Sequence, last.sequence)
			f.Sequence, f.ID = last.sequence+1, ""
			v.lacks(f)
		case "sha256:"+hex.EncodeToString(last.hash[:]) != h.Hash:
			v.find(id.finding(Altered, last, "event %d is not the one that the state knows as the last", last.sequence))
		}
	}
	if empty > 0 {
		v.note("%s have no event in the journal any more", plural(empty, "stream"))
	}
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

func span(first, last uint64) string {
	if first == last {
		return fmt.Sprintf("event %d is", first)
	}
	return fmt.Sprintf("events %d to %d are", first, last)
}

// genesis reports whether an export begins where the state of an epoch began: then
// nothing may be missing at the beginning of any stream.
func (v *Verifier) genesis(epoch string) bool {
	list := v.chains[chainID{event.AgentStream, epoch}]
	return len(list) > 0 && list[0].sequence == 1
}
