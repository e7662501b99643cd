package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/state"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const (
	mutations    = 300 // 10,000 with JWKSWATCH_LONG=1
	mutationsEnv = "JWKSWATCH_LONG"
	agentStream  = "ep-0"
)

// past is a state at one time of its life.
type past struct {
	file []byte
	want map[string]any
}

// archive is a state at three times, the anchor of the last of them, and the
// state of somebody else.
type archive struct {
	early, late, newest, foreign, empty past
	anchor                              []byte
}

// remember reads all of a state.
func remember(file []byte, dir string) past {
	path := filepath.Join(dir, "remember.db")
	must(os.WriteFile(path, file, 0o600))
	defer os.Remove(path)
	db, err := bolt.Open(context.Background(), bolt.Options{Path: path})
	must(err)
	defer db.Close()
	want, failed := content(db)
	if failed {
		must(errors.New("the sample is damaged"))
	}
	return past{file, want}
}

// gathered makes the archive in a folder.
func gathered(dir string) archive {
	ctx := context.Background()
	copied := func(db *bolt.DB) past {
		var b bytes.Buffer
		must(db.Backup(ctx, &b))
		return remember(b.Bytes(), dir)
	}
	live := func(name string, revisions ...int) (out []past) {
		db, err := bolt.Open(ctx, bolt.Options{Path: filepath.Join(dir, name)})
		must(err)
		defer db.Close()
		out = append(out, copied(db))
		from := 0
		for _, to := range revisions {
			for i := range damageEndpoints {
				for r := from; r < to; r++ {
					must(db.Commit(ctx, sampleStep(fmt.Sprintf("ep-%d", i), uint64(r)+1)))
				}
			}
			head, err := db.Head(ctx)
			must(err)
			must(db.SetCursor(ctx, "siem", head))
			from = to
			out = append(out, copied(db))
		}
		return out
	}
	own, other := live("own.db", 2, 4, damageRevisions), live("other.db", damageRevisions)
	a := archive{early: own[1], late: own[2], newest: own[3], foreign: other[1], empty: other[0]}
	path := filepath.Join(dir, "anchored.db")
	must(os.WriteFile(path, a.newest.file, 0o600))
	db, _, err := bolt.Recover(ctx, bolt.RecoverOptions{Path: path, Stream: agentStream})
	must(err)
	must(db.Close())
	a.anchor, err = os.ReadFile(bolt.AnchorPath(path))
	must(err)
	return a
}

// mutated is a file that is not what it was. Whole means that it is a state
// nevertheless, and which.
func (a *archive) mutated(seed uint64) (file []byte, what string, whole *past) {
	const page = 4096
	r := rand.New(rand.NewPCG(seed, 11))
	file = slices.Clone(a.newest.file)
	n := len(file) / page
	switch seed % 12 {
	case 0:
		file = file[:r.IntN(len(file))]
		return file, fmt.Sprintf("cut to %d octets", len(file)), nil
	case 1:
		from, count := r.IntN(n), 1+r.IntN(3)
		clear(file[from*page : min(from+count, n)*page])
		return file, fmt.Sprintf("%d pages of nothing at %d", count, from), nil
	case 2:
		x, y := r.IntN(n)*page, r.IntN(n)*page
		other := slices.Clone(file[x : x+page])
		copy(file[x:x+page], file[y:y+page])
		copy(file[y:y+page], other)
		return file, fmt.Sprintf("pages at %d and %d exchanged", x, y), nil
	case 3: // pages of the state before, as a disk leaves them that lies
		for range 1 + r.IntN(4) {
			if at := r.IntN(n) * page; at+page <= len(a.late.file) {
				copy(file[at:at+page], a.late.file[at:])
			}
		}
		return file, "some pages from before", nil
	case 4: // the root of before over the pages of now, and the other way round
		from, over := a.late.file, file
		if r.IntN(2) == 0 {
			from, over = over, slices.Clone(a.late.file)
		}
		copy(over[:2*page], from[:2*page])
		return over, "the roots of another time", nil
	case 5:
		old := [...]*past{&a.early, &a.late}[r.IntN(2)]
		return slices.Clone(old.file), "an old copy", old
	case 6:
		switch r.IntN(4) {
		case 0:
			return slices.Clone(a.foreign.file), "a foreign state", &a.foreign
		case 1:
			return slices.Clone(a.empty.file), "a new state", &a.empty
		case 2:
			return nil, "nothing", nil
		}
		for i := range file {
			file[i] = byte(r.Uint32())
		}
		return file, "noise", nil
	}
	return file, damageFile(file, seed/12*6+seed%12-6), nil
}

// childMutate recovers many mutated states, each in a folder of its own, and
// holds what came of each against what was known.
func childMutate() {
	dir := os.Args[1]
	seeds, err := strconv.ParseUint(os.Args[2], 10, 64)
	must(err)
	a := gathered(dir)
	counts := map[string]int{}
	for seed := range seeds {
		file, what, _ := a.mutated(seed)
		fmt.Println("seed", seed, what)
		folder := filepath.Join(dir, strconv.FormatUint(seed, 10))
		must(os.Mkdir(folder, 0o700))
		counts[a.recovered(folder, file, seed)]++
		must(os.RemoveAll(folder))
	}
	fmt.Println(counts["as it was"], counts["damage in the past"], counts["restored"], counts["older"], counts["lost"])
	os.Exit(0)
}

