package upgrade

import (
	"slices"
	"strings"

	"github.com/pgbaton/pgbaton/internal/pg"
)

// needPreload are libraries of extensions whose functions, or whose library
// itself, do not load in a server that has not preloaded them: pg_upgrade loads
// the libraries of all functions, and a restore may call them. In the order in
// which they want to be preloaded. The list was not tried: none of them is in
// this image; one that is missing here shows as a refusal of pg_upgrade --check.
var needPreload = []string{
	"citus", "timescaledb", "pg_tde", "pgaudit", "pg_cron", "pgsodium", "vchord", "vectors", "pg_search",
	"pg_stat_kcache", "pg_qualstats", "pg_wait_sampling",
}

// Preload lists the libraries that pg_upgrade's servers preload: as few as
// possible, because a preloaded library may do whatever it likes.
func (f *Facts) Preload() []string {
	used := f.usedLibraries()
	var res []string
	for _, name := range needPreload {
		shared := slices.ContainsFunc(f.Server.Preload, func(p pg.Preload) bool {
			return p.Setting == "shared_preload_libraries" && libraryName(p.Library) == name
		})
		if shared && used[name] {
			res = append(res, name)
		}
	}
	return res
}

func (f *Facts) usedLibraries() map[string]bool {
	used := map[string]bool{}
	for _, d := range f.Server.Databases {
		for _, e := range d.Extensions {
			used[e.Name] = true
		}
		for _, l := range d.Libraries {
			used[libraryName(l.Name)] = true
		}
	}
	return used
}

// libraryName is a library's name without directory, suffix and version:
// TimescaleDB's functions are in $libdir/timescaledb-2.17.2.
func libraryName(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	name = strings.TrimSuffix(name, ".so")
	base, version, found := strings.Cut(name, "-")
	if found && version != "" && version[0] >= '0' && version[0] <= '9' {
		return base
	}
	return name
}

// Locks is max_locks_per_transaction for pg_upgrade's servers: pg_dump locks
// each table of a database in one transaction, and several run at once. The
// lock table has that many slots for each connection, and some spare.
func (f *Facts) Locks() int64 {
	_, all := f.Relations()
	connections := min(max(f.Server.Int("max_connections"), 1), 100) // the new one's is initdb's: 100
	return max(64, f.Server.Int("max_locks_per_transaction"), 64+2*all/connections)
}

// OldConf is a configuration file for the old server that pg_upgrade starts: it
// includes the user's and then has settings of the user's arguments, which may
// hold what a shell would change.
func OldConf(include string, settings []ConfArg) string {
	text := "include " + quoteConf(include) + "\n"
	for _, a := range settings {
		text += a.Name + " = " + quoteConf(a.Value) + "\n"
	}
	return text
}
