package configs

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// Options are what the reader takes from outside. The zero value is the real
// thing.
type Options struct {
	// Dir is the directory that relative paths are relative to; "" means that
	// of the file.
	Dir string
	// LookupEnv finds an environment variable; nil means os.LookupEnv.
	LookupEnv func(name string) (string, bool)
	// ReadFile reads a file that the configuration names; nil means from the
	// disk. Each kind of file has its cap; the disk is read to one octet over the
	// largest.
	ReadFile func(path string) ([]byte, error)
	// Glob finds the files of a pattern in include; nil means filepath.Glob.
	Glob func(pattern string) ([]string, error)
	// Now is the time that expiries are held against in warnings; nil means the
	// clock.
	Now func() time.Time
}

// Load reads and checks the file and what it names. The error is an Errors when
// the file could be read and is wrong; otherwise it wraps what went wrong with
// reading. Paths in the result are absolute.
func Load(path string) (*Config, error) {
	d, src, err := readMain(path)
	if err != nil {
		return nil, err
	}
	return d.parse(src)
}

// Parse checks a configuration. The name stands in problems and, without
// Options.Dir, its directory is the one that relative paths are relative to.
// The error is always an Errors.
func Parse(name string, src []byte, o Options) (*Config, error) {
	return newDecoder(name, o).parse(src)
}

// Fingerprint changes when the content of a file that Load would depend on
// changes, and when other files match the patterns of include. It also works on
// a file that does not load, over what can be found then. It is comparable
// within this process only, and says nothing about what it covers. The error
// wraps why the file itself could not be read.
//
// It costs reading and parsing: some milliseconds for a hundred endpoints.
func Fingerprint(path string) ([sha256.Size]byte, error) {
	d, src, err := readMain(path)
	if err != nil {
		return [sha256.Size]byte{}, err
	}
	d.sumsOnly = true
	d.decode(src)
	return d.fingerprint(), nil
}

// StatePath returns state.path, also of a file with errors elsewhere: whoever
// wants to ask the daemon that still runs with the configuration before needs
// no more. The error is an Errors when the path cannot be known.
func StatePath(path string) (string, error) {
	d, src, err := readMain(path)
	if err != nil {
		return "", err
	}
	d.sumsOnly = true
	c := d.decode(src)
	const key = "state.path"
	if c.State.Path == "" || d.bad[key] {
		return "", d.told()
	}
	return c.State.Path, nil
}

// readMain reads the main file.
func readMain(path string) (*decoder, []byte, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return nil, nil, fmt.Errorf("finding the directory of %s: %w", path, err)
	}
	src, err := readFile(path, MaxFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the configuration: %w", err)
	}
	return newDecoder(path, Options{Dir: dir}), src, nil
}

func newDecoder(name string, o Options) *decoder {
	if o.Dir == "" {
		o.Dir = filepath.Dir(name)
	}
	if o.LookupEnv == nil {
		o.LookupEnv = os.LookupEnv
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Glob == nil {
		o.Glob = filepath.Glob
	}
	main := source{name: name, dir: o.Dir, path: filepath.Join(o.Dir, filepath.Base(name))}
	return &decoder{options: o, main: main, source: main, origins: map[string]origin{}, bad: map[string]bool{}}
}

func (d *decoder) parse(src []byte) (*Config, error) {
	c := d.decode(src)
	if len(d.errs) > 0 {
		return nil, d.told()
	}
	d.sort(d.warnings)
	c.Warnings = d.warnings
	c.Files = d.files()
	c.Fingerprint = d.fingerprint()
	c.origins = d.origins
	c.Digest = sha256.Sum256(c.Effective())
	return c, nil
}

// decode fills a Config, which is good when there are no errors then.
func (d *decoder) decode(src []byte) *Config {
	c := &Config{}
	d.note(d.main.path, src, nil)
	if root := d.document(src); root != nil {
		d.config(c, root)
	}
	return c
}

// told sorts the problems and says so when they are not all.
func (d *decoder) told() Errors {
	d.sort(d.errs)
	if len(d.errs) >= maxProblems {
		last := d.errs[len(d.errs)-1]
		last.Message, last.Hint = fmt.Sprintf("only %d problems are told, there may be more", maxProblems), "mend these and check again"
		last.excerpt = ""
		d.errs = append(d.errs, last)
	}
	return d.errs
}

var errNotRegular = errors.New("not a regular file")

// readFile reads a file of at most so many octets, and one more: the reader must see
// that there is more. It reads as far as any small file may go, so that the content
// of a file is the same whatever it is read for.
func (d *decoder) readFile(path string, limit int) ([]byte, error) {
	if d.options.ReadFile != nil {
		return d.options.ReadFile(path)
	}
	return readFile(path, max(limit, MaxFile))
}

func readFile(path string, limit int) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}

// openRegular opens a regular file, and no other: to open a named pipe, or to read a
// terminal, waits for somebody who may never come, and a reload that waits is a
// watcher nobody can steer.
func openRegular(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case info.IsDir():
		err = &fs.PathError{Op: "read", Path: path, Err: syscall.EISDIR}
	case !info.Mode().IsRegular():
		err = &fs.PathError{Op: "read", Path: path, Err: errNotRegular}
	default:
		return f, nil
	}
	_ = f.Close()
	return nil, err
}