// recovered recovers one mutated state and returns what came of it.
func (a *archive) recovered(folder string, file []byte, seed uint64) string {
	ctx := context.Background()
	path := filepath.Join(folder, "state.db")
	must(os.WriteFile(path, file, 0o600))
	must(os.WriteFile(bolt.AnchorPath(path), a.anchor, 0o600))
	backup := seed%3 != 0
	if backup { // the newer of the two is damaged: it must not be used
		bad := slices.Clone(a.late.file)
		clear(bad[8192:20480])
		must(os.WriteFile(path+".backup-20261102T030000Z", bad, 0o600))
		must(os.WriteFile(path+".backup-20261101T030000Z", a.early.file, 0o600))
	}
	o := bolt.RecoverOptions{Path: path, Stream: agentStream}
	db, k, err := bolt.Recover(ctx, o)
	must(err)
	loss := k.Loss()
	outcome, want := a.outcome(loss, backup, file)
	failed := heldTo(db, want, loss != nil)
	must(db.Close())
	if loss == nil {
		if failed {
			return "damage in the past"
		}
		return outcome
	}
	if loss.Aside != "" {
		kept, err := os.ReadFile(filepath.Join(folder, loss.Aside))
		must(err)
		if !bytes.Equal(kept, file) {
			must(errors.New("what was moved aside is not what stood there"))
		}
	} else if loss.Reason != bolt.ReasonOlder {
		must(errors.New("nothing was moved aside"))
	}
	// It stays to be told until it was told, and then never again.
	db, k, err = bolt.Recover(ctx, o)
	must(err)
	if again := k.Loss(); again == nil || again.ID != loss.ID || again.Reason != loss.Reason {
		must(fmt.Errorf("a second start would tell %+v, and not %+v", again, loss))
	}
	must(errors.Join(k.Told(ctx), db.Close()))
	db, k, err = bolt.Recover(ctx, o)
	must(err)
	if k.Loss() != nil {
		must(errors.New("it is told twice"))
	}
	must(db.Close())
	return outcome
}

// outcome says what a loss is, and what must then be in the state.
func (a *archive) outcome(loss *bolt.Loss, backup bool, file []byte) (string, []map[string]any) {
	switch {
	case loss == nil:
		return "as it was", []map[string]any{a.newest.want}
	case loss.Reason == bolt.ReasonOlder:
		for _, old := range []past{a.early, a.late} {
			if bytes.Equal(old.file, file) {
				return "older", []map[string]any{old.want}
			}
		}
		// The root of before makes a whole state of before. A backup has two roots
		// for the same pages; the older of them makes the newest state, by an older
		// root: a false alarm, and no wrong answer.
		return "older", []map[string]any{a.late.want, a.newest.want}
	case loss.Backup != "":
		if !backup || loss.Backup != "state.db.backup-20261101T030000Z" {
			must(fmt.Errorf("restored from %q", loss.Backup))
		}
		return "restored", []map[string]any{a.early.want}
	case backup:
		must(fmt.Errorf("lost, and there is a good backup: %+v", loss))
	}
	return "lost", []map[string]any{a.empty.want}
}

// heldTo reads all of a state: every answer is that of one of the states it may
// be, or an error that says so. A state that replaced another has no damage at
// all.
func heldTo(db *bolt.DB, wants []map[string]any, replaced bool) (failed bool) {
	got, failed := content(db)
	if failed && replaced {
		must(errors.New("what goes on is damaged"))
	}
	delete(got, "installation") // the epoch is another after a loss
	wrong := ""
	for _, want := range wants {
		wrong = ""
		for key, value := range got {
			if !reflect.DeepEqual(value, want[key]) {
				wrong = fmt.Sprintf("%s is %+v, want %+v", key, value, want[key])
			}
		}
		if wrong == "" && !failed && len(got) != len(want)-1 {
			wrong = fmt.Sprintf("%d answers, want %d", len(got), len(want)-1)
		}
		if wrong == "" {
			break
		}
	}
	if wrong != "" {
		must(errors.New(wrong))
	}
	if err := db.Commit(context.Background(), sampleStep("ep-new", 1)); err != nil && !errors.Is(err, state.ErrCorrupt) {
		must(err)
	}
	return failed
}

// TestMutatedFiles holds that a daemon starts over whatever stands where its
// state was; that a loss is always told, once; and that no answer is wrong. It
// runs in a child, whose end would be seen.
func TestMutatedFiles(t *testing.T) {
	t.Parallel()
	n := mutations
	if os.Getenv(mutationsEnv) != "" {
		n = 10_000
	}
	cmd := child(t, "mutate", t.TempDir(), strconv.Itoa(n))
	out, err := cmd.Output()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	last := lines[len(lines)-1]
	if err != nil {
		t.Fatalf("%s: %v\n%s", last, err, cmd.Stderr)
	}
	var whole, history, restored, older, lost int
	if _, err := fmt.Sscan(last, &whole, &history, &restored, &older, &lost); err != nil {
		t.Fatal(last, err)
	}
	t.Logf("%d files: %d were whole to the reader, %d had damage in the past that is refused when read, %d were replaced by the backup, %d were older, %d were lost and told; 0 crashes, 0 silent baselines, 0 wrong values",
		n, whole, history, restored, older, lost)
	if whole+history+restored+older+lost != n || restored < n/10 || older < n/20 || lost < n/20 {
		t.Error("the damage does not reach enough")
	}
}
