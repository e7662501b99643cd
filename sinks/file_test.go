//go:build unix

package sinks

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/sinks/format"
	"github.com/jwkswatch/jwkswatch/state"
)

// linesOf are the lines of a file.
func linesOf(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

func sendAll(t *testing.T, s Sink, batch []state.Entry) {
	t.Helper()
	if n, err := s.Send(t.Context(), batch); err != nil || n != len(batch) {
		t.Fatalf("%d of %d sent: %v", n, len(batch), err)
	}
}

// TestFile appends each event as one line, octet by octet as stored, for the group
// to read, and goes on in the same file after a restart.
func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	list := samples(6, 2)
	for _, part := range [][]state.Entry{list[:3], list[3:]} {
		s := &File{Sink: "archive", Path: path}
		sendAll(t, s, part)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	lines := linesOf(t, path)
	if len(lines) != 6 {
		t.Fatalf("%d lines", len(lines))
	}
	for i, l := range lines {
		if l != string(list[i].JSON) {
			t.Errorf("line %d is %s", i, l)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&^fileMode != 0 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

// TestFileRotates begins a new file by size, keeps as many as it must, and loses no
// line and no order.
func TestFileRotates(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "events.jsonl")
	list := samples(20, 1)
	size := int64(len(list[0].JSON) + 1)
	s := &File{Sink: "archive", Path: path, MaxSize: 4 * size, Keep: 3}
	defer s.Close()
	for _, part := range [][]state.Entry{list[:1], list[1:11], list[11:]} {
		sendAll(t, s, part)
	}
	var got []string
	for _, name := range []string{path + ".3", path + ".2", path + ".1", path} {
		lines := linesOf(t, name)
		if len(lines) > 4 {
			t.Errorf("%s has %d lines", name, len(lines))
		}
		got = append(got, lines...)
	}
	for i, l := range got {
		if want := string(list[20-len(got)+i].JSON); l != want {
			t.Fatalf("line %d of %d is %s, want %s", i, len(got), l, want)
		}
	}
	if len(got) < 13 {
		t.Errorf("only %d lines are kept", len(got))
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 4 {
		t.Errorf("%d files, %v", len(files), err)
	}
}

// TestFileMoved notices that somebody else moved or removed the file, and opens it
// anew when it is told to.
func TestFileMoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	list := samples(4, 1)
	s := &File{Sink: "archive", Path: path}
	defer s.Close()
	sendAll(t, s, list[:1])
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, list[1:2])
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, list[2:3])
	before := s.f
	s.Reopen()
	sendAll(t, s, list[3:])
	if s.f == before {
		t.Error("the file was not opened anew")
	}
	if old, now := linesOf(t, path+".old"), linesOf(t, path); len(old) != 1 || len(now) != 2 || now[0] != string(list[2].JSON) || now[1] != string(list[3].JSON) {
		t.Errorf("moved: %q, now: %q", old, now)
	}
}

// TestFileMovedUnderTheWrite loses no line to somebody who moves the file, reads it and
// removes it all the time, as a rotation that compresses at once does.
func TestFileMovedUnderTheWrite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	seen := map[string]bool{}
	take := func() {
		if os.Rename(path, path+".taken") != nil {
			return // nothing was written yet
		}
		for _, l := range linesOf(t, path+".taken") {
			seen[l] = true
		}
		if err := os.Remove(path + ".taken"); err != nil {
			t.Error(err)
		}
	}
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
				take()
			}
		}
	}()
	s := &File{Sink: "archive", Path: path}
	defer s.Close()
	list := samples(80, 1)
	for i := range list {
		for n := 0; n == 0; { // too many moves are an error, and Delivery tries again
			n, _ = s.Send(t.Context(), list[i:i+1])
		}
	}
	close(stop)
	<-done
	take()
	lost := 0
	for i := range list {
		if !seen[string(list[i].JSON)] {
			lost++
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d lines count as written, and are nowhere", lost, len(list))
	}
}

