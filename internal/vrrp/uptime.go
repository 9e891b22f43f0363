package vrrp

import (
	"time"

	"golang.org/x/sys/unix"
)

// Uptime is the kernel's monotonic clock: the same for the hook, which runs where
// keepalived does, and the supervisor, and nobody sets it.
func Uptime() time.Duration {
	var t unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &t) != nil {
		return 0 // events go by their arrival then
	}
	return time.Duration(t.Nano())
}
