package control

import (
	"errors"
	"net"
	"syscall"
)

// peer returns the user at the other end, as of when it connected.
func peer(c net.Conn) (user uint32, known bool, err error) {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return 0, false, errors.New("not a unix socket")
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return 0, false, err
	}
	var cred *syscall.Ucred
	var failed error
	err = raw.Control(func(fd uintptr) {
		cred, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	})
	if err = errors.Join(err, failed); err != nil {
		return 0, false, err
	}
	return cred.Uid, true, nil
}

// chmodSocket sets the mode that the file will have when the socket is bound.
func chmodSocket(fd uintptr) error { return syscall.Fchmod(int(fd), 0o600) }
