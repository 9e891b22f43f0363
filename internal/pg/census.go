package pg

import (
	"context"
	"database/sql"
	"strconv"
)

// Census is what a running cluster holds, as counts and names.
type Census struct {
	Major       int               `json:"major"`
	System      string            `json:"system"`                // system identifier: every initdb makes another
	Roles       []string          `json:"roles"`                 // those of users, and the one that initdb made
	Tablespaces map[string]string `json:"tablespaces,omitempty"` // name → directory
	Databases   []DatabaseCensus  `json:"databases"`             // by name
}

// DatabaseCensus is one database of a Census. Counts leave out what initdb made
// and temporary relations.
type DatabaseCensus struct {
	Name       string `json:"name"`
	Owner      string `json:"owner"`
	Encoding   string `json:"encoding"`
	Collate    string `json:"collate"`
	Ctype      string `json:"ctype"`
	Provider   string `json:"provider"`         // c, i or b
	Locale     string `json:"locale,omitempty"` // where the provider is not libc
	Connect    bool   `json:"connect"`          // it lets us in; what follows is known only then
	ConnLimit  int    `json:"conn_limit"`       // -1: none
	Tablespace string `json:"tablespace"`
	Bytes      int64  `json:"bytes"` // all files, the catalogs' too: some 10 MB in an empty one

	Extensions map[string]string `json:"extensions,omitempty"` // name → version
	Objects    map[string]int64  `json:"objects,omitempty"`    // tables, indexes, … → how many
	Rows       float64           `json:"rows"`                 // the planner's estimate; 0 after an upgrade to a major before 18
	Collations []Collation       `json:"collations,omitempty"` // in use, with their recorded versions
}

// TakeCensus counts what a running cluster holds, with one connection to each
// database that lets us in. A relation that somebody
// holds an exclusive lock on makes it wait.
func TakeCensus(ctx context.Context, login func(db string) Login) (c Census, err error) {
	err = login("template1").with(ctx, "count what the cluster holds", func(db *sql.DB) error {
		if err := c.readCluster(ctx, db); err != nil {
			return err
		}
		for i := range c.Databases {
			if d := &c.Databases[i]; d.Name == "template1" {
				return d.read(ctx, db)
			}
		}
		return nil
	})
	for i := range c.Databases {
		d := &c.Databases[i]
		if err != nil || !d.Connect || d.Name == "template1" {
			continue
		}
		err = login(d.Name).with(ctx, "count what the database holds", func(db *sql.DB) error {
			return d.read(ctx, db)
		})
	}
	return c, err
}

func (c *Census) readCluster(ctx context.Context, db *sql.DB) (err error) {
	if c.Major, err = majorOf(ctx, db); err != nil {
		return err
	}
	if c.System, err = systemOf(ctx, db); err != nil {
		return err
	}
	err = each(ctx, db, "select rolname from pg_roles where oid >= 16384 or oid = 10 order by 1",
		func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			c.Roles = append(c.Roles, name)
			return err
		})
	if err != nil {
		return err
	}
	c.Tablespaces = map[string]string{}
	err = each(ctx, db, "select spcname, pg_tablespace_location(oid) from pg_tablespace where oid >= 16384",
		func(scan func(...any) error) error {
			var name, dir string
			err := scan(&name, &dir)
			c.Tablespaces[name] = dir
			return err
		})
	if err != nil {
		return err
	}
	return each(ctx, db, `
		select d.datname, pg_get_userbyid(d.datdba), pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
		       coalesce(j->>'datlocprovider', 'c'), coalesce(j->>'datlocale', j->>'daticulocale', ''),
		       d.datallowconn and d.datconnlimit <> -2, d.datconnlimit, t.spcname,
		       pg_database_size(d.oid)
		  from pg_database d join pg_tablespace t on t.oid = d.dattablespace, to_jsonb(d) j
		 order by 1`,
		func(scan func(...any) error) error {
			var d DatabaseCensus
			err := scan(&d.Name, &d.Owner, &d.Encoding, &d.Collate, &d.Ctype, &d.Provider, &d.Locale,
				&d.Connect, &d.ConnLimit, &d.Tablespace, &d.Bytes)
			c.Databases = append(c.Databases, d)
			return err
		})
}

// censusQuery: TOAST tables and their indexes are left out, since a major may do
// without one that another made. 16384 is FirstNormalObjectId.
const censusQuery = `
select k, count(*), coalesce(sum(greatest(c.reltuples, 0)) filter (where c.relkind in ('r', 'm')), 0)
  from pg_class c, lateral (values (case c.relkind
	when 'r' then 'tables' when 'p' then 'partitioned tables' when 'i' then 'indexes' when 'I' then 'partitioned indexes'
	when 'S' then 'sequences' when 'v' then 'views' when 'm' then 'materialized views' when 'c' then 'composite types'
	when 'f' then 'foreign tables' end)) v(k)
 where c.oid >= 16384 and c.relpersistence <> 't' and c.relnamespace <> 'pg_toast'::regnamespace and k is not null
 group by k
union all select 'functions', count(*), 0 from pg_proc where oid >= 16384
union all select 'schemas', count(*), 0 from pg_namespace
           where oid >= 16384 and nspname !~ '^pg_(toast_)?temp_'
union all select 'triggers', count(*), 0 from pg_trigger where not tgisinternal and tgparentid = 0
union all select 'constraints', count(*), 0 from pg_constraint where oid >= 16384 and contype <> 'n' and conparentid = 0
union all select 'large objects', count(*), 0 from pg_largeobject_metadata`

func (d *DatabaseCensus) read(ctx context.Context, db *sql.DB) error {
	d.Extensions, d.Objects = map[string]string{}, map[string]int64{}
	err := each(ctx, db, "select extname, extversion from pg_extension", func(scan func(...any) error) error {
		var name, version string
		err := scan(&name, &version)
		d.Extensions[name] = version
		return err
	})
	if err != nil {
		return err
	}
	err = each(ctx, db, censusQuery, func(scan func(...any) error) error {
		var kind string
		var n int64
		var rows float64
		err := scan(&kind, &n, &rows)
		if n > 0 {
			d.Objects[kind] = n
		}
		d.Rows += rows
		return err
	})
	if err != nil {
		return err
	}
	d.Collations, err = usedCollations(ctx, db)
	return err
}

func systemOf(ctx context.Context, db *sql.DB) (string, error) {
	var id int64
	err := db.QueryRowContext(ctx, "select system_identifier from pg_control_system()").Scan(&id)
	return strconv.FormatUint(uint64(id), 10), err
}

// SystemIdentifier asks the running cluster for its system identifier.
func (l Login) SystemIdentifier(ctx context.Context) (id string, err error) {
	err = l.with(ctx, "ask for the system identifier", func(db *sql.DB) error {
		id, err = systemOf(ctx, db)
		return err
	})
	return id, err
}
