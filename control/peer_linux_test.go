package control

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStranger asks as another user, past the mode of the socket.
func TestStranger(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("only root can become somebody else")
	}
	d := start(t, nil)
	if err := errors.Join(os.Chmod(filepath.Dir(d.Path), 0o755), os.Chmod(d.Path, 0o777)); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		n   int
		err error
	}
	asked := make(chan outcome, 1)
	go func() {
		// The user is that of the thread alone: the call goes past the runtime,
		// which would change all of them, and the thread ends with the goroutine.
		runtime.LockOSThread()
		if _, _, e := syscall.RawSyscall(syscall.SYS_SETRESUID, ^uintptr(0), 65534, ^uintptr(0)); e != 0 {
			asked <- outcome{0, e}
			return
		}
		c, err := net.Dial("unix", d.Path)
		if err != nil {
			asked <- outcome{0, err}
			return
		}
		defer c.Close()
		err = c.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = io.WriteString(c, "GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n") // it may be closed already
		b, _ := io.ReadAll(c)
		asked <- outcome{len(b), err}
	}()
	if got := <-asked; got.err != nil || got.n != 0 {
		t.Errorf("a stranger was answered with %d octets (%v)", got.n, got.err)
	}
	eventually(t, "a line of it", func() bool { return strings.Contains(d.ops.String(), `"uid":65534`) })
	if _, err := d.client().Status(t.Context()); err != nil {
		t.Error(err)
	}
}
