package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// childHold opens a state and says so.
func childHold(path string) {
	_, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	fmt.Println("held")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the parent is done
}

func TestLockedByAnotherProcess(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	cmd := child(t, "hold", path)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "held\n" {
		t.Fatal(line, err, cmd.Stderr)
	}
	begin := time.Now()
	_, err = bolt.Open(t.Context(), bolt.Options{Path: path})
	if d := time.Since(begin); d > 30*time.Second {
		t.Errorf("waited %v", d)
	}
	if !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = bolt.Open(ctx, bolt.Options{Path: path}); !errors.Is(err, state.ErrLocked) || !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	// Who waits gets the lock when it is given back.
	opened := make(chan error)
	go func() {
		db, err := bolt.Open(t.Context(), bolt.Options{Path: path, Timeout: time.Minute})
		if err == nil {
			err = db.Close()
		}
		opened <- err
	}()
	if err := errors.Join(in.Close(), cmd.Wait(), <-opened); err != nil {
		t.Error(err)
	}
}

const crashEndpoints = 4

// childCommit goes on where the state ends and prints every revision that was
// acknowledged, until it is killed.
func childCommit(path string, compact bool) {
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	go func() {
		for compact {
			_, err := db.Compact(context.Background(), path)
			must(err)
		}
	}()
	var all sync.WaitGroup
	for i := range crashEndpoints {
		all.Go(func() {
			name := fmt.Sprintf("ep-%d", i)
			r, err := db.Latest(context.Background(), name)
			must(err)
			for revision := r.Revision + 1; ; revision++ {
				must(db.Commit(context.Background(), step(name, revision, 2)))
				// One write, below the size that a pipe takes whole.
				_, err := os.Stdout.WriteString(fmt.Sprintln(name, revision))
				must(err)
				if revision%8 == 0 {
					_, err := db.Prune(context.Background(), at(revision-4), []string{"siem"})
					must(err)
				}
			}
		})
	}
	all.Wait()
}

// TestKill kills a process that commits, again and again: nothing that was
// acknowledged is lost, and the chain of every endpoint has no gap.
func TestKill(t *testing.T) {
	t.Parallel()
	kills(t, "commit")
}

// TestKillCompact does the same while the process puts a compacted copy in the place
// of the state, over and over.
func TestKillCompact(t *testing.T) {
	t.Parallel()
	kills(t, "compact")
}

func kills(t *testing.T, what string) {
	path := newPath(t)
	open(t, path).Close()
	acknowledged := map[string]uint64{}
	for range 24 {
		killOne(t, what, path, acknowledged)
		db := open(t, path)
		next := map[string]uint64{}
		for i := range crashEndpoints {
			name := fmt.Sprintf("ep-%d", i)
			r, err := db.Latest(t.Context(), name)
			if err != nil {
				t.Fatal(err)
			}
			if r.Revision < acknowledged[name] {
				t.Fatalf("%s has revision %d, %d was acknowledged", name, r.Revision, acknowledged[name])
			}
			if r.Revision > 0 && string(r.Body) != string(step(name, r.Revision, 2).Next.Body) {
				t.Fatalf("revision %d of %s has another body", r.Revision, name)
			}
			// What was committed and not acknowledged is committed again.
			if r.Revision > 0 {
				commit(t, db, step(name, r.Revision, 2))
			}
			next[name] = r.Revision
		}
		seen := map[string]uint64{}
		for _, id := range ids(t, db, "") {
			name := id[len("jw1-"):strings.LastIndex(id[:strings.LastIndex(id, "-")], "-")]
			if want := fmt.Sprintf("jw1-%s-%d-%d", name, seen[name]/2+1, seen[name]%2); id != want {
				t.Fatalf("event is %s, want %s", id, want)
			}
			seen[name]++
		}
		for name, revision := range next {
			if seen[name] != 2*revision {
				t.Fatalf("%s has revision %d and %d events", name, revision, seen[name])
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	total := uint64(0)
	for _, n := range acknowledged {
		total += n
	}
	if total < 100 {
		t.Errorf("only %d commits were acknowledged: this proves little", total)
	}
}

func killOne(t *testing.T, what, path string, acknowledged map[string]uint64) {
	t.Helper()
	cmd := child(t, what, path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	killAfter := 1 + rand.IntN(30)
	for n := 0; lines.Scan(); n++ {
		if n == killAfter {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
		var name string
		var revision uint64
		if _, err := fmt.Sscan(lines.Text(), &name, &revision); err != nil {
			t.Fatal(err)
		}
		acknowledged[name] = max(acknowledged[name], revision)
	}
	err = cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the child ended by itself: %v: %s", err, cmd.Stderr)
	}
}

// childFull fills a disk: a limit on the size of files, which acts where a
// full disk would.
func childFull(path string) {
	signal.Ignore(syscall.SIGXFSZ)
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	big := func(revision uint64) state.Txn {
		txn := step("corp", revision, 1)
		txn.Next.Evidence = slices.Repeat([]byte{byte(revision)}, 100_000)
		return txn
	}
	must(db.Commit(context.Background(), big(1)))
	var limit syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	size, err := db.Size()
	must(err)
	small := limit
	small.Cur = uint64(size)
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small))
	full := uint64(2)
	for ; full < 1000; full++ {
		if err = db.Commit(context.Background(), big(full)); err != nil {
			break
		}
	}
	if !errors.Is(err, state.ErrUnavailable) || !errors.Is(err, syscall.EFBIG) {
		must(fmt.Errorf("revision %d: error is %w", full, err))
	}
	// It is readable, and fails the same way again.
	r, err := db.Latest(context.Background(), "corp")
	must(err)
	if err := db.Commit(context.Background(), big(full)); r.Revision != full-1 || !errors.Is(err, state.ErrUnavailable) {
		must(fmt.Errorf("revision %d, error is %w", r.Revision, err))
	}
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
	must(db.Commit(context.Background(), big(full)))
	must(db.Close())
	fmt.Println("done")
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	cmd := child(t, "full", path)
	if out, err := cmd.Output(); err != nil || string(out) != "done\n" {
		t.Fatalf("%v: %s%s", err, out, cmd.Stderr)
	}
	if n := len(ids(t, open(t, path), "")); n < 2 {
		t.Errorf("%d events", n)
	}
}
