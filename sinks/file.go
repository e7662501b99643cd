package sinks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"

	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// File appends each event as one line to a file, for agents that tail it. A batch
// is on the disk before the cursor moves over it. The file is rotated by its size
// and, when somebody else has moved it, opened anew.
type File struct {
	Sink    string // name of the cursor
	Path    string
	Format  format.Format
	MaxSize int64 // octets after which a new file is begun; 0: never
	Keep    int   // older files that are kept, as Path.1 (the newest) and so on

	reopen atomic.Bool

	// Only Send and Close touch these.
	f    *os.File
	size int64
	torn bool // the file ends within a line
}

// maxMoved is how often the lines of one Send are written again because the file was
// moved meanwhile.
const maxMoved = 5

// fileMode lets the group read: log shippers run as others do.
const fileMode = 0o640

// Name implements Sink.
func (s *File) Name() string { return s.Sink }

// Reopen asks for the file to be opened anew before the next event, as logrotate
// does with a signal. It may be called at any time.
func (s *File) Reopen() { s.reopen.Store(true) }

// Close ends the use of the file.
func (s *File) Close() error {
	if s.f == nil {
		return nil
	}
	f := s.f
	s.f = nil
	return f.Close()
}

// Send implements Sink.
func (s *File) Send(ctx context.Context, batch []state.Entry) (int, error) {
	sent, moved := 0, 0
	for sent < len(batch) {
		if err := ctx.Err(); err != nil {
			return sent, err
		}
		if err := s.ready(); err != nil {
			return sent, err
		}
		var lines bytes.Buffer
		n := 0
		var refused error
		for i := range batch[sent:] {
			body, err := encoded(s.Format, &batch[sent+i])
			if err == nil && bytes.ContainsAny(body, "\r\n") {
				err = fmt.Errorf("%w: the event holds a line break", ErrRejected)
			}
			if err != nil {
				refused = err
				break
			}
			if n > 0 && s.MaxSize > 0 && s.size+int64(lines.Len()+len(body)) >= s.MaxSize {
				break // what is left belongs into the next file
			}
			lines.Write(body)
			lines.WriteByte('\n')
			n++
		}
		if err := s.write(lines.Bytes()); err != nil {
			return sent, err
		}
		if n > 0 && !s.kept() {
			// Whoever moved or cut the file may have read it before these lines were in it.
			if moved++; moved > maxMoved {
				return sent, fmt.Errorf("somebody moves or cuts %s whenever it is written to", s.Path)
			}
			continue
		}
		if sent += n; refused != nil {
			return sent, refused
		}
	}
	return sent, nil
}

// write appends lines, all or nothing as far as the disk lets it.
func (s *File) write(lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	if s.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := s.f.Write(lines)
	if err == nil {
		err = s.f.Sync()
	}
	if err != nil {
		// A part of a line would spoil the next: back to where it was. What was
		// written is written again.
		if n > 0 && s.f.Truncate(s.size) != nil {
			s.size += int64(n)
			s.torn = true
		}
		return fmt.Errorf("writing to %s: %w", s.Path, err)
	}
	s.size += int64(n)
	s.torn = false
	return nil
}

// ready opens the file when there is none, or when it is not the one of the name
// any more or somebody else wrote to it, and begins a new one when it is full.
func (s *File) ready() error {
	if s.f != nil && (s.reopen.Swap(false) || !s.named()) {
		if err := s.Close(); err != nil {
			return fmt.Errorf("closing %s: %w", s.Path, err)
		}
	}
	if s.f == nil {
		s.reopen.Store(false)
		if err := s.open(); err != nil {
			return err
		}
	}
	if s.MaxSize > 0 && s.size >= s.MaxSize {
		return s.rotate()
	}
	return nil
}

// kept reports whether what was written just now is in the file of the name. A file
// that was moved under the write may be read, compressed and removed by now.
func (s *File) kept() bool {
	ours, err := s.f.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Lstat(s.Path)
	return err == nil && os.SameFile(ours, theirs) && ours.Size() >= s.size
}

// named reports whether the open file still has the name, and is as it was left.
func (s *File) named() bool {
	ours, err := s.f.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Lstat(s.Path)
	if err != nil || !os.SameFile(ours, theirs) {
		return false
	}
	// Somebody else may have cut the file or added to it: then its end is not where
	// it was.
	return ours.Size() == s.size
}

// open opens the file for appending. A link at the name is not followed, and a pipe
// or device not written to: somebody else may have put it there.
func (s *File) open() error {
	f, err := os.OpenFile(s.Path, os.O_RDWR|os.O_APPEND|os.O_CREATE|dontFollow, fileMode)
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%w: %s is a symbolic link, and links are not followed", ErrMisconfigured, s.Path)
	}
	if err != nil {
		if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%w: %w; the folder must be there, and writable", ErrMisconfigured, err)
		}
		return err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%w: %s is no regular file", ErrMisconfigured, s.Path)
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.size, s.torn = info.Size(), false
	if s.size > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, s.size-1); err != nil {
			return errors.Join(fmt.Errorf("reading the end of %s: %w", s.Path, err), f.Close())
		}
		s.torn = last[0] != '\n' // a crash left a part of a line: its event comes again
	}
	if s.size == 0 {
		// The name of a new file is on the disk before the first line counts. Where
		// a folder cannot be synced, as on some file systems, that is all there is.
		if dir, err := os.Open(filepath.Dir(s.Path)); err == nil {
			_ = dir.Sync()
			_ = dir.Close()
		}
	}
	s.f = f
	return nil
}

// rotate moves the files on by one, drops the oldest, and begins a new one.
func (s *File) rotate() error {
	if err := s.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", s.Path, err)
	}
	older := func(n int) string { return s.Path + "." + strconv.Itoa(n) }
	for n := s.Keep; n > 0; n-- {
		from := s.Path
		if n > 1 {
			from = older(n - 1)
		}
		if err := os.Rename(from, older(n)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotating %s: %w", s.Path, err)
		}
	}
	if s.Keep == 0 {
		if err := os.Remove(s.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("rotating %s: %w", s.Path, err)
		}
	}
	return s.open()
}
