package bolt

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
)

// The format of the file, versions 1 and 2. Both are frozen: a change is a new
// version of the value concerned, and of the whole.
//
// Every value, in every bucket, is
//
//	version   1 octet, 1; 2 in the two values that format 2 adds
//	digest   32 octets, SHA-256(version ‖ lp(bucket) ‖ lp(key) ‖ payload)
//	payload
//
// bbolt has no checksum on its pages: of 150 random faults 52 gave a wrong
// value without a word. The digest covers bucket and key too, so that a value
// under a damaged key is found out.
//
// Numbers are big endian; u8, u32, u64 are unsigned. lp(x) is u32 length and x.
// time is u64 Unix seconds, two's complement, and u32 nanoseconds. hash is 32
// octets. No decoder accepts octets left over.
//
//	meta       format                 u32 version of the file
//	           created                time
//	           epoch                  32 lower-case hexadecimal digits
//	           key                    32 random octets
//	           ledger                 u64 first, u64 last: positions of the journal, empty when first > last
//	                                  u64 body: the last id given out
//	                                  u64 endpoints, u64 cursors, u64 seen: keys in these buckets
//	           note/ and a name       octets that a sink keeps beside its cursor; may be missing
//	heads      endpoint               u64 revision, u64 oldest revision kept, hash step
//	records    endpoint 00 u64 rev.   time at, lp(epoch), u64 sequence, hash head, hash digest,
//	                                  u64 body id (0: none), hash body, lp(evidence)
//	memory     endpoint               u64 revision, then the memory
//	bodies     u64 id                 u32 plain size, then one zstd frame (RFC 8878)
//	bodyindex  SHA-256 of the body    u64 id, u64 records that refer to it
//	journal    u64 position           lp(id), lp(type), lp(endpoint), u8 severity, time at, then the JSON
//	eventids   event id               u64 position
//	cursors    name                   u64 position (0: the beginning)
//	seen       u32 shard              u32 count, then of each, sorted by name: lp(endpoint), time
//
// step is SHA-256(lp(epoch) ‖ u64 sequence ‖ hash head ‖ hash digest ‖ lp(id) …):
// what tells a Txn that is committed again from another one. A shard is the
// first four octets of SHA-256(endpoint) modulo 1024. Outside, a position is
// its 16 hexadecimal digits.
//
// Format 2 adds what Thin leaves behind. A state is made as format 1 and becomes
// format 2 in the transaction that thins first, so that what never thinned can
// still be read by a version that knows format 1 only. Such a version refuses
// format 2 by its number, before it looks at anything else. The two values have
// version 2, so that neither can be taken for its older form:
//
//	meta       ledger                 as above, then u64 thinned: marks in the journal,
//	                                  u64 thin: the position of the newest mark
//	journal    u64 position           time at: a mark, in place of an entry
//
// A mark keeps the position of its entry, so that what is missing is still
// missed. It has no event id. The newest entry of a journal is never a mark.
const (
	formatVersion = 2 // the newest that is known
	formatEntries = 1 // without marks
	valueVersion  = 1
	markVersion   = 2 // of a mark, and of a ledger that counts marks

	bucketMeta      = "meta"
	bucketHeads     = "heads"
	bucketRecords   = "records"
	bucketMemory    = "memory"
	bucketBodies    = "bodies"
	bucketBodyIndex = "bodyindex"
	bucketJournal   = "journal"
	bucketEventIDs  = "eventids"
	bucketCursors   = "cursors"
	bucketSeen      = "seen"

	metaFormat  = "format"
	metaCreated = "created"
	metaEpoch   = "epoch"
	metaKey     = "key"
	metaLedger  = "ledger"

	sealSize   = 1 + sha256.Size
	seenShards = 1024
	epochSize  = 32
)

// buckets lists every bucket of the format.
func buckets() []string {
	return []string{
		bucketMeta, bucketHeads, bucketRecords, bucketMemory, bucketBodies,
		bucketBodyIndex, bucketJournal, bucketEventIDs, bucketCursors, bucketSeen,
	}
}

// seal makes a stored value of a payload.
func seal(bucket string, key, payload []byte) []byte {
	return sealAs(valueVersion, bucket, key, payload)
}

// sealAs is seal for a value of another version.
func sealAs(version byte, bucket string, key, payload []byte) []byte {
	out := make([]byte, sealSize, sealSize+len(payload))
	out[0] = version
	sum := digest(out[0], bucket, key, payload)
	copy(out[1:], sum[:])
	return append(out, payload...)
}

// unseal returns the payload of a stored value, which it shares, or an error
// that wraps state.ErrCorrupt.
func unseal(bucket string, key, value []byte) ([]byte, error) {
	payload, version, err := unsealAny(bucket, key, value)
	if err == nil && version != valueVersion {
		err = damaged(bucket, key, fmt.Errorf("value has version %d, known is %d", version, valueVersion))
	}
	if err != nil {
		return nil, err
	}
	return payload, nil
}

// unsealAny is unseal for a value of any version.
func unsealAny(bucket string, key, value []byte) (payload []byte, version byte, err error) {
	if len(value) < sealSize {
		return nil, 0, damaged(bucket, key, errors.New("value is too short"))
	}
	payload = value[sealSize:]
	if digest(value[0], bucket, key, payload) != [32]byte(value[1:sealSize]) {
		return nil, 0, damaged(bucket, key, errors.New("digest does not match"))
	}
	return payload, value[0], nil
}

