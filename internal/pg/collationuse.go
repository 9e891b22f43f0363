package pg

import (
	"context"
	"database/sql"

	"github.com/lib/pq"
)

// DefaultCollation is the oid of the collation "default", which stands for
// whatever the database was made with (pg_collation.dat).
const DefaultCollation = 100

// Collation is a collation that objects of a database depend on, or that the
// database itself has by default.
type Collation struct {
	OID           uint32 `json:"oid"`
	Name          string `json:"name,omitempty"`     // as SQL writes it: pg_catalog."de-x-icu"; empty for a database's default
	Provider      string `json:"provider"`           // c libc, i ICU, b builtin (pg_collation.collprovider)
	Locale        string `json:"locale"`             // in the provider's words
	Deterministic bool   `json:"deterministic"`      // equal only where the bytes are
	Recorded      string `json:"recorded,omitempty"` // version in the catalog; empty where it has none (C, POSIX)
	Actual        string `json:"actual,omitempty"`   // version that this server's library provides
}

// DatabaseCollations are the collations that matter in one database.
type DatabaseCollations struct {
	Database string      `json:"database"`
	Connect  bool        `json:"connect"`        // it lets us in; Used is known only then
	Default  Collation   `json:"default"`        //
	Used     []Collation `json:"used,omitempty"` // that something depends on, or that a user made; by name
}

// UsedCollations lists the collations of every database, with the versions that
// the catalogs recorded and those that the libraries of this server provide.
func UsedCollations(ctx context.Context, login func(db string) Login) (res []DatabaseCollations, err error) {
	err = login("template1").with(ctx, "list the collations of databases", func(db *sql.DB) (err error) {
		if res, err = defaultCollations(ctx, db); err != nil {
			return err
		}
		for i := range res {
			if res[i].Database == "template1" { // a connection saved: this is within the outage
				res[i].Used, err = usedCollations(ctx, db)
			}
		}
		return err
	})
	for i := range res {
		d := &res[i]
		if err != nil || !d.Connect || d.Database == "template1" {
			continue
		}
		err = login(d.Database).with(ctx, "list collations in use", func(db *sql.DB) (err error) {
			d.Used, err = usedCollations(ctx, db)
			return err
		})
	}
	return res, err
}

// Columns that came or went between majors are read through to_jsonb:
// datlocprovider, datcollversion and daticulocale came with 15, which 17 renamed
// to datlocale. Before 15 a database's version is not recorded.
func defaultCollations(ctx context.Context, db *sql.DB) (res []DatabaseCollations, err error) {
	major, err := majorOf(ctx, db)
	if err != nil {
		return nil, err
	}
	actual := "null::text"
	if major >= 15 {
		actual = "pg_database_collation_actual_version(d.oid)"
	}
	err = each(ctx, db, `
		select d.datname, d.datallowconn and d.datconnlimit <> -2,
		       coalesce(j->>'datlocprovider', 'c'),
		       coalesce(j->>'datlocale', j->>'daticulocale', d.datcollate),
		       coalesce(j->>'datcollversion', ''), coalesce(`+actual+`, '')
		  from pg_database d, to_jsonb(d) j
		 order by d.datname`,
		func(scan func(...any) error) error {
			d := DatabaseCollations{Default: Collation{OID: DefaultCollation, Deterministic: true}}
			c := &d.Default
			err := scan(&d.Database, &d.Connect, &c.Provider, &c.Locale, &c.Recorded, &c.Actual)
			res = append(res, d)
			return err
		})
	return res, err
}

func majorOf(ctx context.Context, db *sql.DB) (major int, err error) {
	err = db.QueryRowContext(ctx, "select current_setting('server_version_num')::int / 10000").Scan(&major)
	return major, err
}

// usedCollations: the locale of an ICU collation is colliculocale from 15 on,
// colllocale from 17 on, and was collcollate before.
func usedCollations(ctx context.Context, db *sql.DB) (res []Collation, err error) {
	err = each(ctx, db, `
		select c.oid, quote_ident(n.nspname) || '.' || quote_ident(c.collname), c.collprovider::text,
		       coalesce(j->>'colllocale', j->>'colliculocale', j->>'collcollate', ''),
		       c.collisdeterministic, coalesce(c.collversion, ''), coalesce(pg_collation_actual_version(c.oid), '')
		  from pg_collation c join pg_namespace n on n.oid = c.collnamespace, to_jsonb(c) j
		 where c.collprovider <> 'd' and c.collversion is not null
		   and c.collencoding in (-1, pg_char_to_encoding(getdatabaseencoding()))
		   and (c.oid >= 16384 or c.oid in (select refobjid from pg_depend where refclassid = 'pg_collation'::regclass))
		 order by 2`,
		func(scan func(...any) error) error {
			var c Collation
			err := scan(&c.OID, &c.Name, &c.Provider, &c.Locale, &c.Deterministic, &c.Recorded, &c.Actual)
			res = append(res, c)
			return err
		})
	return res, err
}

// RecordCollationVersion writes what version a collation's objects were built
// with into the catalog. pg_upgrade carries that over for collations that users
// made, but those of initdb it leaves as the new major's initdb made them, so
// that indexes in the old order would look right (dumpCollation in pg_dump.c
// never sees them).
func (l Login) RecordCollationVersion(ctx context.Context, oid uint32, version string) error {
	return l.with(ctx, "record a collation's version", func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, "update pg_collation set collversion = $2 where oid = $1", oid, version)
		return err
	})
}

// RefreshCollation makes the library's version the recorded one of a collation,
// by its name as SQL writes it.
func (l Login) RefreshCollation(ctx context.Context, name string) error {
	return l.with(ctx, "refresh the version of collation "+name, func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, RefreshCollationSQL(name))
		return err
	})
}

// RefreshDatabase makes the library's version the recorded one of a database's
// default collation. It needs no connection to that database.
func (l Login) RefreshDatabase(ctx context.Context, name string) error {
	return l.with(ctx, "refresh the collation version of database "+pq.QuoteIdentifier(name), func(db *sql.DB) error {
		_, err := db.ExecContext(ctx, RefreshDatabaseSQL(name))
		return err
	})
}

// RefreshCollationSQL is the command that records a collation's version, for
// messages too.
func RefreshCollationSQL(name string) string { return "ALTER COLLATION " + name + " REFRESH VERSION" }

// RefreshDatabaseSQL is the command that records the version of a database's
// default collation.
func RefreshDatabaseSQL(name string) string {
	return "ALTER DATABASE " + pq.QuoteIdentifier(name) + " REFRESH COLLATION VERSION"
}

// QuoteIdentifier writes a name as SQL does, for messages.
func QuoteIdentifier(name string) string { return pq.QuoteIdentifier(name) }
