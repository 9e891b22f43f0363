package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
)

// rewind makes the data a beginning of the target's.
func (s *supervisor) rewind(v notify.Verdict) {
	src, err := s.source(v.Target)
	vol, f := s.volume, s.cl.facts
	stale := vol.pidState == pidFileStale
	kept := s.cl.keptFrom == f.Self.End && s.cl.keptFor == v.After.Newest().ID // by a try that failed afterwards
	s.run("rewinding onto "+v.Target, func(ctx context.Context) func() {
		if err == nil && !kept {
			err = s.keepWAL(ctx, f, v)
			kept = err == nil
		}
		if err == nil && stale {
			err = s.dropPidFile()
		}
		if err == nil {
			err = s.beginCopy(s.newCopy(v))
		}
		if err == nil {
			begun := false
			begun, err = pg.Rewind(ctx, pg.RewindSpec{
				Binaries: vol.bin, Data: vol.place.pgdata, From: src, User: &s.user, Env: s.env, Ours: ours,
				Progress: func(done, total int64) { s.progress("rewinding onto "+v.Target, done, total) },
			})
			if err != nil && !begun {
				err = errors.Join(err, durable.Remove(vol.root, copyFile))
			}
		}
		return func() {
			if kept {
				s.cl.keptFrom, s.cl.keptFor = f.Self.End, v.After.Newest().ID
			}
			s.copied("rewinding onto "+v.Target, s.endCopy(v, err))
		}
	})
}

// dropPidFile removes a postmaster.pid that is left behind: a container that is
// killed after the shutdown checkpoint leaves one beside clean data, and
// pg_rewind, other than a server, does not replace it.
func (s *supervisor) dropPidFile() error {
	err := s.inData(func(root *os.Root) error { return durable.Remove(root, "postmaster.pid") })
	if err != nil {
		return fmt.Errorf("remove a postmaster.pid that is left behind: %w", err)
	}
	return nil
}

// keepWAL copies what the target does not have to diverged/, with a report.
func (s *supervisor) keepWAL(ctx context.Context, f notify.Facts, v notify.Verdict) error {
	if f.Self.Record == nil || v.After == nil {
		return errors.New("there is no record of what this data went through")
	}
	fork, known := notify.Fork(f.Self.Record.Promotions, v.After.Promotions)
	if !known {
		return errors.New("it is not known where this node's history and the primary's part")
	}
	vol := s.volume
	into := filepath.Join(divergedDir, moment(time.Now()))
	rep, err := pg.SaveDiverged(ctx, pg.DivergedSpec{
		Binaries: vol.bin, Data: vol.place.pgdata, Fork: fork, User: &s.user, Env: s.env, Root: vol.root, Into: into, Why: v.Why,
	})
	if err == nil {
		s.log.Warn("role: kept the WAL that the primary does not have", "at", filepath.Join(vol.place.volume, into),
			"from", rep.From.String(), "to", rep.To.String(), "commits", rep.Commits)
	}
	return err
}
