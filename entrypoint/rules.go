package entrypoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/notify"
	"github.com/pgbaton/pgbaton/upgrade"
)

// serverArgs are the user's, then our generated pg_hba.conf in the place of theirs.
func (s *supervisor) serverArgs() ([]string, error) {
	secure, certified, err := s.tlsArgs()
	if err != nil {
		return nil, err
	}
	rules, err := s.makeRules(certified)
	if err != nil {
		return nil, err
	}
	s.view.rules = rules
	args := append([]string{}, s.args...)
	if s.clustered() {
		args = append(append(append(args, s.clusterArgs()...), pg.ReplayAll()...), s.timelineArgs()...)
		if s.cl.verdict.Do == notify.StartStandby {
			args = append(args, s.raised()...)
		}
		args = append(args, secure...)
	}
	if s.up.stage() == upgrade.Closed && s.up.journal.Quiet {
		args = append(args, "-c", "max_logical_replication_workers=0")
	}
	return append(args, "-c", "hba_file="+rules.HBA(), "-c", "ident_file="+rules.Ident()), nil
}

// makeRules writes the rules; certified: the server can verify other nodes'
// certificates.
func (s *supervisor) makeRules(certified bool) (pg.Rules, error) {
	v := s.volume
	dir := s.rulesDir()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return pg.Rules{}, fmt.Errorf("make the directory for generated rules: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	hba, ident, err := pg.UserRules(ctx, v.bin, v.place.pgdata, s.args, &s.user, setEnv(s.env, "PGDATA", v.place.pgdata))
	if err != nil {
		return pg.Rules{}, err
	}
	name, err := pg.BootstrapSuperuser(v.place.pgdata)
	if err != nil {
		s.log.Warn("find the superuser's name; POSTGRES_USER is taken", "error", err)
		name = s.off.User
	}
	s.view.superuser = name
	r := pg.Rules{
		Dir: dir, Major: v.major, UserHBA: hba, UserIdent: ident, OSUsers: s.osUsers(),
		Superuser: name, Scope: pg.Nobody, Owner: &s.user,
	}
	if s.clustered() {
		r.Replication, r.Encrypted, r.Certified = s.set.ReplicationUser, s.secured(), certified
	}
	if st := s.up.stage(); st == upgrade.Closed || st == upgrade.Held {
		r.Scope = pg.Alone
	}
	_, err = r.Write()
	return r, err
}

// osUsers may log in as the superuser by our own line: this process's user and
// the server's.
func (s *supervisor) osUsers() []string {
	me := proc.CurrentUser().Name
	if me == "" || me == s.user.Name {
		return []string{s.user.Name}
	}
	return []string{me, s.user.Name}
}

// adoptRules makes the generated rules known for a server that a supervisor
// before started with them. One that somebody else started does not read them.
func (s *supervisor) adoptRules(srv *server) {
	if !srv.adopted {
		return
	}
	s.view.superuser = s.off.User
	if !strings.Contains(s.past.Command, "hba_file="+s.rulesDir()) {
		return
	}
	rules, err := s.makeRules(s.certifies())
	if err != nil {
		s.log.Warn("take over the generated pg_hba.conf", "error", err)
		return
	}
	s.view.rules = rules
}

func (s *supervisor) rulesDir() string { return filepath.Join(s.control, "rules") }
