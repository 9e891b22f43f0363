package proc

import (
	"bytes"
	"os"
	"strconv"
)

// SharesMounts reports whether a process sees the mounts that this one does: in a
// PID namespace that several containers share, a path in the arguments of another
// container's process is another file. It is false where nobody can tell.
//
// /proc/PID/ns/mnt says so too, and only to whom may trace the process.
func SharesMounts(pid int) bool {
	mine, theirs := rootMount("self"), rootMount(strconv.Itoa(pid))
	return mine != "" && mine == theirs
}

// rootMount is the number of a process's first mount, which no other mount
// namespace has (proc_pid_mountinfo(5)).
func rootMount(of string) string {
	raw, err := os.ReadFile("/proc/" + of + "/mountinfo")
	if err != nil {
		return ""
	}
	number, _, _ := bytes.Cut(raw, []byte{' '})
	return string(number)
}
