package sinks

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestFileOnAFullDisk takes back what a full disk took in part, says why it waits,
// and writes all when there is room: every line is whole, and each is there once.
func TestFileOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=64k"); err != nil {
		t.Skipf("SKIPPED: a small file system cannot be mounted here: %v", err)
	}
	defer func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	}()
	path, ballast := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &File{Sink: "archive", Path: path}
	defer s.Close()
	list := samples(200, 3) // 40 KB into 24 KB
	log := &ops{}
	d, stop := deliver(t, newJournal(list[:20]...), s, log.logger())
	eventually(t, "the first part is written", func() bool { return d.Stats().Sent == 20 })
	d.Store.(*journal).add(list[20:]...)
	eventually(t, "the disk is full", func() bool { return d.Stats().Retries > 2 })
	if err := d.Stats().LastError; !strings.Contains(err, "no space left on device") {
		t.Errorf("what it says is %q", err)
	}
	if got := linesOf(t, path); len(got) != 20 || got[19] != string(list[19].JSON) {
		t.Errorf("%d lines stand on the full disk, the last is %q", len(got), got[len(got)-1])
	}
	if err := os.Remove(ballast); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	eventually(t, "all is written", func() bool { return d.Stats().Sent == 200 })
	stop()
	var want []string
	for _, e := range list {
		want = append(want, string(e.JSON))
	}
	if !slices.Equal(linesOf(t, path), want) {
		t.Error("the lines are not those of the journal")
	}
}
