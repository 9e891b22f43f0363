package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"
)

// CollationMismatches compares the versions of collations that the catalogs
// recorded with those that the libraries provide now. Where they differ, text
// may sort in another order than the indexes were built in, and an index finds
// rows no more. One sentence each, with what mends it.
//
// Databases are compared from 15 on, which records their version; collations
// in each database that lets us in, but only those that some object uses:
// initdb imports hundreds. login gives the way into a database. What could be
// seen is returned together with an error about the rest.
func CollationMismatches(ctx context.Context, login func(db string) Login) ([]string, error) {
	var res, dbs []string
	err := login("template1").with(ctx, "compare collation versions", func(db *sql.DB) (err error) {
		if res, err = mismatchedDatabases(ctx, db); err != nil {
			return err
		}
		dbs, err = connectable(ctx, db)
		return err
	})
	errs := []error{err}
	for _, name := range dbs {
		errs = append(errs, login(name).with(ctx, "compare collation versions", func(db *sql.DB) error {
			found, err := mismatchedCollations(ctx, db, name)
			res = append(res, found...)
			return err
		}))
	}
	return res, errors.Join(errs...)
}

// mismatchedDatabases includes template0, which refuses to be copied by CREATE
// DATABASE while its version differs.
func mismatchedDatabases(ctx context.Context, db *sql.DB) (res []string, err error) {
	var version int
	row := db.QueryRowContext(ctx, "select current_setting('server_version_num')::int")
	if err := row.Scan(&version); err != nil || version < 150000 {
		return nil, err
	}
	err = each(ctx, db, `
		select datname, datallowconn, datcollversion, coalesce(pg_database_collation_actual_version(oid), 'none')
		  from pg_database
		 where datcollversion is not null
		   and datcollversion is distinct from pg_database_collation_actual_version(oid)
		 order by datname`,
		func(scan func(...any) error) error {
			var name, old, now string
			var connect bool
			if err := scan(&name, &connect, &old, &now); err != nil {
				return err
			}
			q := pq.QuoteIdentifier(name)
			mend := "ALTER DATABASE " + q + " REFRESH COLLATION VERSION"
			if connect {
				mend = "connect to it, REINDEX DATABASE " + q + ", then " + mend
			}
			res = append(res, fmt.Sprintf("database %s was made with collation version %s and runs with %s: %s", q, old, now, mend))
			return nil
		})
	return res, err
}

func connectable(ctx context.Context, db *sql.DB) (res []string, err error) {
	err = each(ctx, db, "select datname from pg_database where datallowconn and datconnlimit <> -2 order by datname",
		func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			res = append(res, name)
			return err
		})
	return res, err
}

func mismatchedCollations(ctx context.Context, db *sql.DB, name string) (res []string, err error) {
	err = each(ctx, db, `
		select quote_ident(n.nspname) || '.' || quote_ident(c.collname),
		       c.collversion, coalesce(pg_collation_actual_version(c.oid), 'none')
		  from pg_collation c join pg_namespace n on n.oid = c.collnamespace
		 where c.collversion is not null
		   and c.collversion is distinct from pg_collation_actual_version(c.oid)
		   and c.collencoding in (-1, pg_char_to_encoding(getdatabaseencoding()))
		   and exists (select from pg_depend d
		                where d.refclassid = 'pg_collation'::regclass and d.refobjid = c.oid)
		 order by 1`,
		func(scan func(...any) error) error {
			var coll, old, now string
			if err := scan(&coll, &old, &now); err != nil {
				return err
			}
			q := pq.QuoteIdentifier(name)
			res = append(res, fmt.Sprintf("collation %s in database %s has version %s recorded and runs with %s: "+
				"connect to it, REINDEX DATABASE %s, then ALTER COLLATION %s REFRESH VERSION", coll, q, old, now, q, coll))
			return nil
		})
	return res, err
}

// each runs a query and hands every row to do.
func each(ctx context.Context, db *sql.DB, query string, do func(scan func(...any) error) error) error {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	return scanAll(rows, do)
}

func scanAll(rows *sql.Rows, do func(scan func(...any) error) error) error {
	defer rows.Close() //nolint:errcheck // Err tells
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}
