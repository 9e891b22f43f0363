package testbed

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// KillPID sends a signal to a process of the container by its PID there. PID
// 1 gets every signal that way, SIGKILL and SIGSTOP too, since it comes from
// outside its namespace.
func (c *Container) KillPID(pid int, sig syscall.Signal) {
	c.tb.Helper()
	p, ok := c.Find(func(p Process) bool { return p.PID == pid && !p.Zombie() })
	if !ok {
		c.tb.Fatalf("testbed: %s has no process %d", c.Name, pid)
	}
	c.Signal(p, sig)
}

// Signal sends a signal to exactly this process: one that took over its PID
// meanwhile gets none, and a process that is gone already is no error.
func (c *Container) Signal(p Process, sig syscall.Signal) {
	c.tb.Helper()
	err := signalProcess(p, sig)
	if errors.Is(err, unix.EPERM) { // not root: let the engine do it, which is
		err = c.signalByExec(p, sig)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) {
		c.tb.Fatalf("testbed: signal %v to %d (%s) of %s: %v", sig, p.PID, p.Comm, c.Name, err)
	}
}

// signalProcess opens first and compares then: what the descriptor names
// cannot change any more.
func signalProcess(p Process, sig syscall.Signal) error {
	fd, err := unix.PidfdOpen(p.HostPID, 0)
	if err != nil {
		return fmt.Errorf("open process: %w", err)
	}
	defer unix.Close(fd)
	now, _, err := readProcess(filepath.Join("/proc", strconv.Itoa(p.HostPID)))
	if err != nil || now.Started != p.Started || now.PID != p.PID {
		return unix.ESRCH
	}
	return unix.PidfdSendSignal(fd, sig, nil, 0)
}

// signalByExec cannot compare: the PID may have changed hands meanwhile. PID 1
// gets no SIGKILL that way.
func (c *Container) signalByExec(p Process, sig syscall.Signal) error {
	kill := fmt.Sprintf("kill -%d %d", int(sig), p.PID)
	r, err := c.TryDo(c.tb.Context(), Command{Args: []string{"sh", "-c", kill}, User: "0", Privileged: true})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("%s: %s", kill, r.Stderr)
	}
	return err
}
