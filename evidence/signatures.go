package evidence

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
)

// slack is how much older than a checkpoint an event must be that the checkpoint does
// not know, to be strange: between the look at an endpoint and its commit lie seconds.
const slack = 10 * time.Minute

// claims are what the checkpoints of an export say of one chain.
type claims struct {
	signed map[uint64]Head // by sequence
	// begins is the head in the first checkpoint of the export: what it signs may have
	// come before the export begins. low and high are of all others; 0: there is none.
	begins, low, high uint64
	last              *signed // the checkpoint of the newest head
}

// signatures holds the chains against what was signed.
func (v *Verifier) signatures(ids []chainID) {
	v.signers()
	slices.SortStableFunc(v.checkpoints, func(a, b signed) int {
		return cmp.Or(cmp.Compare(a.epoch, b.epoch), cmp.Compare(a.sequence, b.sequence))
	})
	by, last := v.claimed()
	for id, c := range by {
		c.high = max(c.high, c.begins)
		if v.genesis(id.epoch) && c.begins > 0 {
			c.low = min(cmp.Or(c.low, c.begins), c.begins)
		}
		by[id] = c
	}
	quiet := 0
	for _, id := range slices.SortedFunc(maps.Keys(by), func(a, b chainID) int {
		return cmp.Or(cmp.Compare(a.stream, b.stream), cmp.Compare(a.epoch, b.epoch))
	}) {
		if len(v.chains[id]) == 0 && by[id].low == 0 {
			quiet++
			continue
		}
		v.ends(id, by[id])
	}
	if quiet > 0 {
		v.note("of %s the first checkpoint knows, and no event is here: they came before this export, or were left out of it", plural(quiet, "stream"))
	}
	later, begun := 0, 0
	for _, id := range ids {
		if list := v.chains[id]; list[0].sequence > 1 && !v.genesis(id.epoch) {
			begun++
		}
		n, l := v.held(id, by[id])
		later += n
		if at, ok := last[id.epoch]; ok && l != nil && time.UnixMilli(l.at).Add(slack).Before(at.Time) {
			v.find(id.finding(Inserted, l, "event %d says that it is of %s, and the checkpoint of %s does not know it; or the clock was set back", l.sequence, when(l.at), at.UTC().Format(event.TimeLayout)))
		}
	}
	if begun > 0 {
		v.note("of %s the first event is not in this export: what came before is not known", plural(begun, "stream"))
	}
	if later > 0 && len(v.checkpoints) > 0 {
		v.note("no signature holds %s: they came after the last checkpoint that is here, or no whole chain leads to a signed event", plural(later, "event"))
	}
}

// signers tells of keys: whether one is pinned, and whether it changed.
func (v *Verifier) signers() {
	switch {
	case len(v.chains) == 0:
	case len(v.checkpoints) == 0 && len(v.Keys) > 0:
		v.find(Finding{Kind: Unsigned, Message: "no checkpoint here is signed by a pinned key: nothing shows that the chains were not made anew"})
	case len(v.checkpoints) == 0:
		v.note("there is no checkpoint: who could alter events could have made the chains anew")
	case len(v.Keys) == 0:
		v.note("no key is pinned: the checkpoints only show that they were signed by the keys that they carry; pin them with --key")
		first := map[string]string{}
		for _, c := range v.checkpoints {
			was, known := first[c.epoch]
			if first[c.epoch] = c.signer; known && was != c.signer {
				v.find(Finding{
					Kind: BadSignature, Stream: event.AgentStream, Epoch: c.epoch, Sequence: c.sequence, File: c.file, Line: c.line, order: c.order,
					Message: "another key signs from here on; if nobody exchanged it, this is an attack",
				})
			}
		}
	}
}

// claimed gathers what was signed, by chain, and the time of the last checkpoint, by
// epoch. What is signed in two ways is told at once.
func (v *Verifier) claimed() (map[chainID]claims, map[string]event.Time) {
	by, last := map[chainID]claims{}, map[string]event.Time{}
	first := map[string]*signed{}
	sum := map[string]*total{}
	for i := range v.checkpoints {
		c := &v.checkpoints[i]
		if first[c.epoch] == nil {
			first[c.epoch], sum[c.epoch] = c, &total{}
		}
		last[c.epoch] = c.At
		begins := c.At.Equal(first[c.epoch].At.Time) && c.Digest == first[c.epoch].Digest
		for _, h := range c.Heads {
			id := chainID{h.Stream, h.Epoch}
			by[id] = v.claim(by[id], c, h, begins)
		}
		if !sum[c.epoch].adds(c) {
			v.lacks(Finding{
				Kind: Missing, Stream: event.AgentStream, Epoch: c.epoch, Sequence: c.sequence, File: c.file, Line: c.line, order: c.order,
				Message: "the heads do not add up to the signed digest: a checkpoint before this one is not here",
			})
		}
	}
	return by, last
}

