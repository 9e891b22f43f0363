package inplace

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// helperGrace is how long a server that pg_upgrade started may take to shut
// down: one that is killed recovers at its next start, and its unlogged tables
// are empty then.
const helperGrace = 10 * time.Second

// endHelpers ends every server that works on one of the two clusters: those
// that pg_upgrade started outlive it when it is killed.
func (o *Operation) endHelpers(ctx context.Context) error {
	begun := time.Now()
	deadline := begun.Add(time.Minute)
	for {
		left, err := o.helpers()
		if err != nil || len(left) == 0 {
			return err
		}
		for _, p := range left {
			sig := syscall.SIGKILL
			if p.Comm == "postgres" && time.Since(begun) < helperGrace {
				if strings.HasPrefix(p.Cmdline, "postgres: ") {
					continue // it ends with its postmaster
				}
				sig = pg.Fast
			}
			if h, err := proc.Adopt(p.PID, p.Start); err == nil {
				_ = h.Signal(sig) // gone is what is wanted
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of pg_upgrade do not end (%s); nothing was touched", len(left), left[0].Cmdline)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// helpers are the processes of the server's user that pg_upgrade left: its
// postmasters by their data directory, the children of these that lost their
// parent, and programs that work in the scratch directory.
func (o *Operation) helpers() ([]proc.Info, error) {
	all, err := proc.List()
	if err != nil {
		return nil, err
	}
	me := os.Getpid()
	masters := map[int]bool{}
	var left []proc.Info
	for _, p := range all {
		if p.UID != o.Site.User.UID || p.PID == me || p.State == 'Z' {
			continue
		}
		if o.isHelper(p) {
			masters[p.PID] = true
			left = append(left, p)
		}
	}
	for _, p := range all {
		orphan := p.PPID == os.Getppid() || masters[p.PPID]
		if p.Comm == "postgres" && orphan && p.UID == o.Site.User.UID && p.State != 'Z' && strings.HasPrefix(p.Cmdline, "postgres: ") {
			left = append(left, p)
		}
	}
	return left, nil
}

// isHelper goes by paths, which mean something among our own mounts alone: the
// PID namespace may be shared with a container that has the same ones.
func (o *Operation) isHelper(p proc.Info) bool {
	server := p.Comm == "postgres" && (strings.Contains(p.Cmdline, "-D "+o.Journal.Build.PGData) || strings.Contains(p.Cmdline, "-D "+o.Journal.Old.PGData))
	return (server || strings.Contains(p.Cmdline, filepath.Join(o.Site.Volume, ScratchDir))) && proc.SharesMounts(p.PID)
}
