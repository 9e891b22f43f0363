package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// upgrading is what the loop knows of an in-place upgrade.
type upgrading struct {
	journal    upgrade.Journal  // the latest; its ID is empty while there is none
	prepared   inplace.Prepared // beside the old server, until pg_upgrade has run
	side       string           // the part that runs beside the server; empty: none
	cancel     context.CancelCauseFunc
	tried      upgrade.Tried // what the policy began last
	shown      *node.Upgrade // what a running part tells; nil while none runs
	kept       []node.Kept
	keptOf     string    // the journal that kept was read with
	deaths     int       // of the new server before clients were let in
	next       time.Time // when a way back that failed is tried again
	watching   bool
	look       chan struct{}    // asks for a look at the majors
	identities map[int]string   // of the programs of each major
	runs       []int            // majors that are whole and run, as of the last look
	known      bool             // which majors are here
	aged       time.Time        // when old clusters were last looked at
	unknown    map[int][]string // options in use that a newer major does not know
	auto       node.UpgradeMode // what mode auto comes to on this volume
	offer      string           // sentence for status: a newer major is there
	marker     fileID           // a marker that was refused and left where it is
	asking     bool             // a marker is being claimed
	wide       int              // sessions that need all databases
	broken     []string         // majors that are installed and do not run
}

// stage is what the upgrade needs next.
func (u *upgrading) stage() upgrade.Stage { return upgrade.Next(u.journal) }

// busy reports whether an upgrade is under way, or a part of one.
func (u *upgrading) busy() bool { return u.stage() != upgrade.Idle || u.side != "" }

// down reports whether an upgrade wants no server of the user's to run.
func down(st upgrade.Stage) bool {
	return st == upgrade.Stopping || st == upgrade.Down || st == upgrade.Undoing
}

// loadJournal reads what an upgrade left, once the volume's lock is ours.
func (s *supervisor) loadJournal(v *volume) {
	err := durable.ReadJSON(v.root, inplace.JournalFile, &s.up.journal)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return
	case err != nil:
		s.keepCorrupt(v, inplace.JournalFile, err)
		s.up.journal = s.rebuildJournal(v)
		return
	}
	before := s.up.journal
	if before.StepOf(node.StepFinish).State == node.StepRunning {
		s.up.journal.Outcome = node.UpgradeDone // finishByAge goes on with it
		return
	}
	s.up.journal = upgrade.Recover(before, time.Now())
	var told node.Upgrade // the result file is written after the journal; one of another id is a later refusal
	_ = durable.ReadJSON(v.root, inplace.ResultFile, &told)
	switch {
	case before.Outcome == node.UpgradeRunning:
		s.log.Warn("an upgrade was interrupted", "id", before.ID, "from", before.From, "to", before.To, "goes_on_with", string(s.up.stage()))
		s.saveJournal()
	case told.ID == before.ID && told.Outcome != before.Outcome:
		s.saveJournal()
	}
}

// rebuildJournal reads from the volume what a corrupt journal does not tell:
// an old cluster that pg_upgrade disabled and that is still in its place goes
// back into service. Everything else that is unclear holds.
func (s *supervisor) rebuildJournal(v *volume) upgrade.Journal {
	pgdata := v.place.pgdata
	_, enabled := os.Lstat(filepath.Join(pgdata, "global/pg_control"))
	_, disabled := os.Lstat(filepath.Join(pgdata, "global/pg_control.old"))
	from, err := pg.DataMajor(pgdata)
	if err != nil || enabled == nil || disabled != nil {
		return upgrade.Journal{}
	}
	build := filepath.Join(v.place.volume, inplace.ScratchDir, "new")
	to, err := pg.DataMajor(build)
	if err != nil {
		return upgrade.Journal{}
	}
	j := upgrade.Begin(node.UpgradeRequest{Do: node.UpgradeNow}, node.ByCommand, time.Now())
	j.From, j.To, j.Mode = from, to, node.ModeLink
	j.Old.PGData, j.New.PGData, j.Build.PGData = pgdata, pgdata, build
	j.Kept = filepath.Join(v.place.volume, retiredDir, "unknown")
	j.GoBack("the journal was corrupt and pg_upgrade had not ended", false)
	return j
}

// saveJournal writes down what the loop itself decided.
func (s *supervisor) saveJournal() {
	op := s.operation()
	if err := op.Save(); err != nil {
		s.log.Error("write the journal of the upgrade", "error", err)
	}
	s.up.journal = op.Journal
}

