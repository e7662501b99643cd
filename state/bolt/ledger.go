package bolt

import (
	"fmt"

	"go.etcd.io/bbolt"
)

// ledger counts what is in the file, so that what went missing is missed.
type ledger struct {
	first, last              uint64
	body                     uint64
	endpoints, cursors, seen uint64

	// Of format 2. Thinned counts the marks, thin is the position of the newest
	// of them. Once there was one, thin stays, and with it the form.
	thinned, thin uint64
}

// entries is the number of entries in the journal, marks included.
func (l ledger) entries() uint64 { return l.last + 1 - l.first }

// version is that of the stored value.
func (l ledger) version() byte {
	if l.thin == 0 {
		return valueVersion
	}
	return markVersion
}

// format is the format version of a file with this ledger.
func (l ledger) format() uint32 {
	if l.thin == 0 {
		return formatEntries
	}
	return formatVersion
}

func (l ledger) encode() []byte {
	b := appendNumbers(nil, l.first, l.last, l.body, l.endpoints, l.cursors, l.seen)
	if l.version() == markVersion {
		b = appendNumbers(b, l.thinned, l.thin)
	}
	return b
}

func decodeLedger(version byte, b []byte) (ledger, error) {
	d := decoder{in: b}
	l := ledger{first: d.u64(), last: d.u64(), body: d.u64(), endpoints: d.u64(), cursors: d.u64(), seen: d.u64()}
	if l.first == 0 || l.first > l.last+1 || l.last+1 == 0 {
		d.bad = true
	}
	switch version {
	case valueVersion:
	case markVersion:
		l.thinned, l.thin = d.u64(), d.u64()
		// The newest entry is never a mark, and every mark is an entry.
		if l.thin == 0 || l.thin >= l.last || l.thinned > l.entries() {
			d.bad = true
		}
	default:
		return ledger{}, fmt.Errorf("value has version %d, known are %d and %d", version, valueVersion, markVersion)
	}
	return l, d.done()
}

func readLedger(tx *bbolt.Tx) (ledger, error) {
	key := []byte(metaLedger)
	value := tx.Bucket([]byte(bucketMeta)).Get(key)
	if value == nil {
		return ledger{}, damaged(bucketMeta, key, errMissing)
	}
	payload, version, err := unsealAny(bucketMeta, key, value)
	if err != nil {
		return ledger{}, err
	}
	l, err := decodeLedger(version, payload)
	return decoded(bucketMeta, key, l, err)
}
