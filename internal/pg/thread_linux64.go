//go:build linux && (amd64 || arm64)

package pg

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawSetgroups is setgroups(2) for this thread only. On 32-bit machines that
// system call and setresuid take 16-bit ids; PostgreSQL images are for these two.
func rawSetgroups(n int, first *uint32) error {
	if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, uintptr(n), uintptr(unsafe.Pointer(first)), 0); e != 0 {
		return e
	}
	return nil
}
