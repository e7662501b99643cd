//go:build !linux

package main

import "time"

// monotonic is for systemd, which runs on Linux alone.
func monotonic() time.Duration { return 0 }

// slept is not known elsewhere: there a sleep looks like a clock that jumps.
func slept() time.Duration { return 0 }
