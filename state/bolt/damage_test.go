package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const damageEndpoints, damageRevisions, damages = 8, 6, 480

// writeSample makes a state with something in every bucket and pages of every
// kind, and returns a file without slack: every page of it may matter.
func writeSample(t *testing.T) string {
	t.Helper()
	db := open(t, newPath(t))
	seen := map[string]time.Time{}
	for i := range damageEndpoints {
		name := fmt.Sprintf("ep-%d", i)
		seen[name] = at(uint64(i))
		for revision := range uint64(damageRevisions) {
			commit(t, db, sampleStep(name, revision+1))
		}
	}
	head, err := db.Head(t.Context())
	if err == nil {
		err = errors.Join(db.Seen(t.Context(), seen), db.SetCursor(t.Context(), "siem", head), db.SetCursor(t.Context(), "new", ""))
	}
	if err != nil {
		t.Fatal(err)
	}
	prune(t, db, at(3), "siem")
	if n := thin(t, db, at(5), "siem"); n == 0 {
		t.Fatal("no marks in the sample")
	}
	path := newPath(t)
	f, err := os.Create(path)
	if err == nil {
		err = errors.Join(db.Backup(t.Context(), f), f.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func sampleStep(name string, revision uint64) state.Txn {
	txn := step(name, revision, 2)
	txn.Next.Evidence = []byte(strings.Repeat(name, 100))
	if revision%2 == 0 {
		txn.Events[1].Type = heartbeat
	}
	if revision == 4 { // pages with overflow
		txn.Next.Body = make([]byte, 6000)
		source := rand.NewPCG(1, uint64(len(name)))
		for i := range txn.Next.Body {
			txn.Next.Body[i] = byte(source.Uint64())
		}
	}
	return txn
}

// content is everything that can be read. Of what was read until an error
// nothing is lost.
func content(db *bolt.DB) (content map[string]any, failed bool) {
	ctx := context.Background()
	content = map[string]any{"installation": db.Installation()}
	put := func(key string, value any, err error) {
		if failed = failed || err != nil; err == nil {
			content[key] = value
		} else if !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, state.ErrUnavailable) {
			content[key] = err.Error() // an error that says something else is a wrong answer
		}
	}
	for _, name := range []string{"siem", "new", "none"} {
		position, ok, err := db.Cursor(ctx, name)
		put("cursor "+name, []any{position, ok}, err)
	}
	for i := range damageEndpoints + 1 { // the last was never seen
		name := fmt.Sprintf("ep-%d", i)
		r, err := db.Latest(ctx, name)
		put("latest "+name, r, err)
		seen, err := db.LastSeen(ctx, name)
		put("seen "+name, seen, err)
		n := 0
		for r, err := range db.Snapshots(ctx, name) {
			put(fmt.Sprint("snapshot ", name, n), r, err)
			if n++; err != nil {
				n = -1
			}
		}
		if n >= 0 {
			put("snapshots "+name, n, nil)
		}
		for revision := range damageRevisions {
			id := fmt.Sprintf("jw1-%s-%d-1", name, revision+1)
			e, err := db.EventByID(ctx, id)
			if errors.Is(err, bolt.ErrNotFound) {
				e, err = state.Entry{Type: "none"}, nil
			}
			put("event "+id, e, err)
		}
	}
	n := 0
	for e, err := range db.Events(ctx, "") {
		put(fmt.Sprint("entry ", n), e, err)
		if n++; err != nil {
			n = -1
		}
	}
	if n >= 0 {
		put("entries", n, nil)
	}
	n = 0
	for e, err := range db.EventsBackwards(ctx, "") {
		put(fmt.Sprint("entry backwards ", n), e, err)
		if n++; err != nil {
			n = -1
		}
	}
	if n >= 0 {
		put("entries backwards", n, nil)
	}
	head, err := db.Head(ctx)
	put("head", head, err)
	names, err := db.Endpoints(ctx)
	put("endpoints", names, err)
	heads, err := collect(db.Heads(ctx))
	put("heads", heads, err)
	pending, oldest, err := db.Pending(ctx, "siem")
	put("pending", []any{pending, oldest}, err)
	return content, failed
}

func collect[T any](all iter.Seq2[T, error]) (out []T, err error) {
	for v, err := range all {
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// damageFile makes one of many kinds of damage, the same for the same seed.
func damageFile(b []byte, seed uint64) string {
	const page = 4096
	r := rand.New(rand.NewPCG(seed, 7))
	n := len(b) / page
	at := r.IntN(n) * page
	switch seed % 6 {
	case 0, 1: // one bit, somewhere in a page
		i := at + r.IntN(page)
		b[i] ^= 1 << r.IntN(8)
		return fmt.Sprintf("bit of octet %d", i)
	case 2: // in the header or the elements, where it hurts most
		i := at + r.IntN(128)
		b[i] = byte(r.Uint32())
		return fmt.Sprintf("octet %d", i)
	case 3: // a sector of nothing
		i := at + r.IntN(page/512)*512
		clear(b[i : i+512])
		return fmt.Sprintf("sector at %d", i)
	case 4: // some octets
		i := at + r.IntN(page-16)
		for j := range 16 {
			b[i+j] = byte(r.Uint32())
		}
		return fmt.Sprintf("16 octets at %d", i)
	default: // a page that went to the wrong place
		from := r.IntN(n) * page
		copy(b[at:at+page], b[from:from+page])
		return fmt.Sprintf("page at %d over page at %d", from, at)
	}
}

// childDamage damages a file in many ways and reads all of it each time.
func childDamage() {
	base := os.Args[1]
	seeds, err := strconv.ParseUint(os.Args[2], 10, 64)
	must(err)
	db, err := bolt.Open(context.Background(), bolt.Options{Path: base})
	must(err)
	want, failed := content(db)
	must(db.Close())
	if failed {
		must(errors.New("the sample is damaged"))
	}
	original, err := os.ReadFile(base)
	must(err)
	counts := map[string]int{}
	for seed := range seeds {
		b := append([]byte(nil), original...)
		fmt.Println("seed", seed, damageFile(b, seed))
		counts[readDamaged(base+strconv.FormatUint(seed, 10), b, want)]++
	}
	fmt.Println(counts["refused"], counts["found"], counts["harmless"])
	os.Exit(0)
}

func readDamaged(path string, b []byte, want map[string]any) string {
	must(os.WriteFile(path, b, 0o600))
	defer os.Remove(path)
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	if err != nil {
		if !errors.Is(err, state.ErrCorrupt) && !errors.Is(err, bolt.ErrFormat) {
			must(fmt.Errorf("error is %w", err))
		}
		return "refused"
	}
	defer db.Close()
	got, failed := content(db)
	for key, value := range got {
		if !reflect.DeepEqual(value, want[key]) {
			must(fmt.Errorf("%s is %+v, want %+v", key, value, want[key]))
		}
	}
	// A commit may fail, and may not end the process.
	_ = db.Commit(context.Background(), sampleStep("ep-1", damageRevisions+1))
	if failed {
		return "found"
	}
	return "harmless"
}

// TestDamage holds that damage never gives a wrong answer and never ends the
// process. It runs in a child, whose end would be seen.
func TestDamage(t *testing.T) {
	t.Parallel()
	base := writeSample(t)
	cmd := child(t, "damage", base, strconv.Itoa(damages))
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err != nil {
		t.Fatalf("%s: %v\n%s", last, err, cmd.Stderr)
	}
	var refused, found, harmless int
	if _, err := fmt.Sscan(last, &refused, &found, &harmless); err != nil {
		t.Fatal(last, err)
	}
	t.Logf("of %d damaged files %d were refused, %d gave an error when read, %d were whole to the reader", damages, refused, found, harmless)
	// A fifth is refused and a seventh found; no two samples have the same octets.
	if refused < damages/20 || found < damages/20 {
		t.Errorf("refused %d, found %d: the damage does not reach enough", refused, found)
	}
}

// TestTruncated holds that no part of a state is taken for one. It runs in
// this process: a crash would fail the test as surely.
func TestTruncated(t *testing.T) {
	t.Parallel()
	base := writeSample(t)
	original, err := os.ReadFile(base)
	if err != nil {
		t.Fatal(err)
	}
	sizes := []int{0, 1, 15, 16, 79, 80, 100, 4095, 4096, 4097, 4096 + 79, 4096 + 80, 8191, len(original) - 1}
	for size := 8192; size < len(original); size += 2048 {
		sizes = append(sizes, size)
	}
	path := filepath.Join(filepath.Dir(base), "cut.db")
	for _, size := range sizes {
		if err := os.WriteFile(path, original[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		db, err := bolt.Open(t.Context(), bolt.Options{Path: path})
		if !errors.Is(err, state.ErrCorrupt) || !strings.Contains(err.Error(), path) {
			t.Errorf("%d octets: error is %v", size, err)
		}
		if err == nil {
			_ = db.Close()
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(size) {
			t.Errorf("%d octets: the file was written to", size)
		}
	}
	// The refused file is not held.
	if err := os.WriteFile(path, original, 0o600); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestForeignFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	if err := os.WriteFile(path, []byte(strings.Repeat("not a state\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := bolt.Open(t.Context(), bolt.Options{Path: path}); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	if _, err := bolt.Open(t.Context(), bolt.Options{Path: filepath.Dir(path)}); err == nil {
		t.Error("a folder was opened")
	}
	if _, err := bolt.Open(t.Context(), bolt.Options{}); err == nil {
		t.Error("no path was opened")
	}
}

// TestDamagedUnderWay holds that a file that goes bad under a running process
// gives errors: reading beyond its end is a fault of the memory map.
func TestDamagedUnderWay(t *testing.T) {
	t.Parallel()
	path := writeSample(t)
	db := open(t, path)
	if err := os.Truncate(path, 4*4096); err != nil {
		t.Fatal(err)
	}
	_, failed := content(db)
	if !failed {
		t.Error("no error from a file that has lost its pages")
	}
	if _, err := db.Latest(t.Context(), "ep-1"); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	for range 2 {
		if err := db.Commit(t.Context(), sampleStep("ep-1", damageRevisions+1)); !errors.Is(err, state.ErrCorrupt) {
			t.Errorf("error is %v", err)
		}
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
