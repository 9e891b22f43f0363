package pg

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// StatisticsMissing counts the tables and materialized views, in all databases
// that let us in, that have rows and nothing in pg_statistic: after an upgrade
// the planner guesses there until ANALYZE has run. relpages cannot tell, since
// pg_upgrade to a major before 18 leaves it 0; a reltuples of 0 comes from an
// ANALYZE that found no rows.
func StatisticsMissing(ctx context.Context, login func(db string) Login) (n int, err error) {
	var dbs []string
	err = login("template1").with(ctx, "list the databases", func(db *sql.DB) error {
		dbs, err = connectable(ctx, db)
		return err
	})
	errs := []error{err}
	for _, name := range dbs {
		errs = append(errs, login(name).with(ctx, "look for tables without statistics", func(db *sql.DB) error {
			var here int
			err := db.QueryRowContext(ctx, statisticsMissing).Scan(&here)
			n += here
			return err
		}))
	}
	return n, errors.Join(errs...)
}

// The size is looked at last: it is a system call.
const statisticsMissing = `
with bare as materialized (
	select c.oid from pg_class c
	 where c.relkind in ('r', 'm') and c.oid >= 16384 and c.relpersistence <> 't' and c.reltuples <> 0
	   and not exists (select from pg_statistic s where s.starelid = c.oid)
	   and exists (select from pg_attribute a
	                where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
	                  and coalesce(a.attstattarget, -1) <> 0))
select count(*) from bare where pg_relation_size(oid) > 0`

// Databases lists the databases that let us in.
func Databases(ctx context.Context, l Login) (res []string, err error) {
	err = l.with(ctx, "list the databases", func(db *sql.DB) error {
		res, err = connectable(ctx, db)
		return err
	})
	return res, err
}

// Vacuumdb runs vacuumdb over this login, as the operating system user that the
// login appears as: on the login's database, or on all where it names none. env
// must hold nothing that libpq reads. Time limits that roles or databases set
// for themselves do not count. line is given what it prints; it may be nil.
func (l Login) Vacuumdb(
	ctx context.Context, b Binaries, user proc.User, env []string, line func(string), args ...string,
) error {
	env = append(append([]string{}, env...),
		"PGOPTIONS=-c statement_timeout=0 -c lock_timeout=0 -c default_transaction_read_only=off",
		"PGPASSFILE=/nonexistent", "PGAPPNAME=pgbaton", "PGSSLMODE=disable")
	if l.Password != "" {
		env = append(env, "PGPASSWORD="+l.Password)
	}
	where := []string{"--all", "--maintenance-db=template1"}
	if l.Database != "" {
		where = []string{"--dbname=" + connString(l.Database)}
	}
	out := &lineWriter{line: line}
	spec := proc.Spec{
		Env: env, Dir: "/", Group: true, Stdout: out,
		Args: append(append([]string{
			b.Path("vacuumdb"), "--no-password", "--host=" + l.SocketDir, "--port=" + strconv.Itoa(l.Port), "--username=" + l.User,
		}, where...), args...),
	}
	if l.PeerUID >= 0 && uint32(l.PeerUID) == user.UID {
		spec.User = &user
	}
	return proc.Run(ctx, spec)
}

// connString names a database for a program that would take a name with = in it
// for a connection string, and an empty one for the user's.
func connString(db string) string {
	out := []byte("dbname='")
	for i := range len(db) {
		if db[i] == '\'' || db[i] == '\\' {
			out = append(out, '\\')
		}
		out = append(out, db[i])
	}
	return string(append(out, '\''))
}
