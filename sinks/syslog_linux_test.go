package sinks

import (
	"net"
	"slices"
	"syscall"
	"testing"
	"time"
)

// deaf has the system drop all that comes for a connection, as a firewall does that
// forgot it: nothing is acknowledged, and no end is told.
func deaf(t *testing.T, c net.Conn) {
	t.Helper()
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var refused error
	err = raw.Control(func(fd uintptr) {
		nothing := []syscall.SockFilter{{Code: syscall.BPF_RET | syscall.BPF_K}}
		//lint:ignore SA1019 no other package of the module can filter a TCP connection
		refused = syscall.AttachLsf(int(fd), nothing)
	})
	if err != nil || refused != nil {
		t.Fatal(err, refused)
	}
}

// TestSyslogBlackHole notices a receiver to which the way drops everything, though
// the system goes on taking what is written: it arrives over the next connection.
func TestSyslogBlackHole(t *testing.T) {
	t.Parallel()
	r := newReceiver(t, nil)
	s := &Syslog{Sink: "collector", Network: "tcp", Address: r.addr, Facility: 16, Timeout: 300 * time.Millisecond, Settle: 20 * time.Millisecond}
	defer s.Close()
	list := samples(4, 1)
	sendAll(t, s, list[:1])
	eventually(t, "the first has arrived", func() bool { return len(r.ids()) == 1 })
	r.mu.Lock()
	deaf(t, r.conns[0])
	r.mu.Unlock()
	sendAll(t, s, list[1:2])
	sendAll(t, s, list[2:3])
	eventually(t, "the connection is given up", s.conn.dead) // the system by itself takes a quarter of an hour
	sendAll(t, s, list[3:])
	eventually(t, "all have arrived", func() bool { return slices.Equal(r.ids(), idsOf(list)) })
}
