package entrypoint

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// adopt takes over a postmaster that runs in this container.
func (s *supervisor) adopt() bool {
	p, err := proc.Adopt(s.volume.pidFile.PID, 0)
	if err != nil {
		s.log.Warn("adopt the running postmaster", "error", err)
		return false
	}
	s.attach(p, true, nil)
	return true
}

// start starts postgres.
func (s *supervisor) start() {
	v := s.volume
	if v.watch != nil || v.pidState != pidFileNone {
		s.log.Info("postmaster.pid is left behind", "pid", v.pidFile.PID)
	}
	s.linkTo(v)
	if !s.past.Served && !s.past.Exited && !s.past.Initialized {
		// The official entrypoint's words, which tools look for.
		fmt.Print("\nPostgreSQL Database directory appears to contain a database; Skipping initialization\n\n")
	}
	if s.clustered() {
		if err := s.readyRole(); err != nil {
			s.postpone(err)
			return
		}
		s.past.Postponed = ""
	}
	args, err := s.serverArgs()
	if err != nil {
		s.ended(proc.Status{}, err)
		return
	}
	base := s.env
	if s.past.Exported != nil {
		base = s.past.Exported
	}
	// Before it runs: a supervisor that dies at once leaves one that is known.
	s.past.Given = strings.Join(args, " ")
	s.remember()
	before := pidFileBefore(v.place.pgdata)
	l := launch{
		bin: v.bin, pgdata: v.place.pgdata, args: args, env: config.ServerEnviron(base), user: s.user, lock: v.lock, stale: v.pidFile.PID,
	}
	if s.past.Unready {
		l.relay = s.newRelay()
	}
	p, err := startPostmaster(l)
	l.relay.begun()
	if err != nil {
		s.ended(proc.Status{}, err)
		return
	}
	s.past.Exited, s.past.Asked = false, false
	s.forgetPidFile(v)
	s.attach(p, false, before)
	s.heed(l.relay)
}

// postpone has a start tried again whose role could not be written down, on a
// full disk for example. Nothing of postgres has run, so nothing has ended.
func (s *supervisor) postpone(why error) {
	s.past.Postponed = why.Error()
	s.past.InARow++
	s.past.NextStart = time.Now().Add(backoff(s.past.InARow, s.set.BackoffMax))
	s.wakeIn(time.Until(s.past.NextStart))
	s.remember()
}

// attach watches a postmaster, started or adopted. before is the
// postmaster.pid that lay there before it was started.
func (s *supervisor) attach(p *proc.Process, adopted bool, before os.FileInfo) {
	srv := newServer(p, adopted, s.hungAfter())
	s.server = srv
	if info, err := proc.Stat(p.PID); err == nil {
		s.past.Command = info.Cmdline
	}
	s.remember()
	ctx, cancel := context.WithCancel(context.Background())
	v := s.volume
	go func() {
		<-p.Done()
		cancel()
		srv.relay.Load().wait()
		s.post(func() { s.serverEnded(srv) })
	}()
	go func() {
		if v == nil {
			return
		}
		if err := recordPidFile(ctx, v.root, s.user, v.place.pgdata, p, before); err != nil {
			s.log.Warn("record postmaster.pid, which is tried again; after a crash of this container before that the next start will wait for "+quietFor.String(), "error", err)
			go recordAgain(ctx, v.root, s.user, v.place.pgdata, p, before)
		}
		s.post(func() { s.serverListens(srv) })
		file, err := awaitReady(ctx, p, v.place.pgdata, before)
		if err == nil {
			s.post(func() { s.serverReady(srv, file) })
		}
	}()
}

// recordPause is between two tries to write the record.
const recordPause = 2 * time.Second

// recordPidFile remembers the postmaster.pid that a server under our lock
// wrote, so that a later start knows it as ours. Without the record that start
// would wait for quietFor.
func recordPidFile(ctx context.Context, root *os.Root, u proc.User, pgdata string, p *proc.Process, before os.FileInfo) error {
	for ctx.Err() == nil && !p.Ended() {
		if file, wrote := readPidFile(p, pgdata, before); wrote {
			own := ownPidFile{PID: file.PID, Started: file.Started}
			return durable.WriteJSON(root, serverFile, own, owner(u), int(u.GID))
		}
		time.Sleep(readyPoll)
	}
	return nil
}

// recordAgain goes on trying until there is room for the record, or the server ends.
func recordAgain(ctx context.Context, root *os.Root, u proc.User, pgdata string, p *proc.Process, before os.FileInfo) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(recordPause):
		}
		if recordPidFile(ctx, root, u, pgdata, p, before) == nil {
			return
		}
	}
}

