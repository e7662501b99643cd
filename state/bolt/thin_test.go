package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const heartbeat = "agent.heartbeat"

func thin(t testing.TB, db *bolt.DB, before time.Time, cursors ...string) int {
	t.Helper()
	n, err := db.Thin(context.Background(), before, []string{heartbeat}, cursors)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// beat is a step of the agent with one heartbeat as large as a real one. Every
// tenth says something else, which stays.
func beat(revision uint64) state.Txn {
	txn := step("_agent", revision, 1)
	txn.Next.Body = nil
	e := &txn.Events[0]
	if e.Endpoint, e.Type = "", heartbeat; revision%10 == 0 {
		e.Type = "agent.gap"
	}
	e.JSON = fmt.Appendf(nil, `{"id":%q,"details":%q}`, e.ID, strings.Repeat("x", 2500))
	return txn
}

func TestThin(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	for revision := range uint64(40) {
		commit(t, db, beat(revision+1))
	}
	all, err := collect(db.Events(t.Context(), ""))
	if err != nil || len(all) != 40 {
		t.Fatal(len(all), err)
	}
	if err := db.SetCursor(t.Context(), "slow", all[24].Position); err != nil {
		t.Fatal(err)
	}
	if err := db.SetCursor(t.Context(), "fast", all[39].Position); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what   string
		n      int
		before time.Time
		names  []string
	}{
		{"nothing is older", 0, at(1), []string{"slow", "fast"}},
		{"a cursor is not stored", 0, at(1000), []string{"fast", "never started"}},
		{"one is older", 1, at(2), []string{"slow", "fast"}},
		{"the slow cursor has passed 25", 25 - 2 - 1, at(1000), []string{"slow", "fast"}},
		{"without cursors all but the end", 40 - 25 - 2, at(1000), nil},
		{"nothing is left", 0, at(1000), nil},
	} {
		if n := thin(t, db, c.before, c.names...); n != c.n {
			t.Errorf("%s: thinned %d, want %d", c.what, n, c.n)
		}
	}
	for range 2 { // before and after reopening
		want := []string{"jw1-_agent-10-0", "jw1-_agent-20-0", "jw1-_agent-30-0", "jw1-_agent-40-0"}
		if got := ids(t, db, ""); !slices.Equal(got, want) {
			t.Errorf("events are %v", got)
		}
		if got := ids(t, db, all[14].Position); !slices.Equal(got, want[1:]) {
			t.Errorf("from between two marks: %v", got)
		}
		for i, e := range all {
			got, err := db.EventByID(t.Context(), e.ID)
			switch {
			case e.Type == heartbeat && !errors.Is(err, bolt.ErrNotFound):
				t.Errorf("event %d: error is %v", i, err)
			case e.Type != heartbeat && (err != nil || got.Position != e.Position || string(got.JSON) != string(e.JSON)):
				t.Errorf("event %d is %+v (%v)", i, got, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db = open(t, path)
	}
	// Prune takes marks and entries alike.
	if p := prune(t, db, at(16)); p.Entries != 15 {
		t.Errorf("dropped %+v", p)
	}
	if p := prune(t, db, at(1000)); p.Entries != 25 {
		t.Errorf("dropped %+v", p)
	}
	commit(t, db, beat(41), beat(42))
	if n := thin(t, db, at(1000)); n != 1 {
		t.Errorf("thinned %d", n)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if got := ids(t, open(t, path), ""); !slices.Equal(got, []string{"jw1-_agent-42-0"}) {
		t.Errorf("events are %v", got)
	}
}

// TestThinKeepsTheEnd holds that who waits at any place is never told of an
// entry that it then does not get.
func TestThinKeepsTheEnd(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	if n := thin(t, db, at(1000)); n != 0 {
		t.Errorf("thinned %d of nothing", n)
	}
	for revision := range uint64(3) {
		commit(t, db, beat(revision+1))
	}
	if n := thin(t, db, at(1000)); n != 2 {
		t.Errorf("thinned %d", n)
	}
	for _, after := range []string{"", "0000000000000001", "0000000000000002"} {
		if err := db.Wait(t.Context(), after); err != nil {
			t.Fatal(err)
		}
		if got := ids(t, db, after); len(got) != 1 {
			t.Errorf("after %q: %v", after, got)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := db.Wait(ctx, "0000000000000003"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error is %v", err)
	}
}

// TestThinFreesRoom holds the reason of it all: what was thinned makes room.
func TestThinFreesRoom(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	revision := uint64(0)
	more := func() int64 {
		var batch []state.Txn
		for range 600 {
			revision++
			batch = append(batch, beat(revision))
		}
		commitTogether(t, db, batch)
		var size counter // up to the last page in use; the file grows in large strides
		if err := db.Backup(t.Context(), &size); err != nil {
			t.Fatal(err)
		}
		t.Logf("%d events in %d octets", revision, size)
		return int64(size)
	}
	more()
	before := more()
	writes := db.Stats().Writes
	thin(t, db, at(10_000))
	if n := db.Stats().Writes - writes; n < 4 {
		t.Errorf("%d transactions for 1,080 entries: commits wait too long", n)
	}
	more()
	if after := more(); after > before+before/5 { // 120 entries stay
		t.Errorf("the file grew from %d to %d octets: the room of 1,080 entries was not used", before, after)
	}
}

type counter int64

func (c *counter) Write(b []byte) (int, error) { *c += counter(len(b)); return len(b), nil }

// commitTogether commits the steps of one endpoint as fast as one can.
func commitTogether(t *testing.T, db *bolt.DB, txns []state.Txn) {
	t.Helper()
	all := state.Txn{Prev: txns[0].Prev, Next: txns[len(txns)-1].Next}
	for i, txn := range txns {
		all.Events = append(all.Events, txn.Events...)
		if len(all.Events) == 50 || i == len(txns)-1 {
			all.Next = txn.Next
			all.Next.Endpoint, all.Next.Revision, all.Prev = fmt.Sprintf("s-%d", txn.Next.Revision), 1, 0
			commit(t, db, all)
			all.Events = nil
		}
	}
}

// TestThinUnderWay thins while others read and commit.
func TestThinUnderWay(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	const n = 600
	var first []state.Txn
	for revision := range uint64(n) {
		first = append(first, beat(revision+1))
	}
	commitTogether(t, db, first)
	stop, committed := make(chan struct{}), make(chan error, 1)
	go func() {
		var err error
		for revision := uint64(1); err == nil; revision++ {
			select {
			case <-stop:
				committed <- nil
				return
			default:
				err = db.Commit(t.Context(), beat(revision))
			}
		}
		committed <- err
	}()
	var kept, again []string
	last := ""
	for e, err := range db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if last == "" && thin(t, db, at(n-10)) < n/2 {
			t.Error("not much was thinned")
		}
		if last = e.Position; e.Type != heartbeat {
			kept = append(kept, e.ID)
		}
	}
	for e, err := range db.EventsBackwards(t.Context(), last) {
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != heartbeat {
			again = append(again, e.ID)
		}
	}
	slices.Reverse(again)
	close(stop)
	if err := <-committed; err != nil {
		t.Error(err)
	}
	if len(again) < n/10-1 || !slices.Equal(kept[:len(again)], again) {
		t.Errorf("forwards %v, backwards %v", kept, again)
	}
}

// childThin commits heartbeats and thins them, and prints what it commits,
// until it is killed.
func childThin(path string) {
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	r, err := db.Latest(context.Background(), "_agent")
	must(err)
	go func() {
		for {
			_, err := db.Thin(context.Background(), at(1_000_000), []string{heartbeat}, nil)
			must(err)
		}
	}()
	for revision := r.Revision + 1; ; revision++ {
		must(db.Commit(context.Background(), beat(revision)))
		_, err := os.Stdout.WriteString(fmt.Sprintln("_agent", revision))
		must(err)
		if revision%50 == 0 {
			_, err := db.Prune(context.Background(), at(revision-30), nil)
			must(err)
		}
	}
}

// TestKillThin kills a process that thins: each entry is whole or a mark, never
// neither, and what is not a heartbeat stays.
func TestKillThin(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	open(t, path).Close()
	acknowledged := uint64(0)
	for range 8 {
		cmd := child(t, "thin", path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines, killAfter := bufio.NewScanner(out), 1+rand.IntN(60)
		for n := 0; lines.Scan(); n++ {
			if n == killAfter {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := fmt.Sscan(lines.Text(), new(string), &acknowledged); err != nil {
				t.Fatal(err)
			}
		}
		err = cmd.Wait()
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
			t.Fatalf("the child ended by itself: %v: %s", err, cmd.Stderr)
		}
		checkThinned(t, path, acknowledged)
	}
	if acknowledged < 50 {
		t.Errorf("only %d commits were acknowledged: this proves little", acknowledged)
	}
}

func checkThinned(t *testing.T, path string, acknowledged uint64) {
	t.Helper()
	db := open(t, path) // counts every bucket
	defer db.Close()
	r, err := db.Latest(t.Context(), "_agent")
	if err != nil || r.Revision < acknowledged {
		t.Fatalf("revision is %d, %d was acknowledged (%v)", r.Revision, acknowledged, err)
	}
	has := map[string]bool{}
	for e, err := range db.Events(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		has[e.ID] = true
		if _, err := db.EventByID(t.Context(), e.ID); err != nil {
			t.Fatal(err)
		}
	}
	oldest := uint64(1)
	if pruned := r.Revision / 50 * 50; pruned > 0 {
		oldest = pruned - 30
	}
	for revision := oldest; revision <= r.Revision; revision++ {
		if id := fmt.Sprintf("jw1-_agent-%d-0", revision); revision%10 == 0 && !has[id] {
			t.Fatalf("event %s is gone", id)
		}
	}
}
