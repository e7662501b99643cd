package configs

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"sync"

	"github.com/jwkswatch/jwkswatch/event"
)

// source is a configuration file that is being decoded.
type source struct {
	name string // as problems say it
	dir  string // that its relative paths are relative to
	path string // as it is read
}

// read is what was found at a path, or matched a pattern.
type read struct {
	sum    [sha256.Size]byte
	failed bool
}

// processKey keys sums of files. It is made once and never changes: without it
// the sum of a short secret could be tried out.
var processKey = sync.OnceValue(func() []byte {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails, crypto/rand
	return key
})

func keyed(parts ...[]byte) [sha256.Size]byte {
	h := hmac.New(sha256.New, processKey())
	for _, p := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write(p)
	}
	return [sha256.Size]byte(h.Sum(nil))
}

// note remembers what a file held, or that it could not be read.
func (d *decoder) note(path string, content []byte, err error) {
	if d.reads == nil {
		d.reads = map[string]read{}
	}
	d.reads[path] = read{sum: keyed(content), failed: err != nil}
}

// load reads a file of at most so many octets. The refusal follows the key or
// expansion in a message and never quotes the content.
func (d *decoder) load(path string, limit int) ([]byte, *refusal) {
	b, err := d.readFile(path, limit)
	d.note(path, b, err)
	if err != nil {
		why := "it cannot be read"
		// Only the reason: of an error from elsewhere nobody knows what it quotes.
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			why = event.Text(e.Err.Error())
		}
		return nil, refused(why, "a relative path is relative to the directory of this file")
	}
	if len(b) > limit {
		return nil, refused("it is longer than "+formatSize(int64(limit)), "is it the right file?")
	}
	return b, nil
}

// glob finds files and remembers which: a file that comes or goes changes the
// fingerprint.
func (d *decoder) glob(pattern string) ([]string, error) {
	found, err := d.options.Glob(pattern)
	if err != nil {
		return nil, err
	}
	slices.Sort(found)
	var parts [][]byte
	for _, f := range found {
		parts = append(parts, []byte(f))
	}
	// A pattern is no path that can be read: it is kept apart by the NUL.
	d.reads["\x00"+pattern] = read{sum: keyed(parts...)}
	return found, nil
}

// files lists what was read, the configuration itself first.
func (d *decoder) files() []File {
	out := []File{{d.main.path, d.reads[d.main.path].sum}}
	for _, path := range slices.Sorted(maps.Keys(d.reads)) {
		if path != d.main.path && path[0] != 0 && !d.reads[path].failed {
			out = append(out, File{path, d.reads[path].sum})
		}
	}
	return out
}

func (d *decoder) fingerprint() [sha256.Size]byte {
	var parts [][]byte
	for _, path := range slices.Sorted(maps.Keys(d.reads)) {
		r := d.reads[path]
		state := []byte{0}
		if r.failed {
			state[0] = 1
		}
		parts = append(parts, []byte(path), r.sum[:], state)
	}
	return keyed(parts...)
}

// path makes a relative path relative to the file that names it.
func (d *decoder) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(d.source.dir, p)
}
