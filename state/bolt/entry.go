package bolt

import (
	"bytes"
	"fmt"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

func encodeEntry(e state.Entry) []byte {
	b := make([]byte, 0, len(e.JSON)+len(e.ID)+len(e.Type)+len(e.Endpoint)+32)
	b = appendText(b, e.ID)
	b = appendText(b, e.Type)
	b = appendText(b, e.Endpoint)
	b = append(b, e.Severity)
	b = appendTime(b, e.At)
	return append(b, e.JSON...)
}

// decodeEntry copies what it keeps. Position is left to the caller.
func decodeEntry(b []byte) (state.Entry, error) {
	d := decoder{in: b}
	e := state.Entry{ID: string(d.text()), Type: string(d.text()), Endpoint: string(d.text()), Severity: d.u8(), At: d.time()}
	e.JSON = bytes.Clone(d.rest())
	return e, d.done()
}

func encodeMark(at time.Time) []byte { return appendTime(nil, at) }

// place is what stands at a position of the journal.
type place struct {
	state.Entry      // of a mark, Position and At only
	mark        bool // an entry stood here that Thin took
}

// decodePlace makes a place of a stored value.
func decodePlace(position uint64, value []byte) (place, error) {
	key := number(position)
	payload, version, err := unsealAny(bucketJournal, key, value)
	if err != nil {
		return place{}, err
	}
	var p place
	switch version {
	case valueVersion:
		p.Entry, err = decodeEntry(payload)
	case markVersion:
		d := decoder{in: payload}
		p.At, p.mark = d.time(), true
		err = d.done()
	default:
		err = fmt.Errorf("value has version %d, known are %d and %d", version, valueVersion, markVersion)
	}
	p.Position = formatPosition(position)
	return decoded(bucketJournal, key, p, err)
}
