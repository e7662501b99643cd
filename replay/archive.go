// Package replay lets the rules judge what is long over: an archive of observed
// key sets, or the stored history of an agent. It says what would have been told.
package replay

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// maxLine bounds one line of an archive, in octets: a set of 4 MiB and what
// stands around it.
const maxLine = 8 << 20

// Row is one state of one service: what it answered from T on, until its next
// row.
type Row struct {
	T       time.Time
	Service string
	Status  int
	Error   string // "" for none
	// Listed is how many kids the observer saw, when it tells: of another number
	// of keys the labels cannot be trusted.
	Listed int
	Doc    []byte
}

// Failed reports whether the row is a poll without an answer; its Doc is then the
// last good set and says nothing.
func (r *Row) Failed() bool { return r.Status != 200 || r.Error != "" }

// Read reads JSON lines {t, service, status, error, doc}, plain or compressed
// with xz, gzip or zstd, and sorts them by service and time. Errors name the
// line.
func Read(in io.Reader) ([]Row, error) {
	plain, err := decompressed(bufio.NewReaderSize(in, 64<<10))
	if err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(plain)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	var rows []Row
	for n := 1; lines.Scan(); n++ {
		if len(bytes.TrimSpace(lines.Bytes())) == 0 {
			continue
		}
		row, err := parse(lines.Bytes())
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		rows = append(rows, row)
	}
	if err := lines.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("a line of over %d octets", maxLine)
		}
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	slices.SortStableFunc(rows, func(a, b Row) int { return cmp.Or(cmp.Compare(a.Service, b.Service), a.T.Compare(b.T)) })
	return rows, nil
}

func parse(line []byte) (Row, error) {
	var in struct {
		T       *time.Time      `json:"t"`
		Service string          `json:"service"`
		Status  int             `json:"status"`
		Error   *string         `json:"error"`
		Listed  int             `json:"listed_kids"`
		Doc     json.RawMessage `json:"doc"`
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return Row{}, fmt.Errorf("no JSON object of an archive: %w", err)
	}
	switch {
	case in.T == nil:
		return Row{}, errors.New("no t")
	case in.Service == "":
		return Row{}, errors.New("no service")
	}
	r := Row{T: in.T.UTC(), Service: in.Service, Status: in.Status, Listed: in.Listed, Doc: bytes.Clone(in.Doc)}
	if in.Error != nil {
		r.Error = cmp.Or(*in.Error, "unknown error")
	}
	return r, nil
}

// decompressed looks at the first octets and not at a name.
func decompressed(in *bufio.Reader) (io.Reader, error) {
	magic, err := in.Peek(6)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("reading the archive: %w", err)
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0xfd, '7', 'z', 'X', 'Z', 0}):
		return xz.NewReader(in)
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		return gzip.NewReader(in)
	case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return zstd.NewReader(in, zstd.WithDecoderMaxMemory(256<<20))
	}
	return in, nil
}
