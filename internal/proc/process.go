package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a long-lived process: one that this process started, or one that
// it adopted. Done is closed when it has ended; Status is set before that.
type Process struct {
	PID    int
	Start  uint64 // start time in clock ticks since boot (proc_pid_stat(5), field 22)
	UID    uint32
	pidfd  int
	done   chan struct{}
	status Status
}

// Launch says how a long-lived process is started besides its Spec.
type Launch struct {
	Session bool // setsid(2): signals of a terminal do not reach it
	Tty     bool // with Session: standard input becomes its controlling terminal
	Front   bool // own process group in the foreground of the terminal on standard input
}

// Start starts a long-lived process. It does not die with this one.
func Start(s Spec, l Launch) (*Process, error) {
	cmd := command(context.Background(), s)
	cmd.SysProcAttr.Setsid = l.Session
	cmd.SysProcAttr.Setctty = l.Session && l.Tty
	cmd.SysProcAttr.Foreground = l.Front
	pidfd := -1
	cmd.SysProcAttr.PidFD = &pidfd
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", s.Args[0], err)
	}
	p := &Process{PID: cmd.Process.Pid, pidfd: pidfd, done: make(chan struct{})}
	if info, err := Stat(p.PID); err == nil {
		p.Start = info.Start
	}
	p.UID = uint32(os.Geteuid())
	if s.User != nil {
		p.UID = s.User.UID
	}
	go func() {
		_ = cmd.Wait() // the only waiter; how it ended stands in ProcessState
		p.status = statusOf(cmd.ProcessState)
		close(p.done)
	}()
	return p, nil
}

// ErrGone says that a process with that pid and start time does not exist.
var ErrGone = errors.New("no such process")

// Adopt takes over a process that somebody else started. The pidfd is opened
// first and the identity compared afterwards: what was compared is then what
// the descriptor holds. start 0 takes whatever has the pid.
func Adopt(pid int, start uint64) (*Process, error) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		switch {
		case errors.Is(err, unix.ESRCH),
			errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOENT): // a thread's id, on older and newer kernels
			return nil, ErrGone
		}
		return nil, fmt.Errorf("open pidfd of %d: %w", pid, err)
	}
	info, err := Stat(pid)
	if err != nil || (start != 0 && info.Start != start) || info.State == 'Z' || info.State == 'X' {
		_ = unix.Close(fd)
		return nil, ErrGone
	}
	p := &Process{PID: pid, Start: info.Start, UID: info.UID, pidfd: fd, done: make(chan struct{})}
	go func() {
		pollExit(fd)
		p.status = exitOf(fd)
		close(p.done)
	}()
	return p, nil
}

// pollExit returns when the process behind the pidfd has ended.
func pollExit(fd int) {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, -1)
		if n > 0 || (err != nil && !errors.Is(err, unix.EINTR)) {
			return
		}
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status is how it ended; meaningful once Done is closed.
func (p *Process) Status() Status { return p.status }

// Ended reports whether Done is closed.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends sig to exactly this process, never to one that took over its
// pid. Where this process may not (root without CAP_KILL), a helper with the
// target's uid does it. A process that has ended is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	err := unix.PidfdSendSignal(p.pidfd, sig, nil, 0)
	switch {
	case err == nil, errors.Is(err, unix.ESRCH):
		return nil
	case errors.Is(err, unix.EPERM) && os.Geteuid() == 0:
		return p.signalAs(sig)
	default:
		return fmt.Errorf("send %s to process %d: %w", unix.SignalName(sig), p.PID, err)
	}
}

// Release closes the descriptor of a process that has ended.
func (p *Process) Release() {
	if p.Ended() && p.pidfd >= 0 {
		_ = unix.Close(p.pidfd)
		p.pidfd = -1
	}
}

func (p *Process) signalAs(sig syscall.Signal) error {
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{
		"pgbaton", "signal",
		strconv.Itoa(p.PID), strconv.FormatUint(p.Start, 10), strconv.Itoa(int(sig)),
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: p.UID, Gid: p.UID}}
	cmd.WaitDelay = time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("send %s to process %d as uid %d: %w: %s", unix.SignalName(sig), p.PID, p.UID, err, out)
	}
	return nil
}

// SignalArgs is the other end of the helper: args are pid, start time and
// signal number.
func SignalArgs(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("signal: want pid, start time and signal, got %d arguments", len(args))
	}
	pid, err1 := strconv.Atoi(args[0])
	start, err2 := strconv.ParseUint(args[1], 10, 64)
	sig, err3 := strconv.Atoi(args[2])
	if err := errors.Join(err1, err2, err3); err != nil {
		return fmt.Errorf("signal: %w", err)
	}
	p, err := Adopt(pid, start)
	if errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return p.Signal(syscall.Signal(sig))
}
