package sinks

import (
	"syscall"
	"time"
)

// giveUpAfter bounds how long octets may stay without acknowledgement: by default
// the system goes on for a quarter of an hour when the way to the receiver drops
// everything, and all that time takes events as if they were sent.
func giveUpAfter(d time.Duration) func(network, address string, c syscall.RawConn) error {
	const tcpUserTimeout = 18 // tcp(7); package syscall does not name it
	return func(_, _ string, c syscall.RawConn) error {
		var refused error
		err := c.Control(func(fd uintptr) {
			refused = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
		})
		if err != nil {
			return err
		}
		return refused
	}
}
