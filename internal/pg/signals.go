package pg

import (
	"syscall"

	"github.com/pgbaton/pgbaton/internal/node"
)

// What the postmaster does on a signal (process_pm_shutdown_request in
// postmaster.c). Only the postmaster is signalled, never its group.
const (
	Smart     = syscall.SIGTERM // waits for clients to leave
	Fast      = syscall.SIGINT  // ends clients, writes a checkpoint
	Immediate = syscall.SIGQUIT // no checkpoint; recovery at the next start
	Reload    = syscall.SIGHUP  // reads its configuration and pg_hba.conf again
)

// StopSignal is the signal of a shutdown mode; an empty mode is fast.
func StopSignal(m node.Mode) syscall.Signal {
	switch m {
	case node.Smart:
		return Smart
	case node.Immediate:
		return Immediate
	default:
		return Fast
	}
}
