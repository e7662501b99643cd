package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/bits"
	"os"

	"github.com/jwkswatch/jwkswatch/state"
)

// The layout of a bbolt file, version 2, in the byte order of the machine
// (go.etcd.io/bbolt/internal/common).
const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	pageHeaderSize = 16
	boltMetaSize   = 64
	noFreelist     = ^uint64(0)
	minPageSize    = 1 << 9
	maxPageSize    = 1 << 24
)

// boltMeta is a meta page, the root of everything.
type boltMeta struct {
	pageSize uint32
	root     uint64
	freelist uint64
	pages    uint64 // high water mark: every page in use is below
	txid     uint64
}

// inspect looks at a file before bbolt maps it and returns the number of keys
// in each bucket. bbolt trusts the file: measured, a truncated one ended the
// process by SIGBUS or a panic, and one of size 0 was taken for a new state.
// Errors wrap state.ErrCorrupt, unless the file cannot be read.
func inspect(f *os.File) (map[string]uint64, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	size := info.Size()
	if size == 0 {
		return nil, fmt.Errorf("%w: the file is empty", state.ErrCorrupt)
	}
	meta, err := newestMeta(f, size)
	if err != nil {
		return nil, err
	}
	if meta.pages > uint64(size)/uint64(meta.pageSize) {
		return nil, fmt.Errorf("%w: the file is cut short: it has %d octets and must have %d pages of %d",
			state.ErrCorrupt, size, meta.pages, meta.pageSize)
	}
	return walk(f, meta)
}

// newestMeta reads both meta pages. Both must be valid: the older one alone
// would open, but as a state before the last transaction, without a word. A
// crash does not damage one, it lies in a single sector.
func newestMeta(f *os.File, size int64) (boltMeta, error) {
	var metas [2]boltMeta
	var offset int64
	for i := range metas {
		var b [boltMetaSize]byte
		if _, err := f.ReadAt(b[:], offset+pageHeaderSize); err != nil {
			if errors.Is(err, io.EOF) {
				return boltMeta{}, fmt.Errorf("%w: the file is cut short: it has %d octets", state.ErrCorrupt, size)
			}
			return boltMeta{}, err
		}
		m, err := parseMeta(b)
		if err != nil {
			return boltMeta{}, fmt.Errorf("%w: meta page %d: %w", state.ErrCorrupt, i, err)
		}
		metas[i] = m
		offset = int64(m.pageSize)
	}
	if metas[0].pageSize != metas[1].pageSize {
		return boltMeta{}, fmt.Errorf("%w: meta pages disagree on the page size", state.ErrCorrupt)
	}
	if metas[1].txid > metas[0].txid {
		return metas[1], nil
	}
	return metas[0], nil
}

func parseMeta(b [boltMetaSize]byte) (boltMeta, error) {
	u32, u64 := binary.NativeEndian.Uint32, binary.NativeEndian.Uint64
	if u32(b[0:]) != boltMagic {
		return boltMeta{}, errors.New("not a bbolt file")
	}
	if v := u32(b[4:]); v != boltVersion {
		return boltMeta{}, fmt.Errorf("bbolt version %d, known is %d", v, boltVersion)
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // never returns an error
	if u64(b[56:]) != sum.Sum64() {
		return boltMeta{}, errors.New("checksum does not match")
	}
	m := boltMeta{pageSize: u32(b[8:]), root: u64(b[16:]), freelist: u64(b[32:]), pages: u64(b[40:]), txid: u64(b[48:])}
	if bits.OnesCount32(m.pageSize) != 1 || m.pageSize < minPageSize || m.pageSize > maxPageSize {
		return boltMeta{}, fmt.Errorf("page size %d", m.pageSize)
	}
	return m, nil
}
