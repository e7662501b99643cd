//go:build unix

package main

import (
	"os"
	"syscall"
)

// faulted reports whether a signal for a fault has ended the process.
func faulted(p *os.ProcessState) bool {
	s, ok := p.Sys().(syscall.WaitStatus)
	return ok && s.Signaled() && (s.Signal() == syscall.SIGBUS || s.Signal() == syscall.SIGSEGV || s.Signal() == syscall.SIGABRT)
}
