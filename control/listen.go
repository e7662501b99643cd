package control

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"
)

// maxConnections is how many connections are open at once, those included that
// are only told that the daemon is busy.
const maxConnections = 2 * maxQuestions

// listen makes the socket. A socket that is found at the path is stale, as the
// package says, and removed; anything else there is left alone. It is never
// there with another mode than 0600: Linux takes the mode of a new socket file
// from the socket's own inode, which is changed before it is bound. Elsewhere
// the mode is changed right after, and the folder must be private meanwhile.
func listen(ctx context.Context, path string, log zerolog.Logger) (net.Listener, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is there and is no socket: it is left alone; move it away", path)
	default:
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("removing the stale socket: %w", err)
		}
	}
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) { failed = chmodSocket(fd) })
		return errors.Join(err, failed)
	}}
	l, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &gate{Listener: l, log: log, slots: make(chan struct{}, maxConnections), user: uint32(os.Geteuid())}, nil
}

// gate lets in whom the daemon answers, and not too many at once.
type gate struct {
	net.Listener
	log   zerolog.Logger
	slots chan struct{}
	user  uint32 // of the daemon
}

// Accept returns the next connection of a peer that may ask.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.Listener.Accept()
		if err != nil {
			return nil, err
		}
		user, known, err := peer(c)
		if err != nil || known && user != g.user && user != 0 {
			g.log.Warn().Err(err).Uint32("uid", user).Msg("a stranger at the control socket is turned away")
			_ = c.Close()
			continue
		}
		select {
		case g.slots <- struct{}{}:
			return &visitor{Conn: c, leave: sync.OnceFunc(func() { <-g.slots })}, nil
		default:
			_ = c.Close()
		}
	}
}

// visitor is a connection that holds a slot.
type visitor struct {
	net.Conn
	leave func()
}

// Close gives the slot back.
func (v *visitor) Close() error {
	defer v.leave()
	return v.Conn.Close()
}

// dialTimeout bounds how long a full backlog is waited for.
const dialTimeout = 2 * time.Second

// dial connects to a socket. Errors: ErrNotRunning, fs.ErrPermission.
func dial(ctx context.Context, path string) (net.Conn, error) {
	if err := CheckPath(path); err != nil {
		return nil, err
	}
	c, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "unix", path)
	switch {
	case err == nil:
		return c, nil
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOTDIR):
		return nil, fmt.Errorf("%w at %s", ErrNotRunning, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("no permission to ask at %s: ask as the user of the daemon, or as root: %w", path, err)
	}
	return nil, fmt.Errorf("asking at %s: %w", path, err)
}
