package watcher_test

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/watcher"
)

// TestHostileEndpointsAreContained polls honest issuers beside hostile ones, of
// every scenario in turn, three in ten: over real sockets the honest are polled in
// time, none of their keys is said to be gone, and nothing is left behind.
// JWKSWATCH_ENDPOINTS=1000 is the long form.
func TestHostileEndpointsAreContained(t *testing.T) {
	total, lasts := 100, 12*time.Second
	if n, err := strconv.Atoi(os.Getenv("JWKSWATCH_ENDPOINTS")); err == nil {
		total, lasts = n, time.Minute
	}
	const interval = time.Second
	book := lab.Scenarios()
	before, files := runtime.NumGoroutine(), descriptors(t)
	var honest []*lab.Issuer
	var stops []func()
	var endpoints []watcher.Endpoint
	for i := range total {
		issuer := &lab.Issuer{}
		issuer.Publish(lab.ECFromSeed("k", "P-256", fmt.Sprint("contained ", i)))
		url, stop, err := issuer.Start()
		if err != nil {
			t.Fatal(err)
		}
		stops = append(stops, stop)
		name := fmt.Sprintf("good-%d", i)
		if i%10 < 3 {
			name = fmt.Sprintf("bad-%d", i)
			issuer.Answer(book[(i/10*3+i%10)%len(book)].New())
		} else {
			honest = append(honest, issuer)
		}
		e := endpoint(name, url, interval)
		e.Target.Timeout = 5 * time.Second
		endpoints = append(endpoints, e)
	}
	h := &watched{t: t, db: open(t, t.TempDir())}
	h.start(endpoints...)
	time.Sleep(3 * time.Second) // every first sight takes its second look
	begun := time.Now()
	time.Sleep(lasts)
	var late []time.Duration
	for _, issuer := range honest {
		var last time.Time
		for _, s := range issuer.Served() {
			if s.At.Before(begun) {
				continue
			}
			if !last.IsZero() {
				late = append(late, max(0, s.At.Sub(last)-interval*11/10)) // a tenth is the secret jitter
			}
			last = s.At
		}
		if time.Since(last) > 3*interval {
			t.Errorf("an honest issuer was last polled %s ago", time.Since(last))
		}
	}
	h.stop()
	for _, stop := range stops {
		stop()
	}
	slices.Sort(late)
	if len(late) < len(honest)*5 {
		t.Fatalf("only %d polls of %d honest issuers", len(late), len(honest))
	}
	p50, p99, most := late[len(late)/2], late[len(late)*99/100], late[len(late)-1]
	t.Logf("%d endpoints, %d hostile: %d polls of the others, late by %s (p50), %s (p99), %s (most)", total, total-len(honest), len(late), p50, p99, most)
	if p99 > time.Second {
		t.Errorf("p99 of the lateness is %s", p99)
	}
	for _, e := range h.events() {
		if e.Data.Endpoint != nil && e.Data.Endpoint.Name[:4] == "good" && e.Data.Event.Type != event.BaselineEstablished {
			t.Errorf("%s of %s", e.Data.Event.Type, e.Data.Endpoint.Name)
		}
	}
	if err := h.db.Close(); err != nil {
		t.Error(err)
	}
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		left, open := runtime.NumGoroutine()-before, descriptors(t)-files
		if left <= 5 && open <= 5 {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("%d goroutines and %d files are left", left, open)
			break
		}
	}
}

// descriptors counts the open files of the process.
func descriptors(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skipf("SKIPPED: no /proc: %v", err)
	}
	return len(list)
}
