package proc

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Status is how a process ended.
type Status struct {
	Known  bool // false where the kernel did not tell (adopted, before Linux 6.15)
	Code   int  // 0-255, where Signal is 0
	Signal syscall.Signal
}

// ExitCode is the number a shell would show: the code, 128 + n for signal n,
// and 1 where nothing is known.
func (s Status) ExitCode() int {
	switch {
	case !s.Known:
		return 1
	case s.Signal != 0:
		return 128 + int(s.Signal)
	default:
		return s.Code
	}
}

// Success reports exit status 0.
func (s Status) Success() bool { return s.Known && s.Signal == 0 && s.Code == 0 }

func (s Status) String() string {
	switch {
	case !s.Known:
		return "unknown exit status"
	case s.Signal != 0:
		return fmt.Sprintf("killed by signal %d (%s)", int(s.Signal), unix.SignalName(s.Signal))
	default:
		return fmt.Sprintf("exit status %d", s.Code)
	}
}

func statusOf(p *os.ProcessState) Status {
	ws, ok := p.Sys().(syscall.WaitStatus)
	if !ok {
		return Status{}
	}
	return statusFrom(ws)
}

func statusFrom(ws syscall.WaitStatus) Status {
	if ws.Signaled() {
		return Status{Known: true, Signal: ws.Signal()}
	}
	return Status{Known: true, Code: ws.ExitStatus()}
}

// reapedWithin bounds the wait for the parent of a process that has ended.
const reapedWithin = 2 * time.Second

// exitOf asks the kernel how the process behind a pidfd ended. It works for
// processes that are no children of ours, from Linux 6.15 on
// (include/uapi/linux/pidfd.h, PIDFD_INFO_EXIT), and only once the parent has
// reaped them: the pidfd becomes readable a moment before that.
func exitOf(pidfd int) Status {
	for late := time.Now().Add(reapedWithin); ; time.Sleep(time.Millisecond) {
		info := unix.PidfdInfo{Mask: unix.PIDFD_INFO_EXIT}
		err := unix.IoctlPidfdInfo(pidfd, &info)
		switch {
		case err != nil:
			return Status{}
		case info.Mask&unix.PIDFD_INFO_EXIT != 0:
			return statusFrom(syscall.WaitStatus(info.Exit_code))
		case time.Now().After(late):
			return Status{}
		}
	}
}
