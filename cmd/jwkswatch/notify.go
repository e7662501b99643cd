package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/rs/zerolog"
)

// notifier tells systemd how the service stands (sd_notify(3)). The zero value
// tells nobody, as it should where there is no systemd.
type notifier struct {
	socket   string        // path, or @name in the abstract namespace
	watchdog time.Duration // without a word for so long the service is killed; 0: never
}

// newNotifier reads what systemd says in the environment; getenv is os.Getenv
// but in tests.
func newNotifier(getenv func(string) string) notifier {
	n := notifier{socket: getenv("NOTIFY_SOCKET")}
	// WATCHDOG_PID is absent where the unit has no watchdog, and that of another
	// process where we only inherited its environment.
	usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64)
	if pid := getenv("WATCHDOG_PID"); err == nil && usec > 0 && (pid == "" || pid == strconv.Itoa(os.Getpid())) {
		n.watchdog = time.Duration(usec) * time.Microsecond
	}
	return n
}

// ready ends the start, and a reload.
func (n notifier) ready() error { return n.send("READY=1") }

// reloading begins a reload; ready must follow, also when it was refused.
func (n notifier) reloading() error {
	return n.send("RELOADING=1\nMONOTONIC_USEC=" + strconv.FormatInt(monotonic().Microseconds(), 10))
}

func (n notifier) stopping() error { return n.send("STOPPING=1") }

// watch answers the watchdog until the context ends, for as long as alive is
// true: an agent that hangs is killed and started again.
func (n notifier) watch(ctx context.Context, alive func() bool, log zerolog.Logger) {
	if n.socket == "" || n.watchdog == 0 {
		return
	}
	t := time.NewTicker(n.watchdog / 2) // as sd_watchdog_enabled(3) advises
	defer t.Stop()
	for {
		if alive() {
			if err := n.send("WATCHDOG=1"); err != nil {
				log.Warn().Err(err).Msg("the watchdog was not answered; trying again")
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// send sends assignments, one a line, as one datagram.
func (n notifier) send(state string) error {
	if n.socket == "" {
		return nil
	}
	// net turns a leading @ into the octet of zero of an abstract name.
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("telling systemd: %w", err)
	}
	return nil
}
