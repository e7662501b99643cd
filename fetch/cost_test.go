package fetch

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bareGet is the anchor of every cost: what a program does that only wants to
// know whether the server is there.
func bareGet(tb testing.TB, client *http.Client, url string) {
	tb.Helper()
	answer, err := client.Get(url)
	if err != nil {
		tb.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	_ = answer.Body.Close()
}

// An unchanged poll must cost little more than the request itself.
func TestUnchangedPollAllocatesLittleMoreThanABareGet(t *testing.T) {
	answer := []byte("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	s := serveConns(t, func(_ *rawServer, c net.Conn) { // allocates nothing that would be counted
		var request [4096]byte
		for {
			if _, err := c.Read(request[:]); err != nil {
				return
			}
			if _, err := c.Write(answer); err != nil {
				return
			}
		}
	})
	bare := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	t.Cleanup(bare.CloseIdleConnections)
	var c Client
	t.Cleanup(c.CloseIdle)
	buf := make([]byte, 0, 4096)
	anchor := testing.AllocsPerRun(200, func() { bareGet(t, bare, s.url()) })
	ours := testing.AllocsPerRun(200, func() {
		r, err := c.Get(t.Context(), Target{URL: s.url(), Policy: local()}, buf)
		if err != nil {
			t.Fatal(err)
		}
		r.Key()
	})
	t.Logf("bare GET %v allocations, Get and Key %v", anchor, ours)
	if ours > anchor+8 {
		t.Errorf("Get and Key allocate %v times, a bare GET %v", ours, anchor)
	}
}

// serveBenchmark makes the test binary a server of its own, so that its work is
// not counted as the client's.
const serveBenchmark = "FETCH_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(serveBenchmark) == "" {
		os.Exit(m.Run())
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() { // until the benchmark ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	body := strings.Repeat("k", 4270) // three RSA keys with certificates
	panic(http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "public, max-age=3600")
		_, _ = io.WriteString(w, body)
	})))
}

// BenchmarkUnchangedPoll compares Get and Key with a bare GET by the CPU time of
// this process, arms interleaved, over a warm connection to a server in another.
// The third arm is the first one again: when its ratio is not near 1 the machine
// was too busy for a verdict.
func BenchmarkUnchangedPoll(b *testing.B) {
	const rounds, requests = 31, 1000
	url := startServer(b)
	bare := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	again := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	var c Client
	defer c.CloseIdle()
	target := Target{URL: url, Policy: local()}
	var buf []byte
	var last [32]byte
	arms := [3]func(){
		func() { bareGet(b, bare, url) },
		func() {
			r, err := c.Get(b.Context(), target, buf)
			if err != nil {
				b.Fatal(err)
			}
			buf = r.Body[:0]
			if key := r.Key(); key != last {
				last = key
			}
		},
		func() { bareGet(b, again, url) },
	}
	for _, arm := range arms {
		arm()
	}
	for b.Loop() {
		var poll, control []float64
		var cost [3][]float64
		for round := range rounds {
			var used [3]time.Duration
			for i := range arms {
				i = (i + round) % len(arms) // no arm is always the first
				before := cpu(b)
				for range requests {
					arms[i]()
				}
				used[i] = cpu(b) - before
				cost[i] = append(cost[i], float64(used[i].Microseconds())/requests)
			}
			poll = append(poll, float64(used[1])/float64(used[0]))
			control = append(control, float64(used[2])/float64(used[0]))
		}
		b.ReportMetric(quantile(poll, 0.5), "poll/bare")
		b.ReportMetric(quantile(control, 0.5), "bare/bare")
		b.Logf("CPU µs a request, median: bare %.1f, poll %.1f, bare again %.1f", quantile(cost[0], 0.5), quantile(cost[1], 0.5), quantile(cost[2], 0.5))
		b.Logf("ratio of %d rounds, quartiles: poll %.3f..%.3f, control %.3f..%.3f", rounds,
			quantile(poll, 0.25), quantile(poll, 0.75), quantile(control, 0.25), quantile(control, 0.75))
		if m := quantile(control, 0.5); m < 0.95 || m > 1.05 {
			b.Log("INCONCLUSIVE: the control is outside 0.95..1.05")
		}
	}
}

func startServer(b *testing.B) string {
	b.Helper()
	binary, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	server := exec.Command(binary)
	server.Env = append(os.Environ(), serveBenchmark+"=1")
	stdin, err := server.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = stdin.Close(); _ = server.Wait() })
	addr, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return "http://" + strings.TrimSpace(addr) + "/jwks.json"
}

// cpu is the time this process has used, user and system.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func quantile(values []float64, q float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[int(q*float64(len(sorted)-1))]
}
