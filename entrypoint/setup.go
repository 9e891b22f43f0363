package entrypoint

import (
	"fmt"
	"os"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// setup is what the environment says: the same for the supervisor, for
// single-user mode and for the steps of docker-entrypoint.sh.
type setup struct {
	set  config.Settings
	off  config.Official
	user proc.User // of the server
	env  []string  // of initdb, init scripts and, less what is not for it, postgres
}

// readSetup reads the settings. The warnings are sentences; they come beside
// an error too.
func readSetup(environ []string) (s setup, warnings []string, err error) {
	if s.set, warnings, err = config.Load(environ); err != nil {
		return s, warnings, err
	}
	if s.off, err = config.LoadOfficial(environ, os.ReadFile); err != nil {
		return s, warnings, err
	}
	if s.user, err = serverUser(); err != nil {
		return s, warnings, err
	}
	s.env = s.off.Environ(environ)
	return s, warnings, nil
}

// findPlace looks where the data directory is. The second error says that
// several clusters are there and none is chosen.
func (s setup) findPlace(args []string) (pl place, ambiguous, err error) {
	sv, err := lookAround(s.off, s.set, args)
	if err != nil {
		return place{}, nil, err
	}
	pl, ambiguous = choosePlace(sv)
	if s.set.Volume != "" && !within(s.set.Volume, pl.pgdata) {
		return pl, nil, fmt.Errorf("PGBATON_VOLUME is %s and the data directory %s does not lie in it; nothing was touched. Correct one of the two", s.set.Volume, pl.pgdata)
	}
	return pl, ambiguous, nil
}

// programs are those of the data directory's major, or of PG_MAJOR where it is empty.
func (s setup) programs(pl place) (pg.Binaries, error) {
	major, err := pg.DataMajor(pl.pgdata)
	if err != nil {
		major = s.off.Major
	}
	if major == 0 {
		major = defaultMajor
	}
	bin, found := pg.Pick(pg.Find(s.set.Binaries), major)
	if !found {
		return bin, fmt.Errorf("the programs of PostgreSQL %d are not in %v; nothing was touched", major, s.set.Binaries)
	}
	return bin, nil
}
