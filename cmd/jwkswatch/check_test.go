package main

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// faultMain reads a map of a file beyond its end, as of a file that was cut short
// or a disk that cannot read: a fault that nothing in the process can take.
func faultMain() {
	f, err := os.CreateTemp("", "jwkswatch-fault-")
	if err != nil {
		os.Exit(1)
	}
	_ = os.Remove(f.Name())
	b, err := syscall.Mmap(int(f.Fd()), 0, 4096, syscall.PROT_READ, syscall.MAP_SHARED)
	if err != nil {
		os.Exit(1)
	}
	os.Exit(int(b[0]))
}

// TestStateCheck holds that a child that the file has ended means damage, and one
// that was killed or could not look means nothing.
func TestStateCheck(t *testing.T) { // sets the environment: not parallel
	path := filepath.Join(t.TempDir(), "state.db")
	db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	check := stateCheck(func(string, bolt.Report) { t.Error("damage of the past") })
	if err := check(t.Context(), path); err == nil || errors.Is(err, state.ErrCorrupt) {
		t.Errorf("of a state that is held: %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, role := range []string{"fault", "killed", ""} {
		t.Setenv(roleEnv, role)
		err := check(t.Context(), path)
		if errors.Is(err, state.ErrCorrupt) != (role == "fault") || (err == nil) != (role == "") {
			t.Errorf("role %q: %v", role, err)
		}
	}
	if err := os.Truncate(path, 5000); err != nil {
		t.Fatal(err)
	}
	if err := check(t.Context(), path); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("cut short: %v", err)
	}
}
