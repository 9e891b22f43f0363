// Package inplace carries out what package upgrade decides: the steps of an
// in-place upgrade of one node.
package inplace

import (
	"context"
	"os"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// ScratchDir is where an upgrade builds, relative to the volume. Nothing in it
// outlives the upgrade.
const ScratchDir = ".pgbaton/upgrade"

// Site is where an upgrade happens: what stays the same from its first step
// to its last.
type Site struct {
	Root    *os.Root    // the volume; everything of ours in it is written through this
	Volume  string      // its absolute path
	PGData  string      // the old cluster, absolute, on the volume
	Old     pg.Binaries // of the old major
	New     pg.Binaries // of the new one
	User    proc.User   // the server's user: PostgreSQL's programs run as this
	Environ []string    // for PostgreSQL's programs: nothing that libpq would read
	Args    []string    // the user's arguments of postgres ("-c", "name=value", …)
	// Superuser is the name of the role that initdb made in the old cluster.
	Superuser string
	Named     bool // the user named the data directory, so that the new one has its name
	// Sockets is the directory for the sockets of the servers that pg_upgrade
	// starts, absolute and short; made when it is needed.
	Sockets string
}

// NewPGData is where the new cluster will lie, absolute.
func (s *Site) NewPGData() string {
	return upgrade.NewPGData(s.PGData, s.Old.Major, s.New.Major, s.Named)
}

// Scratch is the absolute path of a name in the scratch directory.
func (s *Site) Scratch(name string) string { return filepath.Join(s.Volume, ScratchDir, name) }

// spec is one of PostgreSQL's programs, run as the server's user. It is called
// by its whole path: pg_dumpall, initdb and pg_upgrade look for the others where
// their own name says (find_my_exec in src/common/exec.c).
func (s *Site) spec(b pg.Binaries, args ...string) proc.Spec {
	args = append([]string{b.Path(args[0])}, args[1:]...)
	return proc.Spec{Args: args, Env: s.Environ, Dir: "/", User: &s.User}
}

// Session lets SQL through to the running server, whatever the user's
// pg_hba.conf says, for as long as do runs. login gives the way into each
// database, as the bootstrap superuser.
type Session func(ctx context.Context, do func(ctx context.Context, login func(db string) pg.Login) error) error

// Progress is told what a step does right now, and how far it is: percent is 0
// where that is not known. It may be called from any goroutine.
type Progress func(doing string, percent float64)
