package configs_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jwkswatch/jwkswatch/event"
	"github.com/jwkswatch/jwkswatch/state"
)

// toolEnv names the folder with the tools of configs/collectors. Building them takes
// minutes, so that a step of CI of its own does it.
const toolEnv = "JWKSWATCH_COLLECTORS"

func tool(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv(toolEnv)
	if dir == "" {
		t.Skipf("SKIPPED: %s names no folder with %s; build it there from configs/collectors, with CGO_ENABLED=0", toolEnv, name)
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// hostileKid is a kid as an issuer may choose it: with what some collector would
// expand, evaluate, or take for an end.
const hostileKid = `"}'\ ${! env("HOME") } ${HOME} ${env:HOME} %{[event][id]} {{ _index }} <script> $1 é漢` + "\u2028\n"

// feed is the event of each golden file, in the octets in which sinks get it, one
// with a hostile kid, and one that is about as large as an event may be.
func feed(t *testing.T) []state.Entry {
	t.Helper()
	var entries []state.Entry
	seen := map[string]bool{}
	paths, err := filepath.Glob("../event/testdata/golden/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		if e := golden(t, path); !seen[e.ID] { // two are samples of one change
			seen[e.ID] = true
			entries = append(entries, entry(t, e))
		}
	}
	hostile, large := golden(t, "../event/testdata/golden/key.mutated.json"), golden(t, "../event/testdata/golden/key.added.json")
	hostile.ID, large.ID = "jw1-"+strings.Repeat("h", 26), "jw1-"+strings.Repeat("l", 26)
	kid := event.Text(hostileKid)
	hostile.Data.Key.Kid = &kid
	for i := range 100 {
		large.Data.Endpoint.Labels["label-"+strconv.Itoa(i)] = strings.Repeat("x", 600)
	}
	entries = append(entries, entry(t, hostile), entry(t, large))
	if n := len(entries[len(entries)-1].JSON); len(entries) < 90 || n < 60<<10 {
		t.Fatalf("%d events, the largest of %d octets", len(entries), n)
	}
	return entries
}

// again are the same events under other ids.
func again(t *testing.T, entries []state.Entry) []state.Entry {
	t.Helper()
	var out []state.Entry
	for _, e := range entries {
		d, err := event.Decode(e.JSON)
		if err != nil {
			t.Fatal(err)
		}
		d.ID = "jw2-" + e.ID[4:]
		out = append(out, entry(t, d))
	}
	return out
}

func golden(t *testing.T, path string) *event.Event {
	t.Helper()
	e, err := event.Decode([]byte(read(t, path)))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func entry(t *testing.T, e *event.Event) state.Entry {
	t.Helper()
	b, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	facts := e.Data.Event
	out := state.Entry{ID: e.ID, Type: string(facts.Type), Severity: uint8(facts.Severity), JSON: b}
	if e.Data.Endpoint != nil {
		out.Endpoint = e.Data.Endpoint.Name
	}
	return out
}

func decoded(t *testing.T, b []byte) (out map[string]any) {
	t.Helper()
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatalf("%v: %.200s", err, b)
	}
	return out
}

// same reports the first member in which two JSON values differ.
func same(t *testing.T, path string, got, want any) {
	t.Helper()
	if reflect.DeepEqual(got, want) {
		return
	}
	g, ok := got.(map[string]any)
	w, ok2 := want.(map[string]any)
	if !ok || !ok2 {
		t.Errorf("%s: got %#v, want %#v", path, got, want)
		return
	}
	for k := range w {
		if _, ok := g[k]; !ok {
			t.Errorf("%s.%s: missing", path, k)
		}
	}
	for k := range g {
		if _, ok := w[k]; !ok {
			t.Errorf("%s.%s: more than was sent", path, k)
			continue
		}
		same(t, path+"."+k, g[k], w[k])
	}
}

// eventually waits for what a process outside brings about.
func eventually(t *testing.T, p *process, what string, condition func() bool) {
	t.Helper()
	deadline := time.After(90 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-deadline:
			t.Fatalf("timed out waiting until %s\n%s", what, p)
		case err := <-p.ended:
			p.ended <- err
			t.Fatalf("%s ended with %v before %s\n%s", p.cmd.Path, err, what, p)
		case <-tick.C:
		}
	}
}

// process is a running tool, and what it said.
type process struct {
	cmd   *exec.Cmd
	ended chan error

	mu   sync.Mutex
	said bytes.Buffer
}

func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.said.Write(b)
}

// String is the end of what it said.
func (p *process) String() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.said.Bytes()
	return string(b[max(0, len(b)-8000):])
}

func (p *process) hasSaid(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Contains(p.said.Bytes(), []byte(text))
}

// start runs a tool until stop, or the end of the test.
func start(t *testing.T, env []string, path string, args ...string) *process {
	t.Helper()
	p := &process{cmd: exec.Command(path, args...), ended: make(chan error, 1)}
	p.cmd.Env = append(os.Environ(), env...)
	p.cmd.Dir = t.TempDir()
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.stop(t, os.Kill) })
	return p
}

// stop ends the tool, at once or in its own way.
func (p *process) stop(t *testing.T, by os.Signal) {
	t.Helper()
	_ = p.cmd.Process.Signal(by) // it may be gone
	select {
	case err := <-p.ended:
		p.ended <- err
	case <-time.After(30 * time.Second):
		t.Errorf("it does not end\n%s", p)
		_ = p.cmd.Process.Kill()
	}
}

// certificate is one for 127.0.0.1, whose only friend is SSL_CERT_FILE.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	c, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	k, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	save(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c}))
	save(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: k}))
	return cert, key
}

func save(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
