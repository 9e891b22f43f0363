package entrypoint

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const (
	// firstBackoff is the pause after the first death of postgres; each further
	// one in a row doubles it up to PGBATON_BACKOFF_MAX.
	firstBackoff = 200 * time.Millisecond
	// steady is how long a server must have run for its death to count as the first.
	steady = time.Minute
)

// act carries out a verdict. true: the facts changed, look again at once.
func (s *supervisor) act(v verdict) bool {
	switch v.do {
	case actCancel:
		s.job.cancel(errors.New("the container is to end"))
	case actLock:
		return s.takeLock() // a busy one is tried again at each tick
	case actPrepare:
		s.startPrepare()
	case actMove:
		s.startMove()
	case actBury:
		s.startBury()
	case actSetAside:
		s.startSetAside()
	case actInitialize:
		s.startInitialize()
	case actAdopt:
		return s.adopt()
	case actEvict:
		s.startEvict()
	case actStart:
		s.start()
		return true
	case actStop:
		s.tellStop(v.mode)
		return true
	case actUpgrade:
		s.runUpgrade()
		return s.job.name == ""
	case actBeside:
		s.startBeside()
		return true
	case actVerify:
		s.startVerify()
		return true
	case actAfter:
		s.startAfter()
		return true
	case actRole:
		return s.actRole(s.cl.verdict)
	case actWait, actWatch, actEnd:
	}
	return false
}

// run starts a job beside the loop. What it returns is applied by the loop.
func (s *supervisor) run(name string, do func(ctx context.Context) (apply func())) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s.job = job{name: name, phase: s.phase, why: s.why, cancel: cancel}
	go func() {
		apply := do(ctx)
		cancel(nil)
		s.post(func() {
			s.job = job{}
			apply()
		})
	}()
}

func (s *supervisor) wakeIn(d time.Duration) {
	time.AfterFunc(d, s.wake)
}

// refuse ends the container with an error, or holds where clients were served.
func (s *supervisor) refuse(err error) {
	s.refusal = err
	if s.past.Served {
		s.log.Error(err.Error())
	}
}

func (s *supervisor) startBury() {
	list := s.findLeftovers()
	s.run("ending the processes of the old postmaster", func(ctx context.Context) func() {
		err := bury(ctx, list)
		return func() {
			if err != nil {
				s.log.Error("end the processes of the old postmaster", "error", err)
			}
		}
	})
}

func (s *supervisor) startSetAside() {
	v, scripts, temporary := s.volume, s.past.Scripts, 0
	if v.pidState == pidFileAlive {
		temporary = v.pidFile.PID
	}
	s.run("setting aside a half-made cluster", func(ctx context.Context) func() {
		err := s.endInitialization(ctx, scripts, temporary)
		to := ""
		if err == nil {
			to, err = setAside(v.root, v.place, s.off.WalDir, s.user)
		}
		return func() {
			if err != nil {
				s.refuse(err)
				return
			}
			s.log.Warn("kept a half-made cluster aside", "at", filepath.Join(v.place.volume, to))
		}
	})
}

// endInitialization ends what the supervisor before left running: its
// temporary server (0: none), and what its init scripts started.
func (s *supervisor) endInitialization(ctx context.Context, scripts group, temporary int) error {
	all, err := proc.List()
	if err != nil {
		return err
	}
	rest := members(all, scripts)
	if temporary != 0 {
		rest = append(rest, proc.Info{PID: temporary})
	}
	if err := bury(ctx, rest); err != nil {
		return err
	}
	if all, err = proc.List(); err != nil {
		return err
	}
	return bury(ctx, leftovers(all, os.Getppid(), s.user.UID, "", 0))
}

func (s *supervisor) startInitialize() {
	v := s.volume
	s.linkTo(v)
	var extra []string
	if s.clustered() && v.bin.Major < 18 { // from 18 on checksums are the default
		extra = []string{"--data-checksums"}
	}
	b := &bootstrap{
		root: v.root, place: v.place, bin: v.bin, off: s.off, env: s.env, args: s.args,
		user: s.user, control: s.control, dir: s.dir, lock: v.lock, extra: extra,
		scripts: func(g group) {
			s.post(func() {
				s.past.Scripts = g
				s.remember()
			})
		},
	}
	s.run("initialising the data directory", func(ctx context.Context) func() {
		exported, err := b.run(ctx)
		if errors.Is(err, errInitExit) {
			err = errors.Join(b.finish(), err)
		}
		return func() { s.initialized(exported, err) }
	})
}

func (s *supervisor) initialized(exported []string, err error) {
	s.past.Scripts = group{}
	var exit *exitError
	switch {
	case err == nil:
		s.past.Exported, s.past.Initialized = config.ServerEnviron(exported), true
	case s.wish.Ending:
		s.log.Warn("the initialisation was interrupted; the next start begins it again", "why", err.Error())
	case errors.As(err, &exit):
		s.log.Error(exit.Error())
		s.wish.Ending, s.wish.Mode, s.wish.EndCode = true, node.Fast, exit.code
	default:
		s.refuse(err)
	}
}

// linkTo keeps the links of PATH and PGDATA.
func (s *supervisor) linkTo(v *volume) {
	if err := keepLinks(s.control, v.bin.Bin, v.place.pgdata); err != nil {
		s.log.Warn("keep the links to the programs and the data directory", "error", err)
	}
}
