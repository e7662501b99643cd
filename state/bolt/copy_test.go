package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func TestOpenCopy(t *testing.T) {
	t.Parallel()
	path := writeSample(t)
	db := open(t, path)
	want, _ := content(db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	before, info := read(t, path)
	reader, err := bolt.OpenCopy(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	// The copy has no name, and the file is as it was.
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(path), "*")); err != nil || len(names) != 1 {
		t.Errorf("in the folder are %v (%v)", names, err)
	}
	if after, now := read(t, path); !bytes.Equal(after, before) || !now.ModTime().Equal(info.ModTime()) || now.Mode() != info.Mode() {
		t.Error("the file was changed")
	}
	// A daemon starts and writes while the copy is open, and the copy stands.
	daemon := open(t, path) // fails where the lock is held
	commit(t, daemon, sampleStep("ep-1", damageRevisions+1))
	if got, failed := content(reader); failed || !reflect.DeepEqual(got, want) {
		t.Errorf("the copy reads %v, want %v", got, want)
	}
	var backup bytes.Buffer
	if err := reader.Backup(t.Context(), &backup); err != nil || backup.Len() == 0 {
		t.Errorf("backup of %d octets (%v)", backup.Len(), err)
	}
	for what, err := range map[string]error{
		"commit": reader.Commit(t.Context(), sampleStep("ep-1", damageRevisions+1)), "writable": reader.Writable(t.Context()),
		"cursor": reader.SetCursor(t.Context(), "siem", ""),
	} {
		if !errors.Is(err, state.ErrUnavailable) {
			t.Errorf("%s: error is %v", what, err)
		}
	}
	if err := errors.Join(reader.Close(), reader.Close()); err != nil {
		t.Error(err)
	}
	if _, err := reader.Endpoints(t.Context()); !errors.Is(err, state.ErrUnavailable) {
		t.Errorf("error is %v", err)
	}
}

func read(t *testing.T, path string) ([]byte, os.FileInfo) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return b, info
}

func TestOpenCopyOfAHeldState(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	begin := time.Now()
	if _, err := bolt.OpenCopy(t.Context(), path); !errors.Is(err, state.ErrLocked) {
		t.Errorf("error is %v", err)
	}
	if d := time.Since(begin); d < 500*time.Millisecond || d > 30*time.Second {
		t.Errorf("waited %v", d)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := bolt.OpenCopy(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	// Copies do not hold up each other.
	for range 2 {
		reader, err := bolt.OpenCopy(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
	}
}

func TestOpenCopyRefuses(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if _, err := bolt.OpenCopy(t.Context(), path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the file was made (%v)", err)
	}
	if _, err := bolt.OpenCopy(t.Context(), filepath.Dir(path)); err == nil {
		t.Error("a folder was copied")
	}
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.OpenCopy(t.Context(), path); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	original, _ := read(t, writeSample(t))
	if err := os.WriteFile(path, original[:len(original)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.OpenCopy(t.Context(), path); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	// What was refused is not held, and nothing is left over.
	if names, err := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); err != nil || len(names) != 0 {
		t.Errorf("left over: %v (%v)", names, err)
	}
	if err := os.WriteFile(path, original, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}
