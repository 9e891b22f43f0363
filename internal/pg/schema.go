package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// SchemaDatabase is a database as a dump of its schema sees it.
type SchemaDatabase struct {
	Name      string
	Relations int      // of users: pg_dump locks each of them until it ends
	Libraries []string // that its functions are in, without directory and .so
}

// dumpedQuery counts what pg_dump locks, or what the server locks on its behalf
// (pg_get_viewdef, reading a sequence), and names the libraries of functions
// in C, which a restore loads. Indexes are not locked.
const dumpedQuery = `
select (select count(*) from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S') and c.relpersistence <> 't'
           and n.nspname not in ('pg_catalog', 'information_schema', 'pg_toast')),
       array(select distinct probin from pg_proc where probin is not null)`

// SchemaDatabases lists the databases that let somebody in, as pg_upgrade
// counts them: template0 and broken ones are not among them. Names are the
// catalog's own bytes, whatever encoding they are in.
func SchemaDatabases(ctx context.Context, login func(db string) Login) ([]SchemaDatabase, error) {
	var res []SchemaDatabase
	err := login("").with(ctx, "list the databases", func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `
			select convert_to(datname::text, getdatabaseencoding())
			  from pg_database where datallowconn and datconnlimit <> -2 order by oid`)
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // rows.Err tells
		for rows.Next() {
			var name []byte
			if err := rows.Scan(&name); err != nil {
				return err
			}
			res = append(res, SchemaDatabase{Name: string(name)})
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	for i := range res {
		d := &res[i]
		err := login(d.Name).with(ctx, "count the relations", func(db *sql.DB) error {
			var libs pq.StringArray
			if err := db.QueryRowContext(ctx, dumpedQuery).Scan(&d.Relations, &libs); err != nil {
				return err
			}
			for _, l := range libs {
				d.Libraries = append(d.Libraries, LibraryName(l))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return res, nil
}

// LibraryName is the name of a library in pg_proc.probin or in
// shared_preload_libraries, without directory and suffix.
func LibraryName(lib string) string {
	return strings.TrimSuffix(path.Base(strings.Trim(strings.TrimSpace(lib), `"`)), ".so")
}

// LockTable is the room for locks that all sessions of a server share.
type LockTable struct {
	PerTransaction int // max_locks_per_transaction
	Sessions       int // max_connections + max_prepared_transactions
	Held           int // locks in it now
}

// Size is how many locks are promised; there is some more for a few others
// (LockManagerShmemSize in lock.c).
func (t LockTable) Size() int { return t.PerTransaction * t.Sessions }

// LockTable asks for the lock table.
func (l Login) LockTable(ctx context.Context) (t LockTable, err error) {
	err = l.with(ctx, "ask for the lock table", func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `
			select current_setting('max_locks_per_transaction')::int,
			       current_setting('max_connections')::int + current_setting('max_prepared_transactions')::int,
			       (select count(*) from pg_locks where not fastpath)`).Scan(&t.PerTransaction, &t.Sessions, &t.Held)
	})
	return t, err
}

// Preloaded returns the names in shared_preload_libraries.
func (l Login) Preloaded(ctx context.Context) (libs []string, err error) {
	err = l.with(ctx, "ask for the preloaded libraries", func(db *sql.DB) error {
		var list string
		if err := db.QueryRowContext(ctx, "select current_setting('shared_preload_libraries')").Scan(&list); err != nil {
			return err
		}
		for lib := range strings.SplitSeq(list, ",") {
			if name := LibraryName(lib); name != "." && name != "" && !slices.Contains(libs, name) {
				libs = append(libs, name)
			}
		}
		return nil
	})
	return libs, err
}

// InPlaceTablespaces is a script for psql that makes the cluster's tablespaces
// with their object ids, for a server in binary-upgrade mode, inside its data
// directory (allow_in_place_tablespaces) and not where they are. It is empty
// where there are none.
func (l Login) InPlaceTablespaces(ctx context.Context) (script []byte, err error) {
	err = l.with(ctx, "list the tablespaces", func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `
			select coalesce(convert_to(
			         format(E'set client_encoding = %L;\n', getdatabaseencoding()) ||
			         string_agg(format(
			           E'select pg_catalog.binary_upgrade_set_next_pg_tablespace_oid(%L::pg_catalog.oid);\n'
			           'create tablespace %I owner %I location %L;\n', t.oid, spcname, rolname, '') ||
			           case when spcoptions is null then '' else format(E'alter tablespace %I set (%s);\n', spcname, array_to_string(spcoptions, ', ')) end,
			           '' order by t.oid), getdatabaseencoding()), '')
			  from pg_tablespace t join pg_roles r on r.oid = spcowner
			 where spcname not in ('pg_default', 'pg_global')`).Scan(&script)
	})
	return script, err
}

// DescribeObject names an object of a database: `view public.totals`. It is
// empty where there is none.
func (l Login) DescribeObject(ctx context.Context, class, oid uint32) (name string, err error) {
	err = l.with(ctx, "name an object", func(db *sql.DB) error {
		err := db.QueryRowContext(ctx, `
			select coalesce(type || ' ' || identity, '') from pg_identify_object($1, $2, 0)`, class, oid).Scan(&name)
		if errors.Is(err, sql.ErrNoRows) || pq.As(err, pqerror.UndefinedObject) != nil {
			return nil
		}
		return err
	})
	return name, err
}

// DumpLocks is who waits for whom about the locks of a dump.
type DumpLocks struct {
	Waits   float64 // seconds that the dump has waited
	For     string  // what it waits for, and which session has it
	Blocks  float64 // seconds that somebody has waited for the dump
	Blocked string  // who, and the first two words of its statement: the others may hold data
}

// dumpLocksQuery: waitstart is there from 14 on.
const dumpLocksQuery = `
with waiting as (
  select l.pid, a.application_name = $1 as dump, a.query, pg_blocking_pids(l.pid) as blockers,
         coalesce(l.relation::regclass::text, l.locktype) as what,
         extract(epoch from clock_timestamp() - coalesce((to_jsonb(l)->>'waitstart')::timestamptz, a.query_start)) as secs
    from pg_locks l join pg_stat_activity a using (pid)
   where not l.granted and a.datname = current_database()),
dumps as (select pid from pg_stat_activity where application_name = $1 and datname = current_database())
select coalesce((select max(secs) from waiting where dump), 0),
       coalesce((select format('%s, which session %s (%s, %s) has locked', w.what, b.pid,
                               coalesce(nullif(b.application_name, ''), b.backend_type), coalesce(b.state, 'at work'))
                   from waiting w left join pg_stat_activity b on b.pid = w.blockers[1]
                  where w.dump order by w.secs desc limit 1), ''),
       coalesce((select max(secs) from waiting w where not dump and exists (select from dumps d where d.pid = any (w.blockers))), 0),
       coalesce((select format('session %s: %s %s', w.pid, split_part(ltrim(w.query), ' ', 1), split_part(ltrim(w.query), ' ', 2)) from waiting w
                  where not dump and exists (select from dumps d where d.pid = any (w.blockers)) order by secs desc limit 1), '')`

// DumpLocks looks at the sessions of l's database; the dump's have that
// application name.
func (l Login) DumpLocks(ctx context.Context, application string) (d DumpLocks, err error) {
	err = l.with(ctx, "look who waits for locks", func(db *sql.DB) error {
		return db.QueryRowContext(ctx, dumpLocksQuery, application).Scan(&d.Waits, &d.For, &d.Blocks, &d.Blocked)
	})
	if err != nil {
		return d, fmt.Errorf("watch the dump: %w", err)
	}
	return d, nil
}
