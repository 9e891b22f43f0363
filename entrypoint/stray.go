package entrypoint

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// asGiven reports whether the postmaster that lives here without having been
// started by a supervisor has the options that the last one was given, as
// `pg_ctl restart` passes them on.
func (s *supervisor) asGiven(v *volume) bool {
	info, err := proc.Stat(v.pidFile.PID)
	return err == nil && hasOptions(info.Cmdline, v.place.pgdata, s.past.Given)
}

// hasOptions reports whether a postmaster's command line is the program, the
// data directory at most, and exactly these options. Nothing else will do:
// the temporary server of an initialisation listens nowhere, and one that was
// started by hand lacks the user's arguments and the other nodes' way in.
func hasOptions(cmdline, pgdata, given string) bool {
	front, found := strings.CutSuffix(cmdline, " "+given)
	if !found || given == "" {
		return false
	}
	program, data, named := strings.Cut(front, " ")
	return program != "" && (!named || data == "-D "+pgdata)
}

// startEvict shuts the postmaster down that lives in the data directory and
// that no supervisor started, fast. It is waited for however long its
// checkpoint takes, also when the container is to end meanwhile.
func (s *supervisor) startEvict() {
	pid := s.volume.pidFile.PID
	s.log.Warn("shutting down a server that somebody else started", "pid", pid)
	s.run("shutting down a server that somebody else started", func(ctx context.Context) func() {
		err := evict(pid)
		if err != nil {
			select { // it is tried again, but not without a pause
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
		return func() {
			if err != nil {
				s.log.Error("shut down a server that somebody else started", "error", err)
				return
			}
			s.past.Asked = true // the one of ours before it may have been stopped by hand
		}
	})
}

func evict(pid int) error {
	p, err := proc.Adopt(pid, 0)
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := p.Signal(pg.Fast); err != nil {
		return err
	}
	<-p.Done()
	p.Release()
	return nil
}
