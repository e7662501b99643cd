package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

// faultSteps is how many steps the child of the fault test commits.
const faultSteps = 5

// childFaults commits steps, each again until it is stored, and says what became
// of every attempt. It stays on one thread, because strace counts by thread.
func childFaults(path, attempts string) {
	runtime.LockOSThread()
	most, err := strconv.Atoi(attempts)
	must(err)
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	now, cancel := context.WithCancel(context.Background())
	cancel()
	for r := uint64(2); r <= faultSteps; r++ {
		txn := step("corp", r, 2)
		txn.Next.Evidence = []byte(strings.Repeat("e", 20_000)) // the file has to grow
		for n := 1; ; n++ {
			err := db.Commit(context.Background(), txn)
			if err == nil {
				fmt.Println("stored", r)
				break
			}
			if !errors.Is(err, state.ErrUnavailable) {
				must(fmt.Errorf("not to be tried again: %w", err))
			}
			fmt.Println("failed", r, errors.Is(err, syscall.EIO) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EROFS))
			reason := db.Broken(now)
			if reason == nil && n == most {
				must(errors.New("tried too often"))
			}
			if reason != nil {
				if again := db.Commit(context.Background(), txn); !errors.Is(again, state.ErrUnavailable) {
					must(fmt.Errorf("written after it was broken: %w", again))
				}
				fmt.Println("broken", reason)
				return
			}
		}
	}
	must(db.Close())
	fmt.Println("done")
}

// TestEveryCallOfTheDiskFails lets the kernel refuse each write and each sync of
// some commits, one in each run. A write that failed is tried again and succeeds;
// after a sync that failed nothing is written any more, although the next one
// would succeed. What was acknowledged is there in every case, and nothing twice.
func TestEveryCallOfTheDiskFails(t *testing.T) {
	t.Parallel()
	dir := inMemory(t)
	base := filepath.Join(dir, "base.db")
	db := open(t, base)
	commit(t, db, step("corp", 1, 2))
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	points := 0
	for _, c := range []struct {
		call, fault string
		broken      bool
		every       int // that many of them is a step
	}{
		{"pwrite64", "EIO", false, 1},
		{"pwrite64", "ENOSPC", false, 3},
		{"pwrite64", "EROFS", false, 3},
		{"ftruncate", "ENOSPC", false, 1},
		{"ftruncate", "EIO", false, 1},
		{"fsync", "EIO", true, 1}, // of a file that grows
		{"fdatasync", "EIO", true, 1},
		{"fdatasync", "EROFS", true, 2},
	} {
		for n := 1; ; n += c.every {
			path := filepath.Join(dir, "state.db")
			if err := os.WriteFile(path, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			cmd := straced(t, child(t, "faults", path, "2"), "-o", os.DevNull, "-P", path,
				"-e", "trace="+c.call, "-e", fmt.Sprintf("inject=%s:error=%s:when=%d", c.call, c.fault, n))
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%s %s at %d: %v: %s%s", c.call, c.fault, n, err, out, cmd.Stderr)
			}
			told := string(out)
			if !strings.Contains(told, "failed") { // there are no more such calls
				if n == 1 {
					t.Errorf("no %s at all", c.call)
				}
				break
			}
			points++
			held(t, path, told, fmt.Sprintf("%s %s at %d", c.call, c.fault, n))
			if is := strings.Contains(told, "broken"); is != c.broken || is == strings.HasSuffix(told, "done\n") {
				t.Errorf("%s %s at %d: broken %v\n%s", c.call, c.fault, n, is, told)
			}
		}
	}
	t.Logf("%d fault points of the disk", points)
}

// held opens the state that a child left and compares it with what it said.
func held(t *testing.T, path, told, what string) {
	t.Helper()
	db := open(t, path)
	defer db.Close()
	stored := uint64(1)
	for line := range strings.Lines(told) {
		var r uint64
		var known bool
		if n, _ := fmt.Sscanf(line, "stored %d", &r); n == 1 {
			stored = r
		}
		if n, _ := fmt.Sscanf(line, "failed %d %t", &r, &known); n == 2 && !known {
			t.Errorf("%s: the error does not tell its cause", what)
		}
	}
	has, err := snapshots(t.Context(), db, "corp")
	if err != nil || has < stored || has > stored+1 {
		t.Errorf("%s: revision %d of %d, %v", what, has, stored, err)
	}
	if n := len(ids(t, db, "")); n != int(2*has) {
		t.Errorf("%s: %d events at revision %d", what, n, has)
	}
	if has < faultSteps { // and it goes on from there
		txn := step("corp", stored+1, 2)
		txn.Next.Evidence = []byte(strings.Repeat("e", 20_000))
		commit(t, db, txn)
	}
}