func digest(version byte, bucket string, key, payload []byte) [32]byte {
	h := sha256.New()
	head := make([]byte, 0, 128)
	head = append(head, version)
	head = appendText(head, bucket)
	head = appendText(head, key)
	// Hash.Write never returns an error.
	h.Write(head)
	h.Write(payload)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum
}

// damaged names the place of a damaged value.
func damaged(bucket string, key []byte, err error) error {
	return fmt.Errorf("%w: bucket %s, key %s: %w", state.ErrCorrupt, bucket, keyText(bucket, key), err)
}

// keyText makes a key fit to print. The key may be damaged itself.
func keyText(bucket string, key []byte) string {
	switch bucket {
	case bucketBodies, bucketJournal:
		if len(key) == 8 {
			return strconv.FormatUint(binary.BigEndian.Uint64(key), 10)
		}
	case bucketRecords:
		if n := len(key) - 9; n > 0 && key[n] == 0 {
			return keyText("", key[:n]) + " revision " + strconv.FormatUint(binary.BigEndian.Uint64(key[n+1:]), 10)
		}
	case bucketBodyIndex, bucketSeen:
		return fmt.Sprintf("%x", key[:min(len(key), 32)])
	}
	return quote(string(key))
}

// quote makes a name fit to print, whoever gave it.
func quote(name string) string { return strconv.QuoteToASCII(name[:min(len(name), maxName)]) }

// head is the newest step of an endpoint.
type head struct {
	revision, oldest uint64
	step             [32]byte
}

func (h head) encode() []byte {
	return append(appendNumbers(nil, h.revision, h.oldest), h.step[:]...)
}

func decodeHead(b []byte) (head, error) {
	d := decoder{in: b}
	h := head{revision: d.u64(), oldest: d.u64(), step: d.hash()}
	if h.oldest == 0 || h.oldest > h.revision {
		d.bad = true
	}
	return h, d.done()
}

// stepOf tells a Txn that is committed again from another one.
func stepOf(t state.Txn) [32]byte {
	b := appendText(nil, t.Next.Head.Epoch)
	b = appendNumbers(b, t.Next.Head.Sequence)
	b = append(b, t.Next.Head.Hash[:]...)
	b = append(b, t.Next.Digest[:]...)
	for _, e := range t.Events {
		b = appendText(b, e.ID)
	}
	return sha256.Sum256(b)
}

// record is a stored step, its body by reference.
type record struct {
	at       time.Time
	head     state.Head
	digest   [32]byte
	bodyID   uint64 // 0: no set was ever accepted
	body     [32]byte
	evidence []byte
}

func recordKey(endpoint string, revision uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(endpoint), 0), revision)
}

func (r record) encode() []byte {
	b := appendTime(nil, r.at)
	b = appendText(b, r.head.Epoch)
	b = appendNumbers(b, r.head.Sequence)
	b = append(b, r.head.Hash[:]...)
	b = append(b, r.digest[:]...)
	b = appendNumbers(b, r.bodyID)
	b = append(b, r.body[:]...)
	return appendText(b, r.evidence)
}

// decodeRecord copies what it keeps.
func decodeRecord(b []byte) (record, error) {
	d := decoder{in: b}
	r := record{at: d.time()}
	r.head = state.Head{Epoch: string(d.text()), Sequence: d.u64(), Hash: d.hash()}
	r.digest = d.hash()
	r.bodyID, r.body = d.u64(), d.hash()
	r.evidence = bytes.Clone(d.text())
	if len(r.evidence) == 0 {
		r.evidence = nil
	}
	return r, d.done()
}

func encodeMemory(revision uint64, memory []byte) []byte {
	return append(appendNumbers(nil, revision), memory...)
}

func decodeMemory(b []byte) (revision uint64, memory []byte, err error) {
	d := decoder{in: b}
	revision = d.u64()
	if memory = bytes.Clone(d.rest()); len(memory) == 0 {
		memory = nil
	}
	return revision, memory, d.done()
}

// bodyRef is where a body is and how many records refer to it.
type bodyRef struct{ id, refs uint64 }

func (r bodyRef) encode() []byte { return appendNumbers(nil, r.id, r.refs) }

func decodeBodyRef(b []byte) (bodyRef, error) {
	d := decoder{in: b}
	r := bodyRef{id: d.u64(), refs: d.u64()}
	if r.id == 0 || r.refs == 0 {
		d.bad = true
	}
	return r, d.done()
}

func decodeNumber(b []byte) (uint64, error) {
	d := decoder{in: b}
	n := d.u64()
	return n, d.done()
}

// sighting is one endpoint in a shard.
type sighting struct {
	endpoint string
	at       time.Time
}

func seenKey(endpoint string) []byte {
	sum := sha256.Sum256([]byte(endpoint))
	return binary.BigEndian.AppendUint32(nil, binary.BigEndian.Uint32(sum[:])%seenShards)
}

func encodeSeen(shard []sighting) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(shard)))
	for _, s := range shard {
		b = appendTime(appendText(b, s.endpoint), s.at)
	}
	return b
}

func decodeSeen(b []byte) ([]sighting, error) {
	d := decoder{in: b}
	n := d.u32()
	var shard []sighting
	for range n {
		s := sighting{string(d.text()), d.time()}
		if d.bad {
			break // n may be anything
		}
		shard = append(shard, s)
	}
	if !slices.IsSortedFunc(shard, func(a, b sighting) int {
		return cmpStrict(a.endpoint, b.endpoint)
	}) {
		d.bad = true
	}
	return shard, d.done()
}

// cmpStrict makes equal neighbours unsorted.
func cmpStrict(a, b string) int {
	if c := strings.Compare(a, b); c != 0 {
		return c
	}
	return -1
}
