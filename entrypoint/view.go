package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/whole"
	"github.com/pgbaton/pgbaton/upgrade"
)

// refresh is what each tick does besides deciding.
func (s *supervisor) refresh() {
	if s.server == nil || !s.server.ready {
		return
	}
	if time.Since(s.up.aged) > time.Minute {
		s.up.aged = time.Now()
		s.finishByAge(s.up.aged)
	}
	if file, err := pg.ReadPidFile(s.volume.place.pgdata); err == nil && file.PID == s.server.proc.PID {
		s.server.file = file
	}
	s.checkRules()
	if time.Since(s.view.asked) >= askEvery && s.up.stage() != upgrade.Closed {
		s.ask(false)
	}
}

// ask asks the server about itself, beside the loop. first: the server has
// just become ready, and collations are compared too.
func (s *supervisor) ask(first bool) {
	if s.view.asking || s.server == nil || s.volume == nil || s.up.wide > 0 {
		return
	}
	s.view.asking, s.view.asked = true, time.Now()
	srv := s.server
	a := s.access()
	a.pgdata, a.reload, a.stats = s.volume.place.pgdata, func() error { return srv.proc.Signal(pg.Reload) }, s.wantStats()
	go func() {
		ctx, cancel := context.WithTimeout(srv.live, time.Minute)
		defer cancel()
		res := a.look(ctx, first)
		s.post(func() { s.answered(srv, res) })
	}()
}

// answer is what a look at the server brought.
type answer struct {
	server   *node.Server
	role     node.Role
	user     string
	scope    pg.Scope
	mismatch []string
	compared bool
	missing  int // relations without statistics; -1: not counted
	err      error
}

// wantStats reports whether relations without statistics are to be counted:
// after an upgrade, until there are none.
func (s *supervisor) wantStats() bool {
	j := &s.up.journal
	return j.Opened && j.To == s.volume.major && s.view.missing != 0
}

func (s *supervisor) answered(srv *server, res answer) {
	s.view.asking = false
	if s.server != srv {
		if s.server != nil && s.server.ready {
			s.ask(s.up.stage() == upgrade.Idle) // it became ready while its predecessor was asked
		}
		return
	}
	s.view.superuser = res.user
	if s.up.wide == 0 && s.view.rules.Scope != pg.Alone {
		s.view.rules.Scope = res.scope
	}
	if res.server != nil {
		s.view.server, s.view.role = res.server, res.role
	}
	s.ownLimits(res.server)
	if res.compared && srv.told == "" { // else it refused most of it, for it was about to end
		s.view.mismatch = res.mismatch
		for _, m := range res.mismatch {
			s.log.Warn(m)
		}
	}
	text := ""
	if res.err != nil {
		text = fmt.Sprintf("the supervisor's own SQL does not get through: %v", res.err)
	}
	if text != s.view.sqlError {
		s.view.sqlError = text
		if text != "" {
			s.log.Warn(text)
		}
	}
	if res.missing >= 0 {
		s.view.missing = res.missing
	}
	if s.view.server != nil {
		s.view.server.StatisticsMissing = max(0, s.view.missing)
		s.view.server.Superuser = s.view.superuser
		s.view.server.Mismatch = len(s.view.mismatch)
	}
}

// access is the supervisor's way to SQL.
type access struct {
	door   *pg.Door
	major  int
	rules  pg.Rules
	file   pg.PidFile
	uid    int
	user   string
	pgdata string
	reload func() error
	stats  bool
}

func (a *access) login(db string) pg.Login {
	return pg.Login{
		SocketDir: a.file.SocketDir, Port: a.file.Port, User: a.user, Database: db, PeerUID: a.uid, Major: a.major, Door: a.door,
	}
}

// access is the way to the running server's SQL.
func (s *supervisor) access() *access {
	a := &access{rules: s.view.rules, file: s.server.file, uid: int(s.user.UID), user: s.view.superuser, door: s.server.door}
	if s.volume != nil {
		a.major = s.volume.major
	}
	return a
}

// look logs in by the user's own rules, and only where they refuse us by a
// line of ours.
func (a *access) look(ctx context.Context, first bool) answer {
	if a.rules.Scope == "" {
		a.rules.Scope = pg.Nobody
	}
	res := answer{missing: -1}
	if a.file.SocketDir == "" {
		res.err = fmt.Errorf("the server has no Unix socket (unix_socket_directories is empty)")
		res.user, res.scope = a.user, a.rules.Scope
		return res
	}
	server, role, err := a.login("").Facts(ctx)
	if pg.Denied(err) {
		server, role, err = a.insist(ctx, pg.Maintenance)
	}
	if err == nil {
		res.server, res.role = &server, role
		if a.stats {
			if n, err := pg.StatisticsMissing(ctx, a.login); err == nil {
				res.missing = n
			}
		}
		if first {
			res.mismatch, res.compared = a.compare(ctx)
		}
	}
	res.user, res.scope, res.err = a.user, a.rules.Scope, err
	return res
}

// insist writes a line of ours into the generated pg_hba.conf, for a superuser
// whose name was looked up again, and logs in once it is in force.
func (a *access) insist(ctx context.Context, scope pg.Scope) (node.Server, node.Role, error) {
	if a.rules.Scope == pg.Alone {
		return node.Server{}, "", errors.New("the server is closed, and does not let the supervisor in either")
	}
	if name, err := pg.BootstrapSuperuser(a.pgdata); err == nil {
		a.user, a.rules.Superuser = name, name
	}
	if a.rules.Dir == "" {
		return node.Server{}, "", fmt.Errorf("the server was not started by this supervisor, so it does not read our pg_hba.conf; `pgbaton restart` mends that")
	}
	a.rules.Scope = scope
	if _, err := a.rules.Write(); err != nil {
		return node.Server{}, "", err
	}
	if err := a.reload(); err != nil {
		return node.Server{}, "", err
	}
	for try := 0; ; try++ {
		server, role, err := a.login("").Facts(ctx)
		if !pg.Denied(err) || try == 40 {
			return server, role, err
		}
		select {
		case <-ctx.Done():
			return server, role, ctx.Err()
		case <-time.After(50 * time.Millisecond): // until the reload has reached new connections
		}
	}
}

