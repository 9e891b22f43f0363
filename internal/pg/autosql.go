package pg

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"os"
	"slices"
	"syscall"

	"github.com/lib/pq"
)

// SetAuto sets parameters in postgresql.auto.conf of the running server, a
// primary or a standby, by ALTER SYSTEM and a reload, which it does not wait
// for. Where allow_alter_system (17 and later) is off it edits the file, which
// nobody else does then. It waits for no standby. The values in the file are
// durable when it returns. Each parameter is a command of its own: after an
// error some may be set, and nothing was reloaded.
func (l Login) SetAuto(ctx context.Context, set map[string]string) error {
	if err := checkAuto(set); err != nil {
		return fmt.Errorf("change settings: %w", err)
	}
	return l.firmly(ctx, "change settings", func(ctx context.Context, db *sql.DB) error { return setAuto(ctx, db, set) })
}

func setAuto(ctx context.Context, db *sql.DB, set map[string]string) error {
	var allowed sql.NullString
	if err := db.QueryRowContext(ctx, "select current_setting('allow_alter_system', true)").Scan(&allowed); err != nil {
		return err
	}
	change := alterSystem
	if allowed.String == "off" {
		change = editAuto
	}
	if err := change(ctx, db, set); err != nil {
		return err
	}
	_, err := db.ExecContext(ctx, "select pg_reload_conf()")
	return err
}

func alterSystem(ctx context.Context, db *sql.DB, set map[string]string) error {
	for _, name := range slices.Sorted(maps.Keys(set)) {
		if _, err := db.ExecContext(ctx, "alter system set "+name+" = "+pq.QuoteLiteral(set[name])); err != nil {
			return fmt.Errorf("set %s: %w", name, err)
		}
	}
	return nil
}

func editAuto(ctx context.Context, db *sql.DB, set map[string]string) error {
	var dir string
	if err := db.QueryRowContext(ctx, "select current_setting('data_directory')").Scan(&dir); err != nil {
		return err
	}
	uid, gid := -1, -1
	if info, err := os.Stat(dir); err == nil && os.Geteuid() == 0 {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	}
	return WriteAuto(dir, set, uid, gid)
}
