package entrypoint

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// volume is what is known of the volume since its lock is ours.
type volume struct {
	place     place
	root      *os.Root
	lock      *os.File
	prepared  bool   // its directories have their owner and modes
	ambiguous string // several clusters and no record: a sentence
	data      dataState
	initState string
	major     int
	bin       pg.Binaries
	available []int
	obstacle  string
	missed    bool // the programs of its major were not there
	pidState  pidFileState
	pidHolder string
	pidFile   pg.PidFile
	pidSeen   os.FileInfo
	watch     *pidWatch
	watchable bool
	move      *moveState // its cluster is to be moved below its mount, or is half moved
	moveAgain time.Time  // not before this, after a failure
}

// inspect looks at the volume: cheap enough for each round without a server.
func (s *supervisor) inspect() {
	v := s.volume
	bins := pg.Find(s.set.Binaries)
	v.available = pg.Majors(bins)
	v.obstacle, v.initState = "", ""
	v.data = dataUnknown
	s.followJournal(v)
	if st := s.up.stage(); down(st) || st == upgrade.Held {
		s.inspectPidFile(v)
		return
	}
	if v.ambiguous != "" {
		v.obstacle = v.ambiguous
		return
	}
	if s.inspectMove(v) {
		return
	}
	if s.inspectInit(v) {
		v.bin, _ = pg.Pick(bins, v.major)
		return
	}
	if st := s.copying(v); st != nil && !s.clustered() {
		v.obstacle = fmt.Sprintf("a copy or a rewind of %s for a cluster did not finish, so what lies there is good for nothing; nothing was touched. "+
			"Set PGBATON_PEERS again: it begins again. What was given up for it is in %s. If you have restored a backup there since, remove %s",
			v.place.pgdata, filepath.Join(v.place.volume, divergedDir), filepath.Join(v.place.volume, copyFile))
		return
	}
	content, err := pg.Look(v.place.pgdata, ours...)
	if err != nil {
		v.obstacle = fmt.Sprintf("cannot look at the data directory %s: %v; nothing was touched", v.place.pgdata, err)
		return
	}
	if s.clustered() && v.place.volume == v.place.pgdata && s.planMove(v, content) {
		return
	}
	switch content.Kind {
	case pg.Missing, pg.Empty:
		v.data, v.major = dataEmpty, s.majorForEmpty()
		if v.obstacle = s.lostUpgrade(v); v.obstacle != "" {
			return
		}
	case pg.Cluster:
		v.data = dataCluster
		if v.major, err = pg.DataMajor(v.place.pgdata); err != nil {
			v.obstacle = err.Error() + "; nothing was touched. Restore the file from a backup of this cluster"
			return
		}
	case pg.Foreign:
		if s.copying(v) == nil {
			s.refusal = foreignError(v.place.pgdata, content)
			return
		}
		v.data, v.major = dataEmpty, s.majorForEmpty() // what a copy left: its role knows
	}
	if v.obstacle = s.obstacleOfPrograms(v, bins); v.obstacle != "" {
		s.watchForUpgrades(v)
		s.lookAtMajors()
	}
	s.inspectPidFile(v)
}

func foreignError(pgdata string, content pg.Content) error {
	// The first line is initdb's, which the official image ends with.
	return fmt.Errorf("initdb: error: directory %q exists but is not empty\n"+
		"Error: the data directory %s is not empty and holds no cluster (%s); nothing was touched. %s",
		pgdata, pgdata, content, content.Hint())
}

// refuseForeign refuses somebody else's directory before anything is made in
// it or given to another owner. A half-made cluster of ours may look like one.
func refuseForeign(pl place) error {
	content, err := pg.Look(pl.pgdata, ours...)
	if err != nil || content.Kind != pg.Foreign {
		return nil // what cannot be looked at yet is looked at again under the lock
	}
	for _, name := range []string{initFile, moveFile, copyFile, inplace.JournalFile} {
		if _, err := os.Lstat(filepath.Join(pl.volume, name)); !errors.Is(err, os.ErrNotExist) {
			return nil
		}
	}
	return foreignError(pl.pgdata, content)
}

// majorForEmpty is PG_MAJOR, or the newest there is.
func (s *supervisor) majorForEmpty() int {
	if s.off.Major != 0 {
		return s.off.Major
	}
	if s.volume != nil && len(s.volume.available) > 0 {
		return slices.Max(s.volume.available)
	}
	return defaultMajor
}

