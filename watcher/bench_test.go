package watcher

// The benchmarks that back the figures in docs/performance.md. They measure
// processor time by getrusage and print ratios of arms that take turns in one
// run: absolute times of a shared machine say little.

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/fetch"
	"github.com/jwkswatch/jwkswatch/lab"
	"github.com/jwkswatch/jwkswatch/rules"
	"github.com/jwkswatch/jwkswatch/state/bolt"
)

const roleEnv = "JWKSWATCH_TEST_ROLE"

// TestMain lets the test binary be the issuer of a benchmark: in a process of
// its own, so that its work does not count.
func TestMain(m *testing.M) {
	if os.Getenv(roleEnv) == "issuer" {
		issuerMain()
		return
	}
	os.Exit(m.Run())
}

func issuerMain() {
	now := time.Now()
	var keys []lab.Key
	for _, kid := range []string{"2026-a", "2026-b", "2026-c"} {
		keys = append(keys, lab.NewRSA(kid, 2048).WithCertificate(now.Add(-time.Hour), now.Add(time.Hour)))
	}
	issuer := &lab.Issuer{Keep: 1}
	issuer.Publish(keys...)
	// A plain handler: the issuer's book-keeping is not what is measured.
	body := issuer.Current()
	server := http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		if path, ok := strings.CutSuffix(r.URL.Path, "/.well-known/openid-configuration"); ok {
			tenant := "http://" + r.Host + path
			fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q}`, tenant, tenant+"/jwks")
			return
		}
		_, _ = w.Write(body)
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("http://%s %d\n", l.Addr(), len(body))
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	_ = server.Serve(l)
}

// issuerProcess starts an issuer and returns its URL and the size of its set.
func issuerProcess(b *testing.B) (url string, size int) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleEnv+"=issuer")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &url, &size); err != nil {
		b.Fatal(err)
	}
	return url, size
}

func benchWatcher(b *testing.B, endpoints []Endpoint) (*Watcher, *bolt.DB) {
	b.Helper()
	db, err := bolt.Open(b.Context(), bolt.Options{Path: filepath.Join(b.TempDir(), "state.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	in := db.Installation()
	return &Watcher{
		Endpoints: endpoints, Fetch: &fetch.Client{}, Store: db, Book: rules.Book(),
		IDs:      event.Identifier{Key: in.Key, Epoch: in.Epoch},
		Observer: Observer{Name: "bench", Version: "0", ConfigDigest: fmt.Sprintf("sha256:%064d", 0)},
		Log:      zerolog.Nop(),
	}, db
}

// BenchmarkUnchangedPoll compares a whole unchanged poll over a warm HTTP/1.1
// connection with a bare GET of net/http that throws the body away. The third
// arm is the bare GET again: its ratio to the first is the noise.
func BenchmarkUnchangedPoll(b *testing.B) {
	url, _ := issuerProcess(b)
	unchanged(b, Endpoint{
		Name: "idp", Interval: time.Hour, Tier: "standard", Target: fetch.Target{URL: url, Policy: fetch.Policy{AllowPrivate: true}},
	}, url)
}

// BenchmarkUnchangedDiscovery is the same for an issuer: two documents a poll,
// against two bare GETs.
func BenchmarkUnchangedDiscovery(b *testing.B) {
	url, _ := issuerProcess(b)
	unchanged(b, Endpoint{
		Name: "idp", Interval: time.Hour, Tier: "standard", Issuer: url,
		Target: fetch.Target{URL: url, Policy: fetch.Policy{AllowPrivate: true}},
	}, url+"/.well-known/openid-configuration", url)
}

func unchanged(b *testing.B, e Endpoint, urls ...string) {
	w, _ := benchWatcher(b, []Endpoint{e})
	s := only(b, w)
	var buf body
	w.poll(b.Context(), s, &buf)
	first := w.Stats().Parses
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	bare := func() {
		for _, url := range urls {
			resp, err := client.Get(url)
			if err != nil {
				b.Fatal(err)
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	poll := func() { w.poll(b.Context(), s, &buf) }
	const perRound = 500
	var ratio, noise []float64
	for b.Loop() {
		a, p, again := cpu(perRound, bare), cpu(perRound, poll), cpu(perRound, bare)
		ratio = append(ratio, p/a)
		noise = append(noise, again/a)
	}
	if n := w.Stats(); n.Parses != first || first != uint64(len(urls)) || n.Unchanged != n.Polls-1 {
		b.Fatalf("%+v", n)
	}
	b.ReportMetric(median(ratio), "poll/bare")
	b.ReportMetric(median(noise), "bare/bare")
	b.ReportMetric(0, "ns/op")
}

// only is the slot of the only endpoint, ready to be polled.
func only(b *testing.B, w *Watcher) *slot {
	b.Helper()
	q, err := w.begin()
	if err != nil {
		b.Fatal(err)
	}
	s := q.first()
	q.remove(s)
	s.adopt()
	return s
}

// cpu is the processor time of n calls, in seconds.
func cpu(n int, f func()) float64 {
	before := used()
	for range n {
		f()
	}
	return used() - before
}

func used() float64 {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return float64(r.Utime.Sec+r.Stime.Sec) + float64(r.Utime.Usec+r.Stime.Usec)/1e6
}

func median(list []float64) float64 {
	slices.Sort(list)
	return list[len(list)/2]
}

// BenchmarkIdleEndpoints measures the anonymous memory of endpoints at rest,
// each polled once: the growth from 1,000 to 100,000 of them.
func BenchmarkIdleEndpoints(b *testing.B) { idle(b, "") }

// BenchmarkIdleIssuers is the same with discovery.
func BenchmarkIdleIssuers(b *testing.B) { idle(b, "/tenant/%06d") }

func idle(b *testing.B, issuer string) {
	many := 100_000
	switch os.Getenv("JWKSWATCH_BENCH_IDLE") {
	case "":
		b.Skip("takes minutes: set JWKSWATCH_BENCH_IDLE=1 to run it")
	case "short":
		many = 11_000
	}
	url, _ := issuerProcess(b)
	for b.Loop() {
		small := atRest(b, url, issuer, 1_000)
		large := atRest(b, url, issuer, many)
		b.ReportMetric(float64(large-small)/float64(many-1_000), "B/endpoint")
	}
}

// atRest polls n endpoints once and returns the anonymous memory while they
// wait for their next poll, in octets.
func atRest(b *testing.B, url, issuer string, n int) int64 {
	endpoints := make([]Endpoint, n)
	for i := range endpoints {
		endpoints[i] = Endpoint{
			Name: fmt.Sprintf("endpoint-%06d", i), Interval: 24 * time.Hour, Tier: "standard",
			Target: fetch.Target{URL: fmt.Sprintf("%s/tenant/%06d/jwks.json", url, i), Policy: fetch.Policy{AllowPrivate: true}},
		}
	}
	for i := range endpoints {
		if issuer != "" {
			e := &endpoints[i]
			e.Issuer = url + fmt.Sprintf(issuer, i)
			e.Target.URL = e.Issuer
		}
	}
	w, db := benchWatcher(b, endpoints)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	for w.Stats().Commits < uint64(n) {
		time.Sleep(100 * time.Millisecond)
	}
	w.Fetch.CloseIdle()
	debug.FreeOSMemory()
	rss := anonymous(b)
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	_ = db.Close()
	return rss
}

func anonymous(b *testing.B) int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Skip("no /proc here")
	}
	for line := range bytes.Lines(status) {
		if rest, ok := strings.CutPrefix(string(line), "RssAnon:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				b.Fatal(err)
			}
			return kb << 10
		}
	}
	b.Fatal("no RssAnon")
	return 0
}