// compare looks for collations whose library changed under their indexes. It
// needs a connection to each database; where the user's rules refuse us, our
// line is widened for that moment.
func (a *access) compare(ctx context.Context) ([]string, bool) {
	found, err := pg.CollationMismatches(ctx, a.login)
	if pg.Denied(err) {
		before := a.rules.Scope
		if _, _, e := a.insist(ctx, pg.Everywhere); e == nil {
			found, err = pg.CollationMismatches(ctx, a.login)
		}
		a.rules.Scope = before
		if _, e := a.rules.Write(); e == nil {
			_ = a.reload()
		}
	}
	if err != nil {
		found = append(found, fmt.Sprintf("collation versions could not be compared everywhere: %v", err))
	}
	return found, true
}

// roleOf is the role that pg_control shows, which follows a promotion at once
// and needs no SQL; told is what the server said last.
func roleOf(c node.Control, told node.Role) node.Role {
	switch c.State {
	case "in production":
		return node.Primary
	case "in archive recovery":
		return node.Standby
	default:
		return told
	}
}

// publish makes the snapshot that the API shows.
func (s *supervisor) publish() {
	st := node.State{
		Node: s.set.Node, Version: s.version, Time: time.Now(), Since: s.since, Phase: s.phase, Why: s.why,
		Ready: s.phase == node.Running, Role: s.view.role, Halted: s.wish.Halted,
		Supervisor: node.Supervisor{PID: os.Getpid(), Started: s.started},
		Restarts:   node.Restarts{Supervisor: s.restarts, Postgres: s.past.Deaths},
		Server:     s.view.server,
	}
	if s.past.Exited || s.past.Status.Known {
		st.Restarts.LastExit = s.past.Status.String()
	}
	if s.phase == node.BackingOff {
		st.Restarts.NextStart = s.past.NextStart
	}
	if v := s.volume; v != nil {
		st.Volume, st.PGData, st.Major, st.Available = v.place.volume, v.place.pgdata, v.major, v.available
		if c, err := s.readControl(v.place.pgdata); err == nil {
			st.Control = &c
			if s.server != nil {
				st.Role = roleOf(c, s.view.role)
			}
		}
	}
	if srv := s.server; srv != nil {
		st.Postmaster = &node.Postmaster{PID: srv.proc.PID, Started: srv.since, Adopted: srv.adopted, Port: srv.file.Port}
	}
	if st.Cluster = s.showCluster(); st.Cluster != nil {
		s.watchStalls(st.Cluster)
		s.watchCommits(st.Cluster)
		st.Ready = st.Ready && (st.Cluster.CommitsWait == nil || !st.Cluster.CommitsWait.TooLong)
	}
	st.Warnings = append(st.Warnings, s.view.warnings...)
	st.Warnings = append(st.Warnings, s.view.mismatch...)
	st.Warnings = append(st.Warnings, s.view.lostEdits...)
	if s.view.server != nil {
		for _, fault := range s.view.server.Faults {
			st.Warnings = append(st.Warnings, "the next start of postgres might fail: "+fault)
		}
	}
	if s.view.sqlError != "" {
		st.Warnings = append(st.Warnings, s.view.sqlError)
	}
	if s.up.journal.ID != "" {
		u := s.up.journal.Clone().Upgrade
		if s.up.shown != nil {
			u = *s.up.shown // a copy of its own, which nobody changes
		}
		st.Upgrade = &u
	}
	if v := s.volume; v != nil {
		// It is read from the volume, so only when the journal has changed.
		if key := s.up.journal.ID + string(s.up.journal.Outcome); key != s.up.keptOf {
			s.up.kept, s.up.keptOf = s.kept(), key
		}
		st.Kept = s.up.kept
	}
	st.AutoMode = s.up.auto
	if s.up.offer != "" && s.up.stage() == upgrade.Idle {
		st.Offer = s.up.offer
	}
	st.Warnings = append(st.Warnings, s.up.broken...)
	st.Warnings = append(append(st.Warnings, s.namesakes()...), s.unevenLimits()...)
	st.Warnings = append(append(st.Warnings, s.cl.facts.Ahead()...), s.cl.facts.Stalled()...)
	st.Warnings = append(st.Warnings, s.unwaited()...)
	if why := s.still.disk(st.Time); why != "" {
		st.Warnings = append(st.Warnings, why+", so it counts as silent for the others")
	}
	st.Warnings = append(st.Warnings, s.arbiterWarnings()...)
	st.Warnings = append(st.Warnings, s.slotWarnings()...)
	for _, w := range []string{s.divergedWarning(), s.cl.vrrpFault, s.cl.facts.Unproven(), s.deafWarning()} {
		if w != "" {
			st.Warnings = append(st.Warnings, w)
		}
	}
	if s.cl.failed != "" && copies(s.cl.verdict.Do) {
		st.Warnings = append(st.Warnings, s.cl.failed)
	}
	st.Verdict = s.judge(st)
	if st.Verdict.Code == whole.CodeCommitsWait {
		st.Warnings = append([]string{st.Verdict.Why}, st.Warnings...)
	}
	s.snapshot.Store(&st)
}
