package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/jwkswatch/jwkswatch/state"
)

const (
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	elementSize  = 16
	bucketHeader = 16
	bucketFlag   = 0x01
	maxKeySize   = 32768
	maxDepth     = 64 // far above any tree that fits a disk
)

// walker follows every page that bbolt would follow and checks what bbolt
// takes for granted. bbolt makes the same way when it opens a file without a
// stored freelist, but in a goroutine of its own, where a damaged page ends
// the process and nothing can recover it.
type walker struct {
	data   []byte // of the file, up to the last page
	meta   boltMeta
	used   []bool // pages that have an owner
	counts map[string]uint64
}

// walk returns the number of keys in each bucket.
func walk(f *os.File, meta boltMeta) (counts map[string]uint64, err error) {
	data, unmap, err := mapFile(f, int(meta.pages)*int(meta.pageSize))
	if err != nil {
		return nil, fmt.Errorf("mapping the file: %w", err)
	}
	w := &walker{data: data, meta: meta, counts: map[string]uint64{}, used: make([]bool, meta.pages)}
	err = guard(func() error {
		if err := w.tree(meta.root, "", limits{}); err != nil || meta.freelist == noFreelist {
			return err
		}
		return w.freelist()
	})
	return w.counts, errors.Join(err, unmap())
}

// limits are the bounds of the keys in a page: low ≤ key < high. Nil is none.
type limits struct {
	low, high []byte
	depth     int
}

// page is a page with its overflow.
type page struct {
	w     *walker
	id    uint64
	flags uint16
	count int
	data  []byte
}

func (w *walker) bad(id uint64, format string, args ...any) error {
	return fmt.Errorf("%w: page %d: %s", state.ErrCorrupt, id, fmt.Sprintf(format, args...))
}

// claim takes a page and its overflow for its owner.
func (w *walker) claim(id uint64) (*page, error) {
	if id < 2 || id >= w.meta.pages {
		return nil, w.bad(id, "out of bounds")
	}
	size, ne := uint64(w.meta.pageSize), binary.NativeEndian
	b := w.data[id*size:]
	overflow := uint64(ne.Uint32(b[12:]))
	if has := ne.Uint64(b); has != id {
		return nil, w.bad(id, "says it is page %d", has)
	}
	if overflow >= w.meta.pages-id {
		return nil, w.bad(id, "overflow out of bounds")
	}
	for i := id; i <= id+overflow; i++ {
		if w.used[i] {
			return nil, w.bad(i, "used twice")
		}
		w.used[i] = true
	}
	return &page{w: w, id: id, flags: ne.Uint16(b[8:]), count: int(ne.Uint16(b[10:])), data: b[:(overflow+1)*size]}, nil
}

// element is one of a page: a leaf's key and value, or a branch's key and child.
type element struct {
	key, value []byte
	isBucket   bool
	child      uint64
}

// element checks that an element lies within its page and its limits. The
// caller has checked the count.
func (p *page) element(i int, last []byte, in limits) (element, error) {
	b := p.data[pageHeaderSize+i*elementSize:]
	u32 := binary.NativeEndian.Uint32
	var e element
	var pos, keySize, valueSize uint64
	if p.flags == branchPage {
		pos, keySize, e.child = uint64(u32(b)), uint64(u32(b[4:])), binary.NativeEndian.Uint64(b[8:])
	} else {
		if u32(b) > bucketFlag {
			return element{}, p.w.bad(p.id, "element %d has flags %#x", i, u32(b))
		}
		e.isBucket = u32(b) == bucketFlag
		pos, keySize, valueSize = uint64(u32(b[4:])), uint64(u32(b[8:])), uint64(u32(b[12:]))
	}
	start := uint64(pageHeaderSize+i*elementSize) + pos
	if keySize == 0 || keySize > maxKeySize || start < uint64(pageHeaderSize+p.count*elementSize) ||
		start+keySize+valueSize > uint64(len(p.data)) {
		return element{}, p.w.bad(p.id, "element %d is out of bounds", i)
	}
	e.key = p.data[start:][:keySize]
	e.value = p.data[start+keySize:][:valueSize]
	if (last != nil && bytes.Compare(last, e.key) >= 0) || bytes.Compare(e.key, in.low) < 0 ||
		(in.high != nil && bytes.Compare(e.key, in.high) >= 0) {
		return element{}, p.w.bad(p.id, "element %d is out of order", i)
	}
	return e, nil
}

