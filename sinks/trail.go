package sinks

import (
	"encoding/json"
	"time"
)

// maxTrail is how many acknowledgements are kept between two thinnings.
const maxTrail = 96

// acked is one event that a receiver has acknowledged.
type acked struct {
	Position string `json:"p"` // in the journal
	Sequence uint64 `json:"s"` // in the stream
	ID       string `json:"i"`
	At       int64  `json:"t"` // Unix seconds
	Number   uint64 `json:"n"` // of acknowledgements up to this one
}

// trail is what a sink remembers of what its receiver acknowledged: the newest
// events, and of the older ones ever fewer. Wherever the receiver lost its tail,
// one that it still has lies at most as many events before the loss as the loss
// is long.
type trail struct {
	Target string  `json:"target"` // what acknowledged: another one owes us nothing
	Origin string  `json:"origin"` // position before the first acknowledgement
	Top    uint64  `json:"top"`    // the highest sequence that was acknowledged
	Number uint64  `json:"n"`
	Acks   []acked `json:"acks"` // by position
	// Checked is the newest that the stream was last seen to have; without an id
	// before the first look.
	Checked acked `json:"checked"`
}

// readTrail reads a note; one that is of another target, or unreadable, is as
// good as none.
func readTrail(note []byte, target, at string) trail {
	var t trail
	if json.Unmarshal(note, &t) != nil || t.Target != target {
		return trail{Target: target, Origin: at}
	}
	return t
}

// note is the trail as it is stored.
func (t *trail) note() []byte {
	t.thin()
	b, err := json.Marshal(t)
	if err != nil {
		return nil // of plain members: it cannot happen
	}
	return b
}

// add notes an acknowledgement. What was known of later positions is forgotten:
// they are sent again.
func (t *trail) add(position, id string, sequence uint64, at time.Time) {
	t.cut(position)
	t.Number++
	t.Top = max(t.Top, sequence)
	t.Acks = append(t.Acks, acked{Position: position, Sequence: sequence, ID: id, At: at.Unix(), Number: t.Number})
	if len(t.Acks) > maxTrail {
		t.thin()
	}
}

// cut forgets what stands at a position or after it.
func (t *trail) cut(position string) {
	for n := len(t.Acks); n > 0 && t.Acks[n-1].Position >= position; n-- {
		t.Acks = t.Acks[:n-1]
	}
}

// keep forgets what came after the acknowledgement of an index, all for -1, and
// returns the position that is left.
func (t *trail) keep(i int) string {
	t.Acks, t.Checked = t.Acks[:i+1], acked{}
	if i < 0 {
		return t.Origin
	}
	return t.Acks[i].Position
}

// suspects are the acknowledgements to ask for: the newest, and the one that was
// the newest at the look before, or the first. Of a stream that was purged under
// us the newest may be of after the purge.
func (t *trail) suspects() []acked {
	newest, old := t.Acks[len(t.Acks)-1], t.Checked
	if old.ID == "" {
		old = t.Acks[0]
	}
	if old.Position >= newest.Position {
		return []acked{newest}
	}
	return []acked{old, newest}
}

// below is the index of the newest acknowledgement before a position, -1 when
// there is none.
func (t *trail) below(position string) int {
	i := len(t.Acks) - 1
	for i >= 0 && t.Acks[i].Position >= position {
		i--
	}
	return i
}

// thin leaves gaps that grow with the age, so that a million acknowledgements
// are some forty.
func (t *trail) thin() {
	if len(t.Acks) < 3 {
		return
	}
	newest := t.Acks[len(t.Acks)-1].Number
	kept := []acked{t.Acks[0]}
	for i := 1; i < len(t.Acks)-1; i++ {
		last, next := kept[len(kept)-1], t.Acks[i+1]
		if next.Number-last.Number > (newest-next.Number)/2 {
			kept = append(kept, t.Acks[i])
		}
	}
	t.Acks = append(kept, t.Acks[len(t.Acks)-1])
}
