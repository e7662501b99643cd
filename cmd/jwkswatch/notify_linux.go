package main

import (
	"syscall"
	"time"
	"unsafe"
)

// The clocks of clock_gettime(2).
const (
	clockMonotonic = 1
	clockBoottime  = 7 // goes on while the machine sleeps
)

// monotonic is CLOCK_MONOTONIC, by which systemd orders a reload and what was
// told before. The monotonic reading of time.Time counts from a start of its own.
func monotonic() time.Duration { return reading(clockMonotonic) }

// slept is for how long in all the machine has slept since it was started.
func slept() time.Duration {
	// In this order: what lies between the two readings is not taken for sleep.
	boot := reading(clockBoottime)
	return max(0, boot-monotonic()).Truncate(time.Second)
}

func reading(clock uintptr) time.Duration {
	var ts syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, clock, uintptr(unsafe.Pointer(&ts)), 0); errno != 0 {
		return 0
	}
	return time.Duration(ts.Nano())
}
