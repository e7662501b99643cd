package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"
)

func appendText[T string | []byte](b []byte, s T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// decoder takes a payload apart. Once bad, it gives zero values.
type decoder struct {
	in  []byte
	bad bool
}

// take shares the input.
func (d *decoder) take(n int) []byte {
	if d.bad || n > len(d.in) {
		d.bad = true
		return nil
	}
	b := d.in[:n:n]
	d.in = d.in[n:]
	return b
}

func (d *decoder) u8() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) u32() uint32 {
	if b := d.take(4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

func (d *decoder) u64() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (d *decoder) hash() (h [32]byte) {
	copy(h[:], d.take(len(h)))
	return h
}

// text shares the input.
func (d *decoder) text() []byte {
	n := d.u32()
	if uint64(n) > uint64(len(d.in)) {
		d.bad = true
		return nil
	}
	return d.take(int(n))
}

// time is in UTC: the location is not stored.
func (d *decoder) time() time.Time {
	sec, nsec := d.u64(), d.u32()
	if nsec >= uint32(time.Second) {
		d.bad = true
	}
	if d.bad {
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(nsec)).UTC()
}

// rest shares the input.
func (d *decoder) rest() []byte { return d.take(len(d.in)) }

func (d *decoder) done() error {
	if d.bad || len(d.in) > 0 {
		return errors.New("payload does not have its form")
	}
	return nil
}

func formatPosition(n uint64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%016x", n)
}

func parsePosition(s string) (uint64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 16, 64)
	if err != nil || n == 0 || formatPosition(n) != s {
		return 0, errors.New("not a position of this journal")
	}
	return n, nil
}
