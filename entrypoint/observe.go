package entrypoint

import (
	"os"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
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
		exitText: s.past.Status.String(), exitCode: s.past.Status.ExitCode(), nextStart: s.past.NextStart,
	}
	f.upgrade, f.upgradeWhy, f.side = s.up.stage(), s.up.journal.Why, s.up.side
	f.closedDeaths, f.upgradeNext = s.up.deaths, s.up.next
	f.upgradeMode = stopFor(s.up.journal.Going)
	if s.server != nil {
		f.server, f.told, f.says = serverStarting, s.server.told, s.server.file.Status
		if s.server.ready {
			f.server = serverUp
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
	}
	if s.restarts > 0 || s.past.Exited {
		f.leftovers = len(s.findLeftovers())
	}
	return f
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