// claim adds one signed head.
func (v *Verifier) claim(c claims, s *signed, h Head, begins bool) claims {
	wrong := func(format string, args ...any) {
		v.find(Finding{
			Kind: Conflicting, Stream: h.Stream, Epoch: h.Epoch, Sequence: h.Sequence, File: s.file, Line: s.line, order: s.order,
			Message: h.Stream + ": " + fmt.Sprintf(format, args...),
		})
	}
	if c.signed == nil {
		c.signed = map[uint64]Head{}
	}
	was, again := c.signed[h.Sequence]
	switch {
	case again && was.Hash != h.Hash:
		wrong("event %d was signed in two versions: somebody with the key made the chain anew", h.Sequence)
		return c
	case again:
		return c // did not change
	case c.last != nil && c.last.epoch == s.epoch && h.Sequence < max(c.begins, c.high):
		wrong("event %d was signed as the last one after event %d was: the chain went back", h.Sequence, max(c.begins, c.high))
		return c
	}
	c.signed[h.Sequence], c.last = h, s
	if begins {
		c.begins = h.Sequence
		return c
	}
	c.low, c.high = min(cmp.Or(c.low, h.Sequence), h.Sequence), max(c.high, h.Sequence)
	return c
}

// ends checks what was signed of a chain against what is here of it.
func (v *Verifier) ends(id chainID, c claims) {
	list := v.chains[id]
	lacks := func(sequence uint64, format string, args ...any) {
		v.lacks(Finding{
			Kind: Missing, Stream: id.stream, Epoch: id.epoch, Sequence: sequence, File: c.last.file, Line: c.last.line, order: c.last.order,
			Message: id.stream + ": " + fmt.Sprintf(format, args...),
		})
	}
	if len(list) == 0 {
		lacks(c.low, "no event of it is here, and a checkpoint has signed event %d", c.high)
		return
	}
	for i := range list {
		if h, ok := c.signed[list[i].sequence]; ok && h.Hash != "sha256:"+hex.EncodeToString(list[i].hash[:]) {
			v.find(id.finding(Altered, &list[i], "event %d is not the one that was signed", list[i].sequence))
		}
	}
	if begin := list[0].sequence; c.low > 0 && c.low < begin {
		lacks(c.low, "the beginning is not here: a checkpoint has signed event %d, and the first is event %d", c.low, begin)
	} else if begin > 1 && v.genesis(id.epoch) {
		lacks(1, "%s not here, though the export begins with the agent's first word", span(1, begin-1))
	}
	if end := list[len(list)-1].sequence; c.high > end {
		lacks(end+1, "the end is not here: a checkpoint has signed event %d, and the last is event %d", c.high, end)
	}
}

// held counts the events that no signature holds, and returns the first that came
// after all that was signed, nil when there is none.
func (v *Verifier) held(id chainID, c claims) (n int, first *link) {
	list := v.chains[id]
	held := false
	for i := len(list) - 1; i >= 0; i-- {
		l := &list[i]
		if i+1 < len(list) && (list[i+1].sequence != l.sequence+1 || !list[i+1].says(l.hash)) {
			held = false
		}
		h, ok := c.signed[l.sequence]
		if held = held || ok && h.Hash == "sha256:"+hex.EncodeToString(l.hash[:]); held {
			v.report.Signed++
			continue
		}
		v.report.Unsigned++
		n++
		if l.sequence > c.high {
			first = l
		}
	}
	return n, first
}

// total follows the heads of all streams from a full checkpoint on.
type total struct {
	heads map[string]Head // nil: not known
	parts int             // of the checkpoint under way
	at    event.Time
}

// adds takes the next part and reports false when the heads that are known by then
// are not those that the digest was made of.
func (t *total) adds(c *signed) bool {
	if c.Part == 1 {
		t.parts, t.at = 0, c.At
		if c.Full {
			t.heads = map[string]Head{}
		}
	}
	t.parts++
	if c.Part != t.parts || !c.At.Equal(t.at.Time) {
		t.heads = nil // a part before is not here; its place in the chain tells of it
	}
	if t.heads == nil {
		return true
	}
	for _, h := range c.Heads {
		t.heads[h.Stream] = h
	}
	if c.Part < c.Parts {
		return true
	}
	if Digest(slices.SortedFunc(maps.Values(t.heads), byStream)) == c.Digest {
		return true
	}
	t.heads = nil
	return false
}
