//go:build !linux

package control

import "net"

// peer does not know the user at the other end here: the mode of the socket
// alone decides who may ask.
func peer(net.Conn) (user uint32, known bool, err error) { return 0, false, nil }

func chmodSocket(uintptr) error { return nil }
