package pg

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// Inventory is what a running server says about everything that an upgrade has
// to carry over.
type Inventory struct {
	Version       int    // server_version_num: 150012
	VersionText   string // server_version
	Superuser     Superuser
	Recovery      bool              // pg_is_in_recovery()
	Settings      map[string]string // some of pg_settings, by name, in the server's units
	Preload       []Preload         // what is loaded at start and at connect
	Databases     []Database        // all, by name
	Tablespaces   []Tablespace      // but pg_global
	Prepared      []Prepared
	Slots         []Slot // but temporary ones
	Subscriptions []Subscription
}

// Superuser is the role that initdb made.
type Superuser struct {
	Name         string
	Super, Login bool // rolsuper, rolcanlogin: both can have been taken away
}

// Preload is a library of one of the *_preload_libraries settings.
type Preload struct {
	Setting string
	Library string
	Where   string // "" for the server; else the role or database it is set for
}

// Tablespace is one tablespace.
type Tablespace struct {
	OID      uint32
	Name     string
	Location string // absolute; relative for one in place; empty for pg_default
	Bytes    int64  // only where sizes were asked for
}

// Prepared is a prepared transaction.
type Prepared struct{ GID, Database, Owner string }

// Slot is a replication slot.
type Slot struct {
	Name, Plugin, Database string
	Logical, Active        bool
	Invalid                bool // its WAL is gone, or it was invalidated
}

// Subscription is one subscription.
type Subscription struct {
	Name, Database string
	Enabled        bool
}

// inventorySettings are read from pg_settings where they exist.
var inventorySettings = []string{
	"data_checksums", "wal_segment_size", "wal_level", "max_wal_size", "block_size", "max_locks_per_transaction",
	"max_connections", "max_prepared_transactions", "max_replication_slots", "shared_buffers", "dynamic_library_path",
	"unix_socket_directories", "config_file", "archive_library", "archive_mode", "max_slot_wal_keep_size", "lc_messages",
}

// preloadSettings are lists of libraries.
var preloadSettings = []string{"shared_preload_libraries", "session_preload_libraries", "local_preload_libraries"}

// ReadInventory asks a server, in each of its databases. login gives the way
// into a database as the bootstrap superuser; sizes asks for the size of all
// data too, which reads every file's. A database that cannot be entered is in
// the result with the reason; any other failure is an error.
func ReadInventory(ctx context.Context, login func(db string) Login, sizes bool) (inv Inventory, err error) {
	err = login("template1").with(ctx, "look at the cluster", func(db *sql.DB) error {
		inv = Inventory{Settings: map[string]string{}}
		return inv.readCluster(ctx, db, sizes)
	})
	if err != nil {
		return inv, err
	}
	for i := range inv.Databases {
		d := &inv.Databases[i]
		if !d.Connect || d.Invalid {
			continue
		}
		if err := d.read(ctx, login(d.Name)); err != nil {
			if ctx.Err() != nil {
				return inv, err
			}
			d.Unreached = err.Error()
		}
	}
	return inv, nil
}

func (inv *Inventory) readCluster(ctx context.Context, db *sql.DB, sizes bool) error {
	row := db.QueryRowContext(ctx, `
		select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
		       rolname, rolsuper, rolcanlogin
		  from pg_roles where oid = 10`)
	if err := row.Scan(&inv.Version, &inv.VersionText, &inv.Recovery,
		&inv.Superuser.Name, &inv.Superuser.Super, &inv.Superuser.Login); err != nil {
		return fmt.Errorf("read version and superuser: %w", err)
	}
	for _, part := range []struct {
		what string
		read func(context.Context, *sql.DB) error
	}{
		{"settings", inv.readSettings},
		{"libraries to preload", inv.readPreload},
		{"databases", inv.readDatabases},
		{"tablespaces", func(ctx context.Context, db *sql.DB) error { return inv.readTablespaces(ctx, db, sizes) }},
		{"prepared transactions", inv.readPrepared},
		{"replication slots", inv.readSlots},
		{"subscriptions", inv.readSubscriptions},
	} {
		if err := part.read(ctx, db); err != nil {
			return fmt.Errorf("read %s: %w", part.what, err)
		}
	}
	return nil
}

func (inv *Inventory) readSettings(ctx context.Context, db *sql.DB) error {
	names := append(append([]string{}, inventorySettings...), preloadSettings...)
	return each(ctx, db, "select name, setting from pg_settings where name in ('"+strings.Join(names, "','")+"')",
		func(scan func(...any) error) error {
			var name, value string
			err := scan(&name, &value)
			inv.Settings[name] = value
			return err
		})
}

