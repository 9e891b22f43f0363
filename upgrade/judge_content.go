package upgrade

import (
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
)

// judgeDatabases: pg_upgrade goes into each database but template0, and its
// pg_dumpall would leave out those that do not accept connections
// (check_proper_datallowconn and check_for_connection_status in check.c).
func judgeDatabases(f Facts) []node.Finding {
	var res []node.Finding
	for _, d := range f.Server.Databases {
		switch {
		case d.Invalid:
			res = append(res, refuse("database-invalid", "DROP DATABASE "+ident(d.Name),
				"the database %s is invalid: a DROP DATABASE was interrupted", ident(d.Name)))
		case d.Name == "template0" && d.Connect:
			res = append(res, refuse("template0-open", "ALTER DATABASE template0 ALLOW_CONNECTIONS false",
				"template0 accepts connections, and pg_upgrade wants it closed"))
		case d.Name != "template0" && !d.Connect:
			res = append(res, refuse("database-closed", "ALTER DATABASE "+ident(d.Name)+" ALLOW_CONNECTIONS true for the time of the upgrade, or drop it",
				"the database %s accepts no connections, and pg_upgrade would lose it", ident(d.Name)))
		case d.Unreached != "":
			bad := refuse("database-unreachable", "find out why from the server's words; a database that nobody can enter cannot be upgraded: mend or drop it",
				"the database %s could not be entered", ident(d.Name))
			bad.Detail = d.Unreached
			res = append(res, bad)
		}
	}
	return res
}

// judgeNames: pg_upgrade hands names to other programs through a shell, and
// appendShellString in fe_utils/string_utils.c dies of a line's end.
func judgeNames(f Facts) []node.Finding {
	var res []node.Finding
	hint := "ALTER DATABASE … RENAME TO (or ALTER ROLE … RENAME TO) a name without line breaks"
	for _, d := range f.Server.Databases {
		if strings.ContainsAny(d.Name, "\n\r") {
			res = append(res, refuse("name-unusable", hint, "the name of the database %q has a line break, which pg_upgrade's dump cannot carry", d.Name))
		}
	}
	if name := f.Server.Superuser.Name; strings.ContainsAny(name, "\n\r") {
		res = append(res, refuse("name-unusable", hint, "the name of the role %q has a line break, which pg_upgrade cannot carry", name))
	}
	return res
}

func judgePrepared(f Facts) []node.Finding {
	if len(f.Server.Prepared) == 0 {
		return nil
	}
	names := namesOf(f.Server.Prepared, func(p pg.Prepared) string { return ident(p.GID) + " in " + ident(p.Database) })
	return []node.Finding{refuse("prepared-transactions",
		"COMMIT PREPARED or ROLLBACK PREPARED each, or let the transaction manager that made them do it",
		"there are prepared transactions, which cannot be carried over: %s", list(names))}
}

// judgeExtensions: pg_upgrade makes extensions as they are, without their
// control file, so it would not miss it.
func judgeExtensions(f Facts) []node.Finding {
	var res []node.Finding
	for _, m := range f.NoExtensions {
		res = append(res, refuse("extension-missing",
			"install the package of "+m.Name+" for the new major, or DROP EXTENSION "+ident(m.Name)+" where nobody needs it",
			"the extension %s has no files for PostgreSQL %d; it is used in %s", m.Name, f.To, list(m.Databases)))
	}
	for _, m := range f.NoLibraries {
		res = append(res, refuse("library-missing",
			"install it for the new major, or drop the functions that use it (pg_proc.probin names them)",
			"the library %s does not exist for PostgreSQL %d; functions in %s need it", m.Name, f.To, list(m.Databases)))
	}
	return res
}

func judgePreload(f Facts) []node.Finding {
	var res []node.Finding
	for _, p := range f.NoPreloads {
		where := p.Setting
		if p.Where != "" {
			where += " of " + p.Where
		}
		effect := "no session would start"
		switch p.Setting {
		case "shared_preload_libraries":
			effect = "the server would not start"
		case "archive_library":
			effect = "no WAL would be archived"
		case "output plugin":
			effect = "its slot would be of no use"
		}
		res = append(res, refuse("preload-missing", "install the library's package for the new major, or take it out of "+p.Setting,
			"%s names the library %s, which does not exist for PostgreSQL %d: %s", where, p.Library, f.To, effect))
	}
	return res
}

// judgeLocale: for the old programs every database's locale exists, or nobody
// could enter it; both majors share the libc. ICU may be missing in a build.
func judgeLocale(f Facts) []node.Finding {
	if f.NewICU || f.NewFiles != "" {
		return nil
	}
	var needs []string
	for _, d := range f.Server.Databases {
		if d.Provider == "i" || len(d.ICUCollations) > 0 {
			needs = append(needs, ident(d.Name))
		}
	}
	if len(needs) == 0 {
		return nil
	}
	return []node.Finding{refuse("icu-missing", "use a build of the new major with ICU",
		"PostgreSQL %d here is built without ICU, and databases sort by it: %s", f.To, list(needs))}
}
