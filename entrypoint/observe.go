package entrypoint

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// observe gathers the facts. Everything slow was gathered before, by events.
func (s *supervisor) observe() facts {
	f := s.look()
	if s.clustered() && s.volume != nil && s.lock == lockOurs {
		s.loadRole(s.volume)
		if s.job.name == "" {
			s.decideRole()
		}
		f.clustered, f.role, f.parting = true, s.cl.verdict, s.parting()
	}
	return f
}

func (s *supervisor) look() facts {
	now := time.Now()
	f := facts{
		now:    now,
		ending: s.wish.Ending, endCode: s.wish.EndCode, halted: s.wish.Halted,
		mode: s.wish.Mode, patience: s.wish.Patience, askedAt: s.wish.AskedAt, vouched: s.wish.Vouched,
		initOnly: s.set.InitOnly, exitToo: s.set.OnExit == config.OnExitExit,
		job: s.job.name, jobPhase: s.job.phase, jobWhy: s.job.why, lock: s.lock, holder: s.holder, refused: s.refusal != nil,
		served: s.past.Served, exited: s.past.Exited, asked: s.past.Asked, clean: s.past.Status.Success(),
		exitText: s.past.exitText(), exitCode: s.past.Status.ExitCode(), nextStart: s.past.NextStart,
		postponed: s.past.Postponed,
	}
	f.upgrade, f.upgradeWhy, f.side = s.up.stage(), s.up.journal.Why, s.up.side
	f.closedDeaths, f.upgradeNext = s.up.deaths, s.up.next
	f.upgradeMode = stopFor(s.up.journal.Going)
	if s.server != nil {
		f.server, f.told, f.says = serverStarting, s.server.told, s.server.file.Status
		if s.server.ready {
			f.server = serverUp
		} else if s.volume != nil {
			f.recovers = s.replays(s.volume.place.pgdata, true)
		}
		return f
	}
	if s.job.name != "" {
		return f
	}
	if v := s.volume; v != nil {
		s.inspect()
		f.prepared, f.moving = v.prepared, v.move != nil
		f.obstacle, f.data, f.initState, f.refused = v.obstacle, v.data, v.initState, s.refusal != nil
		f.pidFile, f.pidHolder, f.watchable = v.pidState, v.pidHolder, v.watchable
		f.stray = v.pidState == pidFileAlive && !s.asGiven(v)
		if v.watch != nil {
			f.quiet = v.watch.quiet(now)
		}
		f.recovers = v.data == dataCluster && s.replays(v.place.pgdata, false)
	}
	if s.restarts > 0 || s.past.Exited {
		f.leftovers = len(s.findLeftovers())
	}
	return f
}

// replays reports whether a start of the server replays WAL. One that has begun
// says so itself, in pg_control.
func (s *supervisor) replays(pgdata string, begun bool) bool {
	for _, signal := range []string{"recovery.signal", "standby.signal"} {
		if exists(filepath.Join(pgdata, signal)) {
			return true
		}
	}
	c, err := s.readControl(pgdata)
	if begun {
		return err == nil && strings.Contains(c.State, "recovery")
	}
	return err == nil && c.State != pg.ShutDown
}

func (s *supervisor) findLeftovers() []proc.Info {
	all, err := proc.List()
	if err != nil {
		s.log.Error("list processes", "error", err)
		return nil
	}
	left := leftovers(all, os.Getppid(), s.user.UID, s.past.Command, s.past.Died)
	if v := s.volume; v != nil && v.pidState == pidFileAlive {
		// A postmaster that somebody else has started meanwhile (pg_ctl restart).
		left = slices.DeleteFunc(left, func(p proc.Info) bool { return p.PID == v.pidFile.PID })
	}
	return left
}

// State is the latest snapshot (nodeapi.Source).
func (s *supervisor) State() node.State { return *s.snapshot.Load() }