// Int is a setting as a number, in the server's unit for it; 0 where there is none.
func (inv *Inventory) Int(setting string) int64 {
	n, _ := strconv.ParseInt(inv.Settings[setting], 10, 64)
	return n
}

func (inv *Inventory) readPreload(ctx context.Context, db *sql.DB) error {
	add := func(setting, value, where string) {
		for _, lib := range splitList(value) {
			inv.Preload = append(inv.Preload, Preload{Setting: setting, Library: lib, Where: where})
		}
	}
	for _, name := range preloadSettings {
		add(name, inv.Settings[name], "")
	}
	// A setting of a role or database holds name=value.
	return each(ctx, db, `
		select s.set, concat_ws(' in ', 'role ' || quote_ident(r.rolname), 'database ' || quote_ident(d.datname))
		  from (select setdatabase, setrole, unnest(setconfig) from pg_db_role_setting) s(db, role, set)
		  left join pg_roles r on r.oid = s.role
		  left join pg_database d on d.oid = s.db
		 where s.set ~ '^(session|local)_preload_libraries='
		 order by 2, 1`,
		func(scan func(...any) error) error {
			var set, where string
			err := scan(&set, &where)
			name, value, _ := strings.Cut(set, "=")
			add(name, value, where)
			return err
		})
}

// splitList reads a list of names as SplitDirectoriesString of varlena.c does:
// quotes are taken off, letters keep their case.
func splitList(value string) (res []string) {
	var item strings.Builder
	quoted := false
	end := func() {
		if s := strings.TrimSpace(item.String()); s != "" {
			res = append(res, s)
		}
		item.Reset()
	}
	for _, r := range value {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ',' && !quoted:
			end()
		default:
			item.WriteRune(r)
		}
	}
	end()
	return res
}

func (inv *Inventory) readTablespaces(ctx context.Context, db *sql.DB, sizes bool) error {
	size := "0::bigint"
	if sizes {
		// It looks at each file, of which there may be millions.
		if _, err := db.ExecContext(ctx, "set statement_timeout = '30min'"); err != nil {
			return err
		}
		size = "coalesce(pg_tablespace_size(oid), 0)"
	}
	return each(ctx, db, "select oid, spcname, coalesce(pg_tablespace_location(oid), ''), "+size+
		" from pg_tablespace where spcname <> 'pg_global' order by spcname",
		func(scan func(...any) error) error {
			var t Tablespace
			err := scan(&t.OID, &t.Name, &t.Location, &t.Bytes)
			inv.Tablespaces = append(inv.Tablespaces, t)
			return err
		})
}

func (inv *Inventory) readPrepared(ctx context.Context, db *sql.DB) error {
	return each(ctx, db, "select gid, database, owner from pg_prepared_xacts order by prepared",
		func(scan func(...any) error) error {
			var p Prepared
			err := scan(&p.GID, &p.Database, &p.Owner)
			inv.Prepared = append(inv.Prepared, p)
			return err
		})
}

// readSlots: a slot is of no use when its WAL is gone (wal_status lost) or, on
// a standby, when it conflicted with recovery; 17 names the reason.
func (inv *Inventory) readSlots(ctx context.Context, db *sql.DB) error {
	invalid := "coalesce(wal_status, '') = 'lost'"
	if inv.Version >= 170000 {
		invalid = "invalidation_reason is not null"
	}
	return each(ctx, db, "select slot_name, coalesce(plugin, ''), coalesce(database, ''), slot_type = 'logical', active, "+
		invalid+" from pg_replication_slots where not temporary order by slot_name",
		func(scan func(...any) error) error {
			var s Slot
			err := scan(&s.Name, &s.Plugin, &s.Database, &s.Logical, &s.Active, &s.Invalid)
			inv.Slots = append(inv.Slots, s)
			return err
		})
}

func (inv *Inventory) readSubscriptions(ctx context.Context, db *sql.DB) error {
	return each(ctx, db, `
		select s.subname, d.datname, s.subenabled
		  from pg_subscription s join pg_database d on d.oid = s.subdbid order by d.datname, s.subname`,
		func(scan func(...any) error) error {
			var s Subscription
			err := scan(&s.Name, &s.Database, &s.Enabled)
			inv.Subscriptions = append(inv.Subscriptions, s)
			return err
		})
}

// NotOpen reports whether the server is there and the database takes no
// connections (SQLSTATE 55000).
func NotOpen(err error) bool { return pq.As(err, pqerror.ObjectNotInPrerequisiteState) != nil }