// operation is the upgrade as the next stage carries it on.
func (s *supervisor) operation() *inplace.Operation {
	v, j := s.volume, s.up.journal.Clone()
	bins := pg.Find(s.set.Binaries)
	site := inplace.Site{
		Root: v.root, Volume: v.place.volume, PGData: j.Old.PGData, User: s.user,
		Environ: s.programEnv(), Args: s.args, Superuser: s.view.superuser, Named: v.place.named, Sockets: filepath.Join(s.control, "upgrade"),
	}
	if site.PGData == "" {
		site.PGData = v.place.pgdata
	}
	if site.Superuser == "" {
		site.Superuser = s.off.User
	}
	site.Old, _ = pg.Pick(bins, j.From)
	site.New, _ = pg.Pick(bins, j.To)
	return &inplace.Operation{
		Site: site, Journal: j, Prepared: s.up.prepared, Log: s.log,
		Hooks:   inplace.Hooks{Dir: s.set.Hooks, Timeout: s.set.HookTimeout},
		Publish: func(j upgrade.Journal) { s.post(func() { s.show(j) }) },
	}
}

// show takes over what a running part tells of itself, for others to see. The
// loop decides on the journal alone, which a part hands over when it ends.
func (s *supervisor) show(j upgrade.Journal) {
	if s.up.journal.ID == j.ID && (s.up.side != "" || s.job.name != "") {
		s.up.shown = &j.Upgrade
	}
}

// programEnv is the environment of PostgreSQL's programs: without what libpq
// would read from it, since pg_upgrade refuses PGHOST and the like.
func (s *supervisor) programEnv() []string {
	var env []string
	for _, kv := range config.ServerEnviron(s.env) {
		if !strings.HasPrefix(kv, "PG") {
			env = append(env, kv)
		}
	}
	if s.user.Home != "" {
		env = setEnv(env, "HOME", s.user.Home)
	}
	return env
}

// followJournal makes the place the one where the journal says that the
// cluster lies. No server runs.
func (s *supervisor) followJournal(v *volume) {
	j := &s.up.journal
	if j.ID == "" || j.Old.PGData == "" {
		return
	}
	want := ""
	switch st := s.up.stage(); {
	case st == upgrade.Closed || st == upgrade.After:
		want = j.New.PGData
	case st == upgrade.Beside, down(st), j.Outcome == node.UpgradeUndone:
		want = j.Old.PGData
	}
	if want == "" || want == v.place.pgdata {
		return
	}
	s.forgetPidFile(v)
	v.place.pgdata, v.place.why = want, "the journal of the upgrade says so"
	v.major = 0
	s.log.Info("data directory", "pgdata", want, "volume", v.place.volume, "why", v.place.why)
	s.remember()
}

// serveNew makes the place the new cluster's again, where a way back was called off.
func (s *supervisor) serveNew() {
	v, j := s.volume, &s.up.journal
	if v.place.pgdata == j.New.PGData {
		return
	}
	s.forgetPidFile(v)
	v.place.pgdata, v.place.why, v.major = j.New.PGData, "the journal of the upgrade says so", 0
	s.past.Exited, s.past.NextStart, s.past.InARow = false, time.Time{}, 0
	s.log.Info("data directory", "pgdata", v.place.pgdata, "volume", v.place.volume, "why", v.place.why)
}

// isBlocked reports whether a way back was tried and could not be gone, and is
// not being tried right now.
func (s *supervisor) isBlocked() bool {
	return s.up.stage() == upgrade.Undoing && !s.up.next.IsZero() && s.job.name == ""
}

// helperWrote reports whether a server that pg_upgrade started wrote a
// postmaster.pid: those listen in a directory of ours only, and run under our lock.
func (s *supervisor) helperWrote(file pg.PidFile) bool {
	return s.up.journal.ID != "" && file.SocketDir == filepath.Join(s.control, "upgrade")
}

// lostUpgrade is the obstacle where an empty data directory is not to be
// filled: an upgrade was under way here.
func (s *supervisor) lostUpgrade(v *volume) string {
	switch _, err := v.root.Lstat(filepath.Join(inplace.ScratchDir, "new")); {
	case s.up.stage() != upgrade.Idle:
		return fmt.Sprintf("an upgrade is under way and there is no cluster in %s; nothing was touched. See %s in %s and `pgbaton upgrade status`",
			v.place.pgdata, inplace.JournalFile, v.place.volume)
	case err == nil:
		return fmt.Sprintf("there is no cluster in %s, and an interrupted upgrade left %s: its journal is lost; nothing was touched. "+
			"The old cluster is below %s; move it back by hand, see the runbook",
			v.place.pgdata, filepath.Join(v.place.volume, inplace.ScratchDir), filepath.Join(v.place.volume, retiredDir))
	}
	return ""
}

// stopFor is how an upgrade stops the server. A new one that was never open is
// thrown away: an orderly shutdown would archive its last WAL file.
func stopFor(way upgrade.Way) node.Mode {
	if way == upgrade.Back {
		return node.Immediate
	}
	return node.Fast
}
