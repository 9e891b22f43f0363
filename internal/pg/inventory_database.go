package pg

import (
	"context"
	"database/sql"
	"fmt"
)

// Database is one database and what an upgrade has to know of its content.
type Database struct {
	OID            uint32
	Name           string
	Connect        bool   // datallowconn
	Invalid        bool   // an interrupted DROP DATABASE left it (datconnlimit -2)
	Encoding       string // UTF8
	Collate, CType string // datcollate, datctype
	Provider       string // c libc, i ICU, b builtin
	Locale         string // of ICU or builtin
	Rules          string // daticurules
	Tablespace     uint32 // dattablespace

	// What can be seen from inside only.

	Unreached     string // why it could not be entered; empty where it was
	Extensions    []InstalledExtension
	Libraries     []Library // of functions in C
	EventTriggers []string  // that are enabled
	ICUCollations []string  // that a user made
	CatalogBytes  int64     // that pg_upgrade makes anew
	Relations     int64     // of users, with files of their own
	Files         int64     // of these, about
}

// InstalledExtension is one extension of a database.
type InstalledExtension struct{ Name, Version string }

// Library is a file of functions in C.
type Library struct {
	Name      string // probin: $libdir/hstore
	Extension string // that the functions belong to, or empty
}

func (inv *Inventory) readDatabases(ctx context.Context, db *sql.DB) error {
	provider, locale, rules := "'c'", "null", "null"
	switch {
	case inv.Version >= 170000:
		provider, locale, rules = "datlocprovider", "datlocale", "daticurules"
	case inv.Version >= 160000:
		provider, locale, rules = "datlocprovider", "daticulocale", "daticurules"
	case inv.Version >= 150000:
		provider, locale = "datlocprovider", "daticulocale"
	}
	return each(ctx, db, fmt.Sprintf(`
		select oid, datname, datallowconn, datconnlimit = -2, pg_encoding_to_char(encoding), datcollate, datctype,
		       %s, coalesce(%s, ''), coalesce(%s, ''), dattablespace
		  from pg_database order by datname`, provider, locale, rules),
		func(scan func(...any) error) error {
			var d Database
			err := scan(&d.OID, &d.Name, &d.Connect, &d.Invalid, &d.Encoding, &d.Collate, &d.CType,
				&d.Provider, &d.Locale, &d.Rules, &d.Tablespace)
			inv.Databases = append(inv.Databases, d)
			return err
		})
}

// What is below oid 16384 (FirstNormalObjectId) was made by initdb. Large
// objects' content (2613) is taken over as a file, so it is no new catalog. A
// relation has a file per fork, and one more per gigabyte.
const databaseQuery = `
select (select coalesce(sum(pg_total_relation_size(oid)), 0) from pg_class
         where oid < 16384 and relkind = 'r' and not relisshared and oid <> 2613),
       (select count(*) from pg_class where oid >= 16384 and relkind in ('r', 'i', 'S', 't', 'm')),
       (select coalesce(sum(1 + case when relkind in ('r', 't', 'm') then 2 else 0 end + relpages / 131072), 0)
          from pg_class where oid >= 16384 and relkind in ('r', 'i', 'S', 't', 'm'))`

// libraryQuery asks for what pg_upgrade's get_loadable_libraries asks for, and
// which extension a function belongs to.
const libraryQuery = `
select distinct p.probin, coalesce(e.extname::text, '')
  from pg_proc p
  left join pg_depend d on d.classid = 'pg_proc'::regclass and d.objid = p.oid
                       and d.refclassid = 'pg_extension'::regclass and d.deptype = 'e'
  left join pg_extension e on e.oid = d.refobjid
 where p.prolang = 13 and p.probin is not null and p.oid >= 16384
 order by 1, 2`

func (d *Database) read(ctx context.Context, l Login) error {
	return l.with(ctx, "look into the database", func(db *sql.DB) error {
		row := db.QueryRowContext(ctx, databaseQuery)
		if err := row.Scan(&d.CatalogBytes, &d.Relations, &d.Files); err != nil {
			return err
		}
		if err := each(ctx, db, "select extname, extversion from pg_extension order by extname",
			func(scan func(...any) error) error {
				var e InstalledExtension
				err := scan(&e.Name, &e.Version)
				d.Extensions = append(d.Extensions, e)
				return err
			}); err != nil {
			return err
		}
		if err := each(ctx, db, libraryQuery, func(scan func(...any) error) error {
			var l Library
			err := scan(&l.Name, &l.Extension)
			d.Libraries = append(d.Libraries, l)
			return err
		}); err != nil {
			return err
		}
		if err := d.names(ctx, db, &d.EventTriggers,
			"select quote_ident(evtname) from pg_event_trigger where evtenabled <> 'D' order by 1"); err != nil {
			return err
		}
		return d.names(ctx, db, &d.ICUCollations, `
			select quote_ident(n.nspname) || '.' || quote_ident(c.collname)
			  from pg_collation c join pg_namespace n on n.oid = c.collnamespace
			 where c.collprovider = 'i' and c.oid >= 16384 order by 1`)
	})
}

func (*Database) names(ctx context.Context, db *sql.DB, to *[]string, query string) error {
	return each(ctx, db, query, func(scan func(...any) error) error {
		var name string
		err := scan(&name)
		*to = append(*to, name)
		return err
	})
}
