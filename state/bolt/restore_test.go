//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package bolt_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// TestRestoreGivesToTheDaemon holds that what root restores can be read by the user
// whose folder it is: the daemon runs as nobody else.
func TestRestoreGivesToTheDaemon(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can give files to another user")
	}
	dir, from := t.TempDir(), filepath.Join(t.TempDir(), "backup.db")
	path := filepath.Join(dir, "state.db")
	db := open(t, from)
	if err := errors.Join(db.Close(), os.Chown(dir, 65532, 65531)); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Restore(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream}, from); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{path, bolt.AnchorPath(path)} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if of := info.Sys().(*syscall.Stat_t); of.Uid != 65532 || of.Gid != 65531 || info.Mode() != 0o600 {
			t.Errorf("%s: of %d:%d, %v", filepath.Base(file), of.Uid, of.Gid, info.Mode())
		}
	}
}

// TestRestoreOntoItself holds that the state is no backup of itself, and that a file
// that is missing is not taken for it.
func TestRestoreOntoItself(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "state.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const itself = "that is the state itself"
	for from, same := range map[string]bool{path: true, path + ".none": false} {
		_, err := bolt.Restore(t.Context(), bolt.RecoverOptions{Path: path, Stream: agentStream}, from)
		if err == nil || strings.Contains(err.Error(), itself) != same {
			t.Errorf("%s: %v", filepath.Base(from), err)
		}
	}
	if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the state was touched (%v)", err)
	}
}
