package entrypoint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/notify"
	"github.com/pgbaton/pgbaton/upgrade"
)

// promise is what a primary knows of whether commits wait for its heir as its
// record says.
type promise struct {
	doubt  time.Time // since when the heir streams and the proof has failed; zero: it has not
	astray time.Time // since when synchronous_standby_names does not name the heir; zero: it does
	gaveUp time.Time // when an heir was given up for doubt
}

// rolePromise tells what is known of it.
func (s *supervisor) rolePromise(self *notify.Self, r *pg.Replication) {
	p, heir, now := &s.cl.promise, heirOf(s.cl.record), time.Now()
	self.Twins = twins(r.Senders)
	streams := slices.ContainsFunc(r.Senders, func(w node.Sender) bool { return w.Node == heir && w.State == "streaming" })
	self.Doubt = lasting(&p.doubt, heir != "" && s.cl.synced != heir && streams, now)
	ours := s.cl.task.cancel != nil && s.cl.task.do == notify.Prove // which sets it meanwhile
	self.Astray = lasting(&p.astray, heir != "" && r.SyncNames != pg.SyncFor(heir) && !ours, now)
	if s.cl.task.do == notify.Prove {
		self.Doubted = s.cl.task.failed.what
	}
	if !p.gaveUp.IsZero() {
		self.Unproven = max(1, now.Sub(p.gaveUp))
	}
}

// lasting keeps since when something is so, and tells for how long.
func lasting(since *time.Time, so bool, now time.Time) time.Duration {
	switch {
	case !so:
		*since = time.Time{}
		return 0
	case since.IsZero():
		*since = now
	}
	return max(1, now.Sub(*since))
}

// twins are the names by which more than one connection replicates. PostgreSQL
// compares them without regard to case.
func twins(senders []node.Sender) (names []string) {
	seen := map[string]int{}
	for _, w := range senders {
		if key := strings.ToLower(w.Node); w.State == "streaming" {
			if seen[key]++; seen[key] == 2 {
				names = append(names, w.Node)
			}
		}
	}
	return names
}

func isTwin(name string, senders []node.Sender) bool {
	return slices.ContainsFunc(twins(senders), func(t string) bool { return strings.EqualFold(t, name) })
}

// careless says why commits may not wait although synchronous_standby_names says
// so in the files; empty: they do.
func (s *supervisor) careless() string {
	if s.server != nil && setsArg(strings.Fields(s.past.Command), pg.SyncNames) {
		return pg.SyncNames + " is set on the server's command line, where nothing can change it"
	}
	if r := s.cl.repl; r != nil {
		if first := pg.SkipsWait(r.Version); first != "" {
			return fmt.Sprintf("PostgreSQL %d.%d may acknowledge commits without waiting right after its start (install %s or later)", r.Version/10000, r.Version%10000, first)
		}
	}
	return ""
}

// setsArg reports whether arguments of postgres give it a setting.
func setsArg(args []string, name string) bool {
	return slices.ContainsFunc(upgrade.ParseServerArgs(args), func(a upgrade.ConfArg) bool {
		return strings.EqualFold(a.Name, name)
	})
}

// unwaited warns of sessions whose commits wait for nobody by settings of their own.
func (s *supervisor) unwaited() (warnings []string) {
	r := s.cl.record
	if s.view.server == nil || r == nil || !r.Primary || r.Heir == nil {
		return nil
	}
	for _, who := range s.view.server.Unwaited {
		warnings = append(warnings, fmt.Sprintf("commits of %s do not wait for the heir, so a takeover may lose them: synchronous_commit was lowered by ALTER ROLE or ALTER DATABASE", who))
	}
	return warnings
}

// checkArgs refuses what would win over whatever this node sets.
func (s *supervisor) checkArgs() error {
	if len(s.set.Peers) == 0 {
		return nil
	}
	for _, own := range []struct{ name, why string }{
		{pg.SyncNames, "commits wait for the armed heir"},
		{pg.PrimaryConnInfo, "a standby follows the primary, whoever that is"},
		{pg.PrimarySlotName, "a standby follows the primary, whoever that is"},
	} {
		if setsArg(s.args, own.name) {
			return fmt.Errorf("pgbaton: %s is set in the arguments of postgres, but with PGBATON_PEERS this node sets it, so that %s: "+
				"leave it out; nothing was touched", own.name, own.why)
		}
	}
	return nil
}

// name lets commits wait for the heir again, where somebody changed that.
func (s *supervisor) name(v notify.Verdict) {
	s.cl.names = true
	s.setNames(v, pg.SyncFor(v.Target), func() {})
}

// unname lets commits wait for nobody.
func (s *supervisor) unname(v notify.Verdict) {
	srv := s.server
	s.setNames(v, "", func() {
		if s.server == srv && heirOf(s.cl.record) == "" {
			s.cl.names, s.cl.synced = false, ""
			s.cl.know(func(r *pg.Replication) { r.SyncNames = "" })
		}
	})
}

// setNames sets synchronous_standby_names. It needs no connection: sessions that
// wait for an heir that is gone may have taken all of them.
func (s *supervisor) setNames(v notify.Verdict, value string, apply func()) {
	srv, set := s.server, map[string]string{pg.SyncNames: value}
	pgdata, uid, gid := s.volume.place.pgdata, owner(s.user), int(s.user.GID)
	l, err := s.login()
	s.begin(v, proveWithin, func(ctx context.Context) (func(), error) {
		bounded, cancel := context.WithTimeout(ctx, proveWithin/2)
		defer cancel()
		if err == nil {
			err = l.SetAuto(bounded, set)
		}
		if err != nil {
			s.log.Info("role: no session can set it, so postgresql.auto.conf is edited", "setting", pg.SyncNames, "error", err)
			err = pg.WriteAuto(pgdata, set, uid, gid)
			if err == nil {
				err = srv.proc.Signal(pg.Reload)
			}
		}
		durable.Point(string(v.Do), "done")
		return apply, err
	})
}
