package watcher_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/jwks"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/watcher"
)

func data(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("JWKSWATCH_DATA")
	if dir == "" {
		dir = filepath.Join("..", "..", "shared", "data")
	}
	if _, err := os.Stat(filepath.Join(dir, "jwks")); err != nil {
		t.Skipf("recorded documents are not here: %v", err)
	}
	return filepath.Join(dir, "jwks")
}

// TestRecordedDocuments serves every recorded set over loopback to a live
// watcher: each becomes a baseline with all its keys.
func TestRecordedDocuments(t *testing.T) {
	t.Parallel()
	dir := data(t)
	var files []string
	for _, pattern := range []string{"single/*.json", "single-ordered/*.json", "series/*/*.json", "spiffe/*.json"} {
		found, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		http.ServeFile(w, r, filepath.Join(dir, filepath.Clean("/"+r.URL.Path)))
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	h := &watched{t: t, db: open(t, t.TempDir())}
	defer h.db.Close()
	var list []watcher.Endpoint
	for i, f := range files {
		rel, err := filepath.Rel(dir, f)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, endpoint(fmt.Sprint("doc", i), "http://"+l.Addr().String()+"/"+filepath.ToSlash(rel), time.Hour))
	}
	h.start(list...)
	until(t, "all documents polled", func() bool { return h.w.Stats().Polls >= uint64(len(files)) })
	h.stop()
	keys := map[string]int{}
	for _, e := range h.events() {
		if e.Data.Event.Type == event.BaselineEstablished {
			keys[e.Data.Endpoint.Name] = e.Data.Details.(*event.BaselineDetails).Keys
		}
	}
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Keys []json.RawMessage }
		if err := json.Unmarshal(b, &doc); err != nil {
			t.Fatal(err)
		}
		got, ok := keys[fmt.Sprint("doc", i)]
		if !ok && doc.Keys != nil {
			t.Errorf("%s: no baseline", f)
		}
		if got > len(doc.Keys) || len(doc.Keys) > 0 && got == 0 {
			t.Errorf("%s: %d keys in the baseline, %d entries in the document", f, got, len(doc.Keys))
		}
	}
}

// TestRecordedSeries replays every recorded series to a live watcher and holds
// what it tells to the identities that came and went.
func TestRecordedSeries(t *testing.T) {
	t.Parallel()
	dir := data(t)
	series, err := filepath.Glob(filepath.Join(dir, "series", "*"))
	if err != nil || len(series) == 0 {
		t.Fatalf("no series in %s: %v", dir, err)
	}
	for _, s := range series {
		t.Run(filepath.Base(s), func(t *testing.T) {
			t.Parallel()
			files, err := filepath.Glob(filepath.Join(s, "*.json"))
			if err != nil {
				t.Fatal(err)
			}
			state := t.TempDir()
			synctest.Test(t, func(t *testing.T) { replay(t, state, files) })
		})
	}
}

func replay(t *testing.T, state string, files []string) {
	var current atomic.Pointer[[]byte]
	pipe := lab.NewPipe()
	server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(*current.Load())
	})}
	done := make(chan struct{})
	go func() { _ = server.Serve(pipe); close(done) }()
	h := &watched{t: t, db: open(t, state), dial: pipe, flush: time.Hour}
	// How long each document stood: sets that alternate by the hour, nightly ones,
	// and rotations that take weeks.
	interval, stood := 6*time.Hour, 10*24*time.Hour
	switch {
	case strings.HasSuffix(t.Name(), "-flapping"):
		interval, stood = 10*time.Minute, time.Hour
	case strings.Contains(t.Name(), "nightly"):
		interval, stood = time.Hour, 24*time.Hour
	}
	var last map[jwks.Identity][]int
	for i, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		set := jwks.Parse(b)
		current.Store(&b)
		if i == 0 {
			h.start(endpoint("idp", "http://idp.example/jwks", interval))
		}
		told := 0
		if i > 0 {
			told = len(h.events())
		}
		time.Sleep(stood)
		if i > 0 {
			if came, went := difference(last, set.Identities()); !strings.HasSuffix(t.Name(), "-flapping") {
				transition(t, filepath.Base(f), h.events()[told:], came, went)
			}
		}
		last = set.Identities()
	}
	h.stop()
	quiet(t, h.events(), len(files))
	_ = server.Close()
	<-done
	if err := h.db.Close(); err != nil {
		t.Error(err)
	}
}

// quiet holds how loud a series is by what it shows: sets that alternate are one
// open condition, nightly exchanges a few rolled-up events and no alert, ordinary
// rotations nothing above low.
func quiet(t *testing.T, events []*event.Event, documents int) {
	t.Helper()
	unstable, loudest := 0, event.Severity(0)
	for _, e := range events {
		f := &e.Data.Event
		if f.Type == event.BaselineEstablished || f.Condition != nil && f.Type != event.SetUnstable {
			continue // of the documents themselves, which are what they are
		}
		loudest = max(loudest, f.Severity)
		if f.Type == event.SetUnstable {
			unstable++
			if f.Condition.State != event.Open {
				t.Error("set.unstable is closed while answers alternate")
			}
		}
	}
	switch {
	case strings.HasSuffix(t.Name(), "-flapping") && unstable != 1:
		t.Errorf("%d times set.unstable: %q", unstable, tell(events))
	case strings.Contains(t.Name(), "nightly") && (loudest >= event.SeverityMedium || len(events) > 1+8*(documents-1)):
		t.Errorf("%d events, the loudest %s: %q", len(events), loudest, tell(events))
	case strings.HasSuffix(t.Name(), "-overlap-rotation") && loudest > event.SeverityLow:
		t.Errorf("an ordinary rotation is %s: %q", loudest, tell(events))
	}
}

func difference(before, after map[jwks.Identity][]int) (came, went int) {
	for id := range after {
		if _, ok := before[id]; !ok {
			came++
		}
	}
	for id := range before {
		if _, ok := after[id]; !ok {
			went++
		}
	}
	return came, went
}

// transition holds the events of one step: every identity that came was told
// once, and every one that went, unless it was exchanged.
func transition(t *testing.T, name string, events []*event.Event, came, went int) {
	t.Helper()
	appeared, removed, exchanged := 0, 0, 0
	for _, e := range events {
		switch e.Data.Event.Type {
		case event.KeyAdded, event.KeyReappeared:
			appeared += e.Data.Event.Count
		case event.KeyMutated, event.KeyKidReused:
			appeared, exchanged = appeared+1, exchanged+1
		case event.KeyRemoved:
			removed += e.Data.Event.Count
		}
		if e.Data.Event.Count <= rules.RollUpOver && len(e.Data.Keys) > 0 {
			t.Errorf("%s: rolled up %d", name, e.Data.Event.Count)
		}
	}
	if appeared != came || removed+exchanged != went {
		t.Errorf("%s: %d came and %d went; told %q", name, came, went, strings.Join(tell(events), ", "))
	}
	if came+went == 0 && slices.ContainsFunc(events, func(e *event.Event) bool { return strings.HasPrefix(string(e.Data.Event.Type), "set.replaced") }) {
		t.Errorf("%s: replaced without a change of material", name)
	}
}