// TestFileCut notices that somebody else cut the file, as copytruncate does, or added
// to it: sizes are right, and no line is appended to another's.
func TestFileCut(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	list := samples(7, 1)
	s := &File{Sink: "archive", Path: path, MaxSize: 4 * int64(len(list[0].JSON)+1), Keep: 1}
	defer s.Close()
	sendAll(t, s, list[:3])
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, list[3:6])
	if _, err := os.Stat(path + ".1"); err == nil {
		t.Error("the file was rotated by a size that it does not have")
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("half a line of another"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	sendAll(t, s, list[6:])
	if lines := linesOf(t, path); len(lines) != 5 || lines[3] != "half a line of another" || lines[4] != string(list[6].JSON) {
		t.Errorf("%q", lines)
	}
}

// TestFileTorn begins a new line after a line that a crash left torn.
func TestFileTorn(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	e := sample(1, "a")
	if err := os.WriteFile(path, e.JSON[:20], 0o600); err != nil {
		t.Fatal(err)
	}
	s := &File{Sink: "archive", Path: path}
	defer s.Close()
	sendAll(t, s, []state.Entry{e})
	if lines := linesOf(t, path); len(lines) != 2 || lines[0] != string(e.JSON[:20]) || lines[1] != string(e.JSON) {
		t.Errorf("%q", lines)
	}
}

// TestFileRefuses does not write through a link, to a pipe or into a folder that is
// not there, and says so; nothing is lost when that is mended.
func TestFileRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	target := filepath.Join(dir, "shadow")
	if err := os.WriteFile(target, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"link": "link", "pipe": "pipe", "folder": "none/x", "directory": "."} {
		path = filepath.Join(dir, path)
		switch name {
		case "link":
			if err := os.Symlink(target, path); err != nil {
				t.Fatal(err)
			}
		case "pipe":
			if err := syscall.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		s := &File{Sink: "archive", Path: path}
		n, err := s.Send(t.Context(), samples(1, 1))
		if n != 0 || err == nil || errors.Is(err, ErrRejected) {
			t.Errorf("%s: %d sent, %v", name, n, err)
		}
		if name == "link" && !errors.Is(err, ErrMisconfigured) {
			t.Errorf("%s: %v", name, err)
		}
		_ = s.Close()
	}
	if b, err := os.ReadFile(target); err != nil || len(b) > 0 {
		t.Errorf("%q was written through a link, %v", b, err)
	}
}

// TestFileFull takes back what was written in part when the disk is full.
func TestFileFull(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.jsonl")
	list := samples(2, 1)
	s := &File{Sink: "archive", Path: path}
	defer s.Close()
	sendAll(t, s, list[:1])
	// A file that can only be read stands for a disk that takes nothing more: a real
	// full disk is in the tests of the daemon.
	whole := s.f
	readOnly, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	s.f = readOnly
	if n, err := s.Send(t.Context(), list[1:]); n != 0 || err == nil {
		t.Fatalf("%d sent, %v", n, err)
	}
	if err := readOnly.Close(); err != nil {
		t.Fatal(err)
	}
	s.f = whole
	sendAll(t, s, list[1:])
	if lines := linesOf(t, path); len(lines) != 2 || lines[1] != string(list[1].JSON) {
		t.Errorf("%q", lines)
	}
}

// TestFileFormats writes what a shipper expects, and parks what cannot be written.
func TestFileFormats(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "events.cef")
	bad := sample(2, "a")
	bad.JSON = []byte("{}")
	s := &File{Sink: "archive", Path: path, Format: format.CEF}
	defer s.Close()
	n, err := s.Send(t.Context(), []state.Entry{sample(1, "a"), bad, sample(3, "a")})
	if n != 1 || !errors.Is(err, ErrRejected) {
		t.Fatalf("%d sent, %v", n, err)
	}
	if lines := linesOf(t, path); len(lines) != 1 || !strings.HasPrefix(lines[0], "CEF:0|jwkswatch|") {
		t.Errorf("%q", lines)
	}
}

// TestMinSeverity leaves out what is below it, in order and with the cursor behind
// all of it; what must always arrive has a severity of its own in the journal.
func TestMinSeverity(t *testing.T) {
	t.Parallel()
	var list []state.Entry
	for i, s := range []event.Severity{1, 4, 2, 3, 1, 5, 1} {
		list = append(list, sampleOf(i, "a", "key.added", s, "x"))
	}
	closing := sampleOf(7, "a", "key.private", event.SeverityInformational, "over")
	closing.Severity = uint8(event.SeverityCritical)
	list = append(list, closing, sampleOf(8, "a", "key.added", event.SeverityLow, "x"))
	j := newJournal(list...)
	out := &ops{}
	d := &Delivery{Store: j, Sink: &Log{Sink: "s", Writer: out}, From: FromBeginning, MinSeverity: event.SeverityMedium, Log: (&ops{}).logger()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx) }()
	eventually(t, "all is sent", func() bool { return d.Stats().CaughtUp })
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\n"); got != 4 || d.Stats().Sent != 4 {
		t.Errorf("%d lines: %s", got, out.String())
	}
	if at, _, err := j.Cursor(t.Context(), "s"); err != nil || at != "000000009" {
		t.Errorf("the cursor is at %q, %v", at, err)
	}
	if !bytes.Contains([]byte(out.String()), []byte("over")) {
		t.Error("the end of a condition was left out")
	}
}