// inspectInit reads the record of an initialisation; true: one is unfinished,
// or it cannot be told. Nothing but what that initialisation made is ever put
// aside: not another directory, and not a cluster that somebody else's
// entrypoint found good enough to serve meanwhile.
func (s *supervisor) inspectInit(v *volume) bool {
	var st initState
	err := durable.ReadJSON(v.root, initFile, &st)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false
	case err == nil && st.PGData != v.place.pgdata:
		if content, err := pg.Look(v.place.pgdata, ours...); err == nil && content.Kind == pg.Cluster {
			return false
		}
		v.obstacle = fmt.Sprintf("an initialisation of %s on this volume did not finish, and PGDATA is now %s; nothing was touched. "+
			"Set PGDATA back, or remove %s", st.PGData, v.place.pgdata, filepath.Join(v.place.volume, initFile))
		return true
	case err == nil && servedByOthers(v.place.pgdata, st.Step):
		v.obstacle = fmt.Sprintf("an initialisation of %s did not finish (%s), and another server has run there since; nothing was touched. "+
			"If that cluster is to be served, remove %s; if not, empty the directory", v.place.pgdata, st.Step, filepath.Join(v.place.volume, initFile))
		return true
	case err == nil:
		v.data, v.initState, v.major = dataHalfMade, fmt.Sprintf("it was begun %s and reached: %s", st.Started.Format(time.RFC3339), st.Step), s.majorForEmpty()
		s.inspectPidFile(v)
		return true
	default:
		v.obstacle = fmt.Sprintf("%v; whether %s was completely initialised is therefore unknown, and nothing was touched. "+
			"If it was, remove %s; if it may be thrown away, empty the directory too", err, v.place.pgdata, filepath.Join(v.place.volume, initFile))
		return true
	}
}

// servedByOthers reports whether the last server of a data directory was not
// the temporary one of an initialisation: postmaster.opts holds its arguments.
// A loss of power may have emptied that file as long as it was not synced.
func servedByOthers(pgdata, step string) bool {
	opts, err := os.ReadFile(filepath.Join(pgdata, "postmaster.opts"))
	if err != nil || (len(opts) == 0 && step == tempServerStep) {
		return false
	}
	return !bytes.Contains(opts, []byte(`"listen_addresses="`))
}

// obstacleOfPrograms says why the cluster's own major cannot be started, and
// notes its programs where it can. Those that were missing count once they are
// whole, run and have not changed for some seconds: somebody is copying them.
func (s *supervisor) obstacleOfPrograms(v *volume, bins []pg.Binaries) string {
	found := false
	v.bin, found = pg.Pick(bins, v.major)
	switch {
	case !found:
		v.missed = true
		return missingBinaries(v, s.set.Binaries)
	case v.missed && !slices.Contains(s.up.runs, v.major):
		return fmt.Sprintf("the programs of PostgreSQL %d have appeared in %s and may still be being copied; nothing was touched, and this container goes on once they run and stay as they are for %s",
			v.major, v.bin.Bin, availableSettle)
	}
	v.missed = false
	return ""
}

func missingBinaries(v *volume, roots []string) string {
	have := strings.Trim(strings.Join(strings.Fields(fmt.Sprint(v.available)), ", "), "[]")
	if have == "" {
		have = "none"
	}
	if v.data == dataEmpty {
		return fmt.Sprintf("the data directory %s is empty and for PostgreSQL %d (PG_MAJOR), whose programs are not in %s (there: %s); nothing was touched. "+
			"Set PG_MAJOR to one that is there, or mount them: this container goes on as soon as they appear",
			v.place.pgdata, v.major, strings.Join(roots, ", "), have)
	}
	if len(v.available) > 0 && v.major > slices.Max(v.available) {
		return fmt.Sprintf("database files are incompatible with server: the data directory %s is of PostgreSQL %d, newer than any here (%s); nothing was touched. Use an image that has %d",
			v.place.pgdata, v.major, have, v.major)
	}
	return fmt.Sprintf("the programs of PostgreSQL %d, which the data directory %s needs, are not in %s (there: %s); nothing was touched. "+
		"Use an image that has them or mount them there: this container goes on as soon as they appear",
		v.major, v.place.pgdata, strings.Join(roots, ", "), have)
}

// keepCorrupt moves a state file that cannot be understood aside.
func (s *supervisor) keepCorrupt(v *volume, name string, why error) {
	aside := name + ".corrupt-" + time.Now().UTC().Format("20060102T150405Z")
	if err := durable.Rename(v.root, name, aside); err != nil {
		s.log.Error("keep a corrupt state file aside", "error", err)
		return
	}
	s.log.Warn("a state file was corrupt; it is kept aside and what it said counts as unknown", "error", why, "kept", filepath.Join(v.place.volume, aside))
}