// serverListens passes on what was kept for a server without signal handlers.
func (s *supervisor) serverListens(srv *server) {
	srv.listens = true
	for _, sig := range srv.later {
		if err := srv.pass(sig); err != nil {
			s.log.Warn("pass a signal on to postgres", "error", err)
		}
	}
	srv.later = nil
}

func (s *supervisor) serverReady(srv *server, file pg.PidFile) {
	if s.server != srv {
		return
	}
	srv.ready, srv.file = true, file
	s.view.missing = -1
	s.past.Served = true
	s.wish.Vouched = false
	s.log.Info("postgres is ready", "pid", srv.proc.PID, "after", time.Since(srv.since).Round(time.Millisecond).String(), "adopted", srv.adopted)
	closed := s.up.stage() == upgrade.Closed
	if !closed { // else when clients are let in: until then each moment counts
		s.recordCluster()
	}
	s.volume.bin, _ = pg.Pick(pg.Find(s.set.Binaries), s.majorOf(s.volume))
	s.adoptRules(srv)
	if srv.adopted {
		s.reload() // the supervisor before may have died between its rules and the reload
	}
	if s.view.rules.Dir != "" {
		s.watchRules(s.view.rules)
	}
	s.linkTo(s.volume)
	s.remember()
	s.watchForUpgrades(s.volume)
	s.startMonitor()
	if !closed {
		s.ask(s.up.stage() == upgrade.Idle)
	}
}

func (s *supervisor) recordCluster() {
	if err := writeRecord(s.volume.root, s.volume.place, s.user); err != nil {
		s.log.Warn("record which cluster is in use", "error", err)
	}
}

func (s *supervisor) majorOf(v *volume) int {
	if v.major == 0 {
		v.major, _ = pg.DataMajor(v.place.pgdata) // 0 shows in status; the server runs all the same
	}
	return v.major
}

// tellStop asks the server to shut down.
func (s *supervisor) tellStop(mode node.Mode) {
	s.server.told = mode
	s.stopMonitor()
	s.server.unask()
	if err := s.server.proc.Signal(pg.StopSignal(mode)); err != nil {
		s.log.Error("stop postgres", "error", err)
	}
	s.remember()
}

func (s *supervisor) serverEnded(srv *server) {
	if s.server != srv {
		return
	}
	asked := srv.told != ""
	s.readWords(srv)
	ran := time.Since(srv.since)
	s.server = nil
	s.stopMonitor()
	srv.unask()
	s.unwatchRules()
	s.view.server, s.view.role = nil, ""
	srv.proc.Release()
	if ran > steady {
		s.past.InARow = 0
	}
	s.past.Asked = asked
	status := s.settle(srv.proc.Status())
	if !srv.listens && (srv.told == node.Smart || srv.told == node.Fast) && status.Signal == pg.StopSignal(srv.told) {
		// It had not installed its handlers yet, so it was stopped before it began.
		status = proc.Status{Known: true}
	}
	s.ended(status, nil)
}

// settle is how the server ended. Where the kernel does not tell (adopted
// before Linux 6.15, or gone while no supervisor ran), its control file says
// whether it shut down cleanly.
func (s *supervisor) settle(status proc.Status) proc.Status {
	if status.Known || s.volume == nil {
		return status
	}
	if c, err := pg.ReadControl(s.volume.place.pgdata); err == nil && pg.CleanShutdown(c) {
		return proc.Status{Known: true}
	}
	return status
}

// ended notes how the server ended, or that it could not be started (why).
func (s *supervisor) ended(status proc.Status, why error) {
	s.past.Exited, s.past.Status, s.past.Died = true, status, proc.Uptime()
	if why != nil {
		s.log.Error("start postgres", "error", why)
		s.past.Asked = false
	}
	if s.wish.Ending {
		s.wish.EndCode = status.ExitCode()
	}
	if s.past.Asked {
		s.log.Info("postgres has stopped", "how", status.String())
		if s.wish.Again {
			s.wish.Halted, s.wish.Again = false, false
		}
	} else if why == nil && status.Success() {
		s.log.Info("postgres was shut down by somebody else", "how", status.String())
	} else {
		if s.up.stage() == upgrade.Closed {
			s.up.deaths++
		}
		s.past.Deaths++
		s.past.InARow++
		s.past.NextStart = time.Now().Add(backoff(s.past.InARow, s.set.BackoffMax))
		s.wakeIn(time.Until(s.past.NextStart))
		s.log.Error("postgres ended by itself", "how", status.String(), "deaths", s.past.Deaths)
	}
	s.remember()
}

// backoff is the pause before the start after the nth death in a row.
func backoff(n int, longest time.Duration) time.Duration {
	d := firstBackoff
	for ; n > 1 && d < longest; n-- {
		d *= 2
	}
	return min(d, longest)
}
