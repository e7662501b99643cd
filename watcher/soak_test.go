package watcher_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// fleetOfIssuers answers for any number of hosts, each with keys of its own. One in a
// hundred adds a key every six hours.
type fleetOfIssuers struct {
	begun time.Time
	mu    sync.Mutex
	docs  map[string][]byte
	count int
}

func (f *fleetOfIssuers) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	host, _, _ := strings.Cut(r.Host, ":")
	number, _, _ := strings.Cut(strings.TrimPrefix(host, "idp"), ".")
	n, _ := strconv.Atoi(number)
	turn := 0
	if n%100 == 0 {
		turn = int(time.Since(f.begun) / (6 * time.Hour))
	}
	id := fmt.Sprint(n, " ", turn)
	f.mu.Lock()
	f.count++
	doc, ok := f.docs[id]
	if !ok {
		var keys []lab.Key
		for i := range turn + 1 {
			keys = append(keys, lab.ECFromSeed(fmt.Sprint("k", i), "P-256", fmt.Sprint("soak ", n, " ", i)))
		}
		doc = lab.Document(keys...)
		f.docs[id] = doc
	}
	f.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(doc)
}

// TestSoak polls a fleet for a simulated day, every endpoint each quarter of an hour:
// memory, goroutines and files stay as they were after the first hours, and the state
// grows by what was told. JWKSWATCH_ENDPOINTS=10000 is the long form.
func TestSoak(t *testing.T) {
	total := 200
	if n, err := strconv.Atoi(os.Getenv("JWKSWATCH_ENDPOINTS")); err == nil {
		total = n
	}
	dir := t.TempDir()
	files := descriptors(t)
	synctest.Test(t, func(t *testing.T) {
		pipe := lab.NewPipe()
		issuers := &fleetOfIssuers{begun: time.Now(), docs: map[string][]byte{}}
		server := &http.Server{Handler: issuers}
		served := make(chan struct{})
		go func() {
			defer close(served)
			_ = server.Serve(pipe)
		}()
		var endpoints []watcher.Endpoint
		for i := range total {
			endpoints = append(endpoints, endpoint(fmt.Sprintf("idp-%d", i), fmt.Sprintf("http://idp%d.example/jwks", i), 15*time.Minute))
		}
		h := &watched{t: t, db: open(t, dir), dial: pipe, turn: time.Hour}
		h.start(endpoints...)
		heap := func() (mib float64) {
			synctest.Wait()
			runtime.GC()
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			return float64(m.HeapAlloc) / (1 << 20)
		}
		size := func() int64 {
			n, err := h.db.Size()
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		time.Sleep(5 * time.Hour)
		before, routines, stored := heap(), runtime.NumGoroutine(), size()
		time.Sleep(19 * time.Hour)
		after := heap()
		t.Logf("%d endpoints, %d polls in a day: heap %.1f MiB after five hours, %.1f MiB at the end; goroutines %d, %d; state %d KiB, %d KiB; files %d more",
			total, issuers.count, before, after, routines, runtime.NumGoroutine(), stored>>10, size()>>10, descriptors(t)-files)
		if after > before*1.3+8 {
			t.Errorf("the heap grew from %.1f to %.1f MiB", before, after)
		}
		if n := runtime.NumGoroutine(); n > routines+20 {
			t.Errorf("goroutines: %d, then %d", routines, n)
		}
		if polls := issuers.count; polls < total*24*3 {
			t.Errorf("only %d polls", polls)
		}
		added := 0
		for _, e := range h.events() {
			if e.Data.Event.Type == "key.added" {
				added++
			}
		}
		if want := (total + 99) / 100 * 3; added != want {
			t.Errorf("%d keys were told, want %d", added, want)
		}
		h.stop()
		_ = server.Close()
		<-served
		if err := h.db.Close(); err != nil {
			t.Error(err)
		}
	})
}
