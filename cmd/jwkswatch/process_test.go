package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/jwkswatch/jwkswatch/event"
)

// roleEnv makes the test binary play another part than testing.
const roleEnv = "JWKSWATCH_TEST_ROLE"

// buildsEnv names the folder of the programs that tests build, which goes with them.
const buildsEnv = "JWKSWATCH_TEST_BUILDS"

func TestMain(m *testing.M) {
	switch os.Getenv(roleEnv) {
	case "nats-server":
		natsMain()
		return
	case "fault":
		faultMain()
	case "killed":
		p, err := os.FindProcess(os.Getpid())
		if err == nil {
			err = p.Kill()
		}
		fmt.Fprintln(os.Stderr, err)
		time.Sleep(time.Minute)
	}
	if len(os.Args) > 1 && os.Args[1] == checkCommand {
		main() // a command that runs in this process has asked itself to check a state
		return
	}
	dir, err := os.MkdirTemp("", "jwkswatch-test-")
	if err == nil {
		err = os.Setenv(buildsEnv, dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// natsMain is a nats-server process: the real server, in a process of its own.
func natsMain() {
	dir := os.Args[len(os.Args)-1]
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoLog: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s.Start()
	if !s.ReadyForConnections(patience) {
		os.Exit(1)
	}
	fmt.Println(s.ClientURL())
	_, _ = io.Copy(io.Discard, os.Stdin) // ends with the test, however that ends
	s.Shutdown()
}

// broker is a nats-server process with the stream of the events.
type broker struct {
	url string
	js  jetstream.JetStream
}

func startNATS(t *testing.T) *broker {
	t.Helper()
	cmd := exec.Command(os.Args[0], t.TempDir())
	cmd.Env = append(os.Environ(), roleEnv+"=nats-server")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("nats-server: %v", err)
	}
	b := &broker{url: strings.TrimSpace(line)}
	nc, err := nats.Connect(b.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if b.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	if _, err := b.js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "JWKSWATCH", Subjects: []string{"jwkswatch.v1.>"}, Storage: jetstream.FileStorage, Duplicates: time.Hour,
	}); err != nil {
		t.Fatal(err)
	}
	return b
}

// published reads what the stream holds of endpoints; see all.
func (b *broker) published(t *testing.T) []*event.Event {
	t.Helper()
	return ofEndpoints(b.all(t))
}

// ofEndpoints leaves out what the agent says of itself.
func ofEndpoints(list []*event.Event) []*event.Event {
	return slices.DeleteFunc(slices.Clone(list), func(e *event.Event) bool { return e.Data.Endpoint == nil })
}

// ofAgent leaves out what is said of endpoints, and the heartbeats.
func ofAgent(list []*event.Event) []*event.Event {
	return slices.DeleteFunc(slices.Clone(list), func(e *event.Event) bool {
		return e.Data.Endpoint != nil || e.Data.Event.Type == event.AgentHeartbeat
	})
}

// all reads the whole stream: events in order, each held to its subject and
// headers, and no id twice.
func (b *broker) all(t *testing.T) []*event.Event {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	s, err := b.js.Stream(ctx, "JWKSWATCH")
	if err != nil {
		t.Fatal(err)
	}
	info, err := s.Info(ctx)
	if err != nil {
		t.Fatal(err)
	}
	var out []*event.Event
	ids := map[string]bool{}
	for seq := uint64(1); seq <= info.State.LastSeq; seq++ {
		msg, err := s.GetMsg(ctx, seq)
		if err != nil {
			t.Fatal(err)
		}
		e, err := event.Decode(msg.Data)
		if err != nil {
			t.Fatal(err)
		}
		object, action := event.SubjectTokens(e.Data.Event.Type)
		of := event.AgentStream
		if e.Data.Endpoint != nil {
			of = e.Data.Endpoint.Name
		}
		want := fmt.Sprintf("jwkswatch.v1.%s.%s.%s.%s", e.Data.Event.Severity, object, action, of)
		if msg.Subject != want || msg.Header.Get("Nats-Msg-Id") != e.ID || msg.Header.Get("Content-Type") != event.ContentType {
			t.Errorf("%s: published on %s with headers %v, want %s", e.ID, msg.Subject, msg.Header, want)
		}
		if ids[e.ID] {
			t.Errorf("%s: id %s stands twice in the stream", e.Data.Event.Type, e.ID)
		}
		ids[e.ID] = true
		out = append(out, e)
	}
	return out
}

// binary builds the real binary once.
var binary = sync.OnceValues(func() (string, error) { return build("jwkswatch", ".") })

// build makes a program without cgo, as it is released. The race detector's packages are
// of no use for it, and CI has compiled these before.
func build(name, pkg string) (path string, err error) {
	path = filepath.Join(os.Getenv(buildsEnv), name)
	cmd := exec.Command("go", "build", "-o", path, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
	}
	return path, nil
}

func built(t *testing.T) string {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a jwkswatch process.
type process struct {
	cmd  *exec.Cmd
	out  *lines // events
	errs *lines // operations
}

// lines gathers what a process prints.
type lines struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func startDaemon(t *testing.T, config string) *process {
	t.Helper()
	d := &process{cmd: exec.Command(built(t), "run", "-c", config), out: &lines{}, errs: &lines{}}
	d.cmd.Stdout, d.cmd.Stderr = d.out, d.errs
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if d.cmd.ProcessState == nil {
			_ = d.cmd.Process.Kill()
			_ = d.cmd.Wait()
		}
	})
	return d
}

// kill ends the process as a power switch does.
func (d *process) kill() {
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
}

// stop asks the process to end and returns its exit code.
func (d *process) stop(t *testing.T) int {
	t.Helper()
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = d.cmd.Process.Kill() })
	defer timer.Stop()
	err := d.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

// logged parses what the log sink printed of endpoints; see printed.
func (d *process) logged(t *testing.T) []*event.Event {
	t.Helper()
	return ofEndpoints(d.printed(t))
}

// printed parses the event lines of the log sink.
func (d *process) printed(t *testing.T) []*event.Event {
	t.Helper()
	var out []*event.Event
	for line := range strings.Lines(d.out.String()) {
		var l struct {
			Stream string
			Event  json.RawMessage
		}
		if err := json.Unmarshal([]byte(line), &l); err != nil || l.Stream != "event" {
			t.Fatalf("stdout holds %q (%v)", line, err)
		}
		e, err := event.Decode(l.Event)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// write writes a file of the test's folder and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// short names events: severity, type, kid.
func short(list []*event.Event) []string {
	out := []string{}
	for _, e := range list {
		s := named(e)
		if k := e.Data.Key; k != nil && k.Kid != nil {
			s += " " + *k.Kid
		}
		out = append(out, s)
	}
	return out
}

// until waits for something that the daemon does.
func (d *process) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out: %s\n%s", what, d.errs)
		}
	}
}