// tree checks a page and all below it. Bucket "" is the root, which holds the
// buckets; no bucket of ours holds another.
func (w *walker) tree(id uint64, bucket string, in limits) error {
	if in.depth > maxDepth {
		return w.bad(id, "the tree is too deep")
	}
	p, err := w.claim(id)
	if err != nil {
		return err
	}
	if p.flags != leafPage && p.flags != branchPage {
		return w.bad(id, "flags %#x", p.flags)
	}
	if pageHeaderSize+p.count*elementSize > len(p.data) || (p.flags == branchPage && p.count == 0) {
		return w.bad(id, "count %d", p.count)
	}
	if p.flags == leafPage {
		return w.leaf(p, bucket, in)
	}
	return w.branch(p, bucket, in)
}

func (w *walker) branch(p *page, bucket string, in limits) error {
	var before element
	for i := range p.count {
		e, err := p.element(i, before.key, in)
		if err != nil {
			return err
		}
		if i > 0 {
			if err := w.tree(before.child, bucket, limits{before.key, e.key, in.depth + 1}); err != nil {
				return err
			}
		}
		before = e
	}
	return w.tree(before.child, bucket, limits{before.key, in.high, in.depth + 1})
}

func (w *walker) leaf(p *page, bucket string, in limits) error {
	var last []byte
	for i := range p.count {
		e, err := p.element(i, last, in)
		if err != nil {
			return err
		}
		last = e.key
		if e.isBucket != (bucket == "") {
			return w.bad(p.id, "element %d is not of its bucket's kind", i)
		}
		if e.isBucket {
			if err := w.bucket(p, e); err != nil {
				return err
			}
		}
	}
	if bucket != "" {
		w.counts[bucket] += uint64(p.count)
	}
	return nil
}

// bucket checks a bucket's header and its tree, or its page if it is small
// enough to stand inline in the value.
func (w *walker) bucket(p *page, e element) error {
	if len(e.value) < bucketHeader {
		return w.bad(p.id, "a bucket without a header")
	}
	name, ne := string(e.key), binary.NativeEndian
	w.counts[name] = 0
	if root := ne.Uint64(e.value); root != 0 {
		return w.tree(root, name, limits{})
	}
	b := e.value[bucketHeader:]
	if len(b) < pageHeaderSize {
		return w.bad(p.id, "an inline bucket without a page")
	}
	inline := &page{w: w, id: p.id, flags: ne.Uint16(b[8:]), count: int(ne.Uint16(b[10:])), data: b}
	if inline.flags != leafPage || pageHeaderSize+inline.count*elementSize > len(b) {
		return w.bad(p.id, "an inline bucket that is no leaf")
	}
	return w.leaf(inline, name, limits{})
}

// freelist checks a stored freelist. We write none, other tools do; a page
// that is both free and in use would be overwritten.
func (w *walker) freelist() error {
	p, err := w.claim(w.meta.freelist)
	if err != nil {
		return err
	}
	if p.flags != freelistPage {
		return w.bad(p.id, "flags %#x, not a freelist", p.flags)
	}
	count, ids := uint64(p.count), p.data[pageHeaderSize:]
	if p.count == 0xFFFF { // the count did not fit and stands before the ids
		count, ids = binary.NativeEndian.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids))/8 {
		return w.bad(p.id, "freelist of %d pages", count)
	}
	for ids = ids[:count*8]; len(ids) > 0; ids = ids[8:] {
		id := binary.NativeEndian.Uint64(ids)
		if id < 2 || id >= w.meta.pages || w.used[id] {
			return w.bad(p.id, "page %d is not free", id)
		}
		w.used[id] = true
	}
	return nil
}

// checkCounts compares the keys found with what the ledger says there must be.
func checkCounts(has, want map[string]uint64) error {
	for _, bucket := range buckets() {
		n, ok := has[bucket]
		if !ok {
			return fmt.Errorf("%w: bucket %s is missing: not a state of this program", state.ErrCorrupt, bucket)
		}
		if w, ok := want[bucket]; ok && n != w {
			return fmt.Errorf("%w: bucket %s has %d keys and must have %d", state.ErrCorrupt, bucket, n, w)
		}
	}
	return nil
}
