package bolt_test

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// straced makes the command that runs another under strace, which shows and
// falsifies what a process asks of the kernel: bbolt keeps its file to itself,
// so this is the only place where every write of it passes.
func straced(t *testing.T, cmd *exec.Cmd, options ...string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed: nothing here can see or fail a single write")
	}
	if out, err := exec.Command(path, "-qq", "-o", os.DevNull, "true").CombinedOutput(); err != nil {
		t.Skipf("strace may not trace here (%v): %s", err, out)
	}
	cmd.Args = append(append([]string{"strace", "-f", "-qq"}, options...), cmd.Args...)
	cmd.Path = path
	cmd.Env = append(cmd.Env, "GORACE=atexit_sleep_ms=0") // else each child sleeps for a second
	return cmd
}

// call is one system call on a file.
type call struct {
	name string // pwrite64, ftruncate, fdatasync, fsync, linkat
	path string
	to   string // the new name, of linkat
	data []byte // of pwrite64
	at   int64  // of pwrite64; the size, of ftruncate
}

// recorded are the options that make strace write what readCalls reads.
func recorded(to string) []string {
	return []string{"-y", "-xx", "-s", "100000000", "-o", to, "-e", "trace=pwrite64,ftruncate,fdatasync,fsync,linkat"}
}

// readCalls reads the calls in the order in which they took effect as far as a
// crash can tell: a write when it began, since it may be on the disk from then
// on; a sync when it ended, since it promises nothing before.
func readCalls(t *testing.T, path string) []call {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewReaderSize(f, 1<<20)
	begun := map[string]call{} // syncs by thread
	var out []call
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return out
		}
		thread, text, _ := strings.Cut(strings.TrimSpace(line), " ")
		text = strings.TrimSpace(text)
		if strings.HasPrefix(text, "<... ") { // resumed
			if c, ok := begun[thread]; ok {
				out = append(out, c)
				delete(begun, thread)
			}
			if !strings.HasSuffix(text, "= 0") && !strings.Contains(text, "pwrite64") {
				t.Fatalf("a call failed: %s", text)
			}
			continue
		}
		if strings.HasPrefix(text, "+++") || strings.HasPrefix(text, "---") {
			continue
		}
		c, err := parseCall(text)
		if err != nil {
			t.Fatalf("%q: %v", text[:min(len(text), 200)], err)
		}
		if unfinished := strings.HasSuffix(text, "<unfinished ...>"); unfinished && strings.HasSuffix(c.name, "sync") {
			begun[thread] = c
			continue
		}
		out = append(out, c)
	}
}

func parseCall(text string) (c call, err error) {
	name, rest, ok := strings.Cut(text, "(")
	if !ok {
		return c, fmt.Errorf("no call")
	}
	c.name = name
	args := strings.Split(strings.TrimSuffix(strings.Split(rest, ") = ")[0], " <unfinished ...>"), ", ")
	if name == "linkat" {
		if len(args) < 4 {
			return c, fmt.Errorf("%d arguments", len(args))
		}
		from, err := unhex(strings.Trim(args[1], `"`))
		if err != nil {
			return c, err
		}
		to, err := unhex(strings.Trim(args[3], `"`))
		c.path, c.to = string(from), string(to)
		return c, err
	}
	_, file, _ := strings.Cut(args[0], "<")
	file = strings.TrimSuffix(strings.TrimSuffix(file, ")"), ">")
	b, err := unhex(file)
	if err != nil {
		return c, err
	}
	c.path = string(b)
	switch name {
	case "pwrite64":
		if len(args) != 4 {
			return c, fmt.Errorf("%d arguments", len(args))
		}
		if c.data, err = unhex(strings.Trim(args[1], `"`)); err == nil {
			c.at, err = strconv.ParseInt(strings.TrimSuffix(args[3], ")"), 10, 64)
		}
		if n, _ := strconv.Atoi(args[2]); n != len(c.data) {
			return c, fmt.Errorf("%d octets of %d", len(c.data), n)
		}
	case "ftruncate":
		c.at, err = strconv.ParseInt(strings.TrimSuffix(args[1], ")"), 10, 64)
	}
	return c, err
}

// unhex reads the text of strace -xx.
func unhex(s string) ([]byte, error) {
	return hex.DecodeString(strings.ReplaceAll(s, `\x`, ""))
}

// inMemory is a folder whose files never reach a disk, where there is one: what
// thousands of images cost is then only their reading.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "jwkswatch-test-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return filepath.Clean(dir)
}
