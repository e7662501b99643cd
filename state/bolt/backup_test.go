package bolt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/jwkswatch/jwkswatch/state/bolt"
)

func TestInstallation(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	db := open(t, path)
	first := db.Installation()
	if first.Key == [32]byte{} || len(first.Epoch) != 32 {
		t.Fatalf("installation %+v", first)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if again := open(t, path).Installation(); again != first {
		t.Error("another installation after reopening")
	}
	if other := open(t, newPath(t)).Installation(); other.Epoch == first.Epoch || other.Key == first.Key {
		t.Error("two states with one installation")
	}
	for i := range first.Key {
		first.Key[i] = 0xA7 // 167 in decimal, 247 in octal
	}
	encoded, err := json.Marshal(map[string]any{"a": first, "b": &first})
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{string(encoded), first.String(), first.GoString(), fmt.Sprintf("%v %+v %#v", db, db, db)}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%o", "%b", "%c", "%U", "%t"} {
		texts = append(texts, fmt.Sprintf(verb, first), fmt.Sprintf(verb, &first), fmt.Sprintf(verb, struct{ I bolt.Installation }{first}))
	}
	for _, text := range texts {
		for _, octet := range []string{"167 167", "a7a7", "A7A7", "247 247", "xa7", "U+00A7", "§"} {
			if strings.Contains(text, octet) {
				t.Errorf("the key is in %q", text)
			}
		}
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	db := open(t, newPath(t))
	for revision := range uint64(20) {
		commit(t, db, step("corp", revision+1, 2))
	}
	var out bytes.Buffer
	if err := db.Backup(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	want := ids(t, db, "")
	commit(t, db, step("corp", 21, 1)) // is not in the backup
	path := newPath(t)
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	copied := open(t, path)
	if got := ids(t, copied, ""); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("events are %v, want %v", got, want)
	}
	r, err := copied.Latest(t.Context(), "corp")
	if err != nil || r.Revision != 20 || string(r.Body) != string(step("corp", 20, 0).Next.Body) {
		t.Errorf("latest is %+v (%v)", r, err)
	}
	if copied.Installation() != db.Installation() {
		t.Error("the backup has another installation")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.Backup(ctx, &out); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	commit(t, copied, step("corp", 21, 1)) // a backup is a whole state
}

func BenchmarkCommit(b *testing.B) {
	for _, parallel := range []int{1, 64} {
		b.Run(fmt.Sprintf("parallel=%d", parallel), func(b *testing.B) {
			db := open(b, newPath(b))
			work := make(chan int)
			done := make(chan error, parallel)
			for range parallel {
				go func() {
					var err error
					for i := range work {
						err = errors.Join(err, db.Commit(context.Background(), step(fmt.Sprintf("ep-%d", i), 1, 1)))
					}
					done <- err
				}()
			}
			i := 0
			for b.Loop() {
				work <- i
				i++
			}
			close(work)
			for range parallel {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(db.Stats().Writes)/float64(i), "writes/op")
		})
	}
}
