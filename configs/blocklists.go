package configs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/jwkswatch/jwkswatch/keyhealth"
)

// MaxBlocklist is how many octets a list of known keys may have: eight million keys.
const MaxBlocklist = 128 << 20

// blocklists is the field of lists of known keys. They are read when the
// configuration is loaded, so that nobody reads them again and finds others.
func (c *Compromised) blocklists(d *decoder) *texts {
	return &texts{
		typ: "list of paths", shape: pathShape,
		add: func(_ value, text string) *refusal {
			if r := checkPath(text); r != nil {
				return r
			}
			path := d.path(text)
			if d.sumsOnly {
				d.noteList(path)
				return nil
			}
			list, r := d.blocklist(path)
			if r != nil {
				return refused("names a file that cannot be used: "+r.what, r.hint)
			}
			c.Blocklists, c.Lists = append(c.Blocklists, path), append(c.Lists, list)
			return nil
		},
		show: func() []string { return c.Blocklists },
	}
}

// blocklist reads a list of known keys.
func (d *decoder) blocklist(path string) (*keyhealth.Blocklist, *refusal) {
	b, r := d.load(path, MaxBlocklist)
	if r != nil {
		return nil, r
	}
	list, err := keyhealth.ParseBlocklist(filepath.Base(path), b)
	switch {
	case err != nil:
		why := err.Error()
		if _, text, ok := strings.Cut(why, ": "); ok {
			why = text
		}
		return nil, refused(why, "it wants blocklist.dat of badkeys, unpacked: sorted records of 16 octets")
	case list.Len() == 0:
		return nil, refused("it is empty", "it wants blocklist.dat of badkeys, unpacked")
	}
	return list, nil
}

// noteList is note of a list of known keys, which need not be in memory for it.
func (d *decoder) noteList(path string) {
	if d.options.ReadFile != nil { // not from the disk
		b, err := d.options.ReadFile(path)
		d.note(path, b, err)
		return
	}
	sum, err := keyedFile(path)
	d.note(path, nil, err)
	if err == nil {
		d.reads[path] = read{sum: sum}
	}
}

// keyedFile is keyed of the content of a file.
func keyedFile(path string) (sum [sha256.Size]byte, err error) {
	f, err := openRegular(path)
	if err != nil {
		return sum, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return sum, err
	}
	h := hmac.New(sha256.New, processKey())
	size := min(info.Size(), MaxBlocklist+1)
	_ = binary.Write(h, binary.BigEndian, uint64(size)) // a hash takes all
	n, err := io.Copy(h, io.LimitReader(f, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s: %w", path, io.ErrUnexpectedEOF) // it is being written
	}
	return [sha256.Size]byte(h.Sum(nil)), err
}

// listsChanged reports whether other keys are on the lists.
func listsChanged(old, new *Compromised) bool {
	if len(old.Lists) != len(new.Lists) {
		return true
	}
	for i := range old.Lists {
		if old.Blocklists[i] != new.Blocklists[i] || old.Lists[i].Sum != new.Lists[i].Sum {
			return true
		}
	}
	return false
}
