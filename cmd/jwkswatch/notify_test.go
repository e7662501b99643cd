package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
)

// listenNotify is systemd's end of the socket.
func listenNotify(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return c
}

func readNotify(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func notifySockets(t *testing.T) map[string]string {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify") // the path of a socket is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	names := map[string]string{"path": filepath.Join(dir, "s")}
	if runtime.GOOS == "linux" {
		names["abstract"] = "@jwkswatch-test-" + filepath.Base(dir)
	}
	return names
}

func TestNotify(t *testing.T) {
	t.Parallel()
	for kind, name := range notifySockets(t) {
		c := listenNotify(t, name)
		n := notifier{socket: name}
		for _, m := range []struct {
			send func() error
			want string
		}{
			{n.ready, "READY=1"},
			{n.stopping, "STOPPING=1"},
		} {
			if err := m.send(); err != nil {
				t.Fatalf("%s: %v", kind, err)
			}
			if got := readNotify(t, c); got != m.want {
				t.Errorf("%s: %q, want %q", kind, got, m.want)
			}
		}
	}
}

// systemd takes a reload for begun when MONOTONIC_USEC lies after the signal, on
// its own clock: that of /proc/uptime, but for time asleep.
func TestNotifyReloading(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: systemd is on Linux alone")
	}
	name := notifySockets(t)["path"]
	c := listenNotify(t, name)
	n := notifier{socket: name}
	var at [2]time.Duration
	for i := range at {
		if err := n.reloading(); err != nil {
			t.Fatal(err)
		}
		usec, ok := strings.CutPrefix(readNotify(t, c), "RELOADING=1\nMONOTONIC_USEC=")
		v, err := strconv.ParseInt(usec, 10, 64)
		if !ok || err != nil {
			t.Fatalf("%q: %v", usec, err)
		}
		at[i] = time.Duration(v) * time.Microsecond
	}
	text, err := os.ReadFile("/proc/uptime")
	if err != nil {
		t.Fatal(err)
	}
	up, err := time.ParseDuration(strings.Fields(string(text))[0] + "s")
	if err != nil {
		t.Fatal(err)
	}
	if at[0] <= 0 || at[1] < at[0] || at[1] > up+time.Second {
		t.Errorf("monotonic %s, then %s, with an uptime of %s", at[0], at[1], up)
	}
}

func TestNotifyNobody(t *testing.T) {
	t.Parallel()
	if err := (notifier{}).ready(); err != nil {
		t.Errorf("without systemd: %v", err)
	}
	(notifier{watchdog: time.Hour}).watch(t.Context(), nil, zerolog.Nop()) // returns at once
	err := notifier{socket: filepath.Join(t.TempDir(), "none")}.ready()
	if err == nil || !strings.HasPrefix(err.Error(), "telling systemd: ") {
		t.Errorf("without a listener: %v", err)
	}
}

// The watchdog is answered while the agent is alive, and only then.
func TestNotifyWatchdog(t *testing.T) {
	t.Parallel()
	name := notifySockets(t)["path"]
	c := listenNotify(t, name)
	n := notifier{socket: name, watchdog: 2 * time.Millisecond}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var alive atomic.Bool
	asked := make(chan struct{}, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		n.watch(ctx, func() bool {
			select {
			case asked <- struct{}{}:
			default:
			}
			return alive.Load()
		}, zerolog.Nop())
	}()
	for range 3 { // asked again and again, it says nothing
		<-asked
	}
	if err := n.ready(); err != nil {
		t.Fatal(err)
	}
	if got := readNotify(t, c); got != "READY=1" {
		t.Errorf("%q came while the agent was not alive", got)
	}
	alive.Store(true)
	for range 2 {
		if got := readNotify(t, c); got != "WATCHDOG=1" {
			t.Errorf("%q, want WATCHDOG=1", got)
		}
	}
	stop()
	<-ended
}

func TestNewNotifier(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		socket, usec, pid string
		want              notifier
	}{
		{"", "", "", notifier{}},
		{"/run/s", "", "", notifier{socket: "/run/s"}},
		{"@s", "60000000", pid, notifier{"@s", time.Minute}},
		{"@s", "60000000", "", notifier{"@s", time.Minute}},
		{"@s", "60000000", "1" + pid, notifier{socket: "@s"}},
		{"@s", "-1", pid, notifier{socket: "@s"}},
		{"@s", "soon", pid, notifier{socket: "@s"}},
	} {
		env := map[string]string{"NOTIFY_SOCKET": c.socket, "WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}
		if got := newNotifier(func(name string) string { return env[name] }); got != c.want {
			t.Errorf("%v: %+v, want %+v", env, got, c.want)
		}
	}
}

const unitFile = "../../configs/systemd/jwkswatch.service"

// systemdAnalyze runs systemd's own judge.
func systemdAnalyze(t *testing.T, args ...string) (output string, err error) {
	t.Helper()
	tool, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("SKIPPED: no systemd-analyze in PATH; install Debian's package systemd to judge the unit")
	}
	out, err := exec.CommandContext(t.Context(), tool, args...).CombinedOutput()
	return string(out), err
}

// The unit leaves at most 1.5 of 10 exposed.
func TestUnitIsHardened(t *testing.T) {
	t.Parallel()
	if out, err := systemdAnalyze(t, "security", "--offline=true", "--no-pager", "--threshold=15", unitFile); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// systemd understands every line; what it does not know it only warns of.
func TestUnitIsUnderstood(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	unit := strings.Replace(string(text), "ExecStart=/usr/bin/jwkswatch", "ExecStart="+os.Args[0], 1) // it must exist
	path := filepath.Join(t.TempDir(), filepath.Base(unitFile))
	if err := os.WriteFile(path, []byte(unit), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := systemdAnalyze(t, "verify", "--man=no", path); err != nil || strings.Contains(out, path) {
		t.Errorf("%v\n%s", err, out)
	}
}

// What the program and the unit must agree on.
func TestUnitFitsTheProgram(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(unitFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(text), "\n")
	for _, want := range []string{
		"Type=notify",
		"ExecReload=/bin/kill -HUP $MAINPID",
		"ExecStart=/usr/bin/jwkswatch run -c " + defaultConfig,
		fmt.Sprintf("RestartPreventExitStatus=%d %d", exitUsage, exitConfig),
	} {
		found := false
		for _, l := range lines {
			found = found || l == want
		}
		if !found {
			t.Errorf("the unit lacks %s", want)
		}
	}
}
