//go:build unix

package sinks

import "syscall"

// dontFollow keeps an open from following a link, and from waiting for the reader
// of a pipe.
const dontFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
