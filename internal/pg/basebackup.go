package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// ClusterCopy says how the cluster of a running server is copied.
type ClusterCopy struct {
	Data   string     // of the running server, absolute
	Target string     // the copy; an empty directory of User's, absolute
	Spaces string     // directory for the copies of tablespaces, by oid; empty, User's, absolute
	Skip   []string   // entries at the top of Data that are no part of the cluster
	User   *proc.User // the server's user: reads and writes as this; nil is this process's
	// Copied is told bytes copied and bytes in all, about; called by the thread
	// that copies, so it must be quick and must not open files.
	Copied func(done, total int64)
}

// CopyCluster makes a base backup of the running server, which must not be a
// standby: pg_backup_start, a copy of all files, pg_backup_stop, and the WAL in
// between (https://www.postgresql.org/docs/current/continuous-archiving.html#BACKUP-LOWLEVEL-BASE-BACKUP).
// A server that is started on the copy recovers to the moment of the end.
//
// This and not pg_basebackup, because that needs a rule for replication in
// pg_hba.conf and a free walsender, sends what else lies in a data directory
// that is a volume (the copy itself, without an end), and cannot clone files.
//
// Nothing of the copy leads to the cluster: each tablespace is copied too, and
// a link to a directory among the server's own files is an error. A temporary
// slot keeps the WAL, and nobody can make or drop a tablespace meanwhile: replay
// would do so in the real directory. Replication slots and the content of
// unlogged tables are not in the copy. Nothing is synced to disk. What Target
// and Spaces hold after an error is worthless.
func (l Login) CopyCluster(ctx context.Context, c ClusterCopy) error {
	return l.with(ctx, "copy the cluster", func(db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		// The end of the session drops the slot, and ends a backup that was not.
		defer tx.Rollback() //nolint:errcheck // nothing is changed by it
		b := backup{tx: tx}
		if err := b.begin(ctx); err != nil {
			return err
		}
		if err := c.copyFiles(ctx, b.major, b.spaces); err != nil {
			return err
		}
		if err := b.end(ctx); err != nil {
			return err
		}
		return c.complete(ctx, b)
	})
}

// backup is one base backup, in one transaction.
type backup struct {
	tx          *sql.Tx
	major       int
	spaces      map[string]string // location by oid
	label       string            // backup_label
	first, last string            // WAL files, by name
}

// backupSlot is a temporary slot: it ends with the session.
const backupSlot = `select pg_create_physical_replication_slot('pgbaton_copy_' || pg_backend_pid(), true, true)`

func (b *backup) begin(ctx context.Context) error {
	var version int
	if err := b.tx.QueryRowContext(ctx, "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		return err
	}
	b.major = version / 10000
	set := "set local statement_timeout = 0; set local idle_in_transaction_session_timeout = 0"
	if b.major >= 17 {
		set += "; set local transaction_timeout = 0"
	}
	start := "select pg_backup_start('pgbaton', true)"
	if b.major < 15 {
		start = "select pg_start_backup('pgbaton', true, false)"
	}
	for _, q := range []string{set, "lock table pg_catalog.pg_tablespace in share mode", backupSlot, start} {
		if _, err := b.tx.ExecContext(ctx, q); err != nil {
			return fmt.Errorf("begin a base backup: %w", err)
		}
	}
	b.spaces = map[string]string{}
	rows, err := b.tx.QueryContext(ctx, "select oid::text, pg_tablespace_location(oid) from pg_tablespace where spcname not in ('pg_default', 'pg_global')")
	if err != nil {
		return err
	}
	return scanAll(rows, func(scan func(...any) error) error {
		var oid, location string
		err := scan(&oid, &location)
		if err == nil && !filepath.IsAbs(location) {
			err = fmt.Errorf("the tablespace with oid %s lies inside the data directory (%q); only others can be copied", oid, location)
		}
		b.spaces[oid] = location
		return err
	})
}

func (b *backup) end(ctx context.Context) error {
	stop := "pg_backup_stop(false)"
	if b.major < 15 {
		stop = "pg_stop_backup(false, false)"
	}
	row := b.tx.QueryRowContext(ctx, "select labelfile, pg_walfile_name(lsn) from "+stop)
	if err := row.Scan(&b.label, &b.last); err != nil {
		return fmt.Errorf("end a base backup: %w", err)
	}
	// START WAL LOCATION: 0/2000028 (file 000000010000000000000002)
	_, rest, _ := strings.Cut(b.label, "(file ")
	b.first, _, _ = strings.Cut(rest, ")")
	if len(b.first) != walName || len(b.last) != walName {
		return errors.New("the server's backup label does not name its first WAL file: " + b.label)
	}
	return nil
}

// complete adds what makes the copy a whole backup.
func (c ClusterCopy) complete(ctx context.Context, b backup) error {
	return asUser(c.User, func() error {
		if err := c.copyWAL(ctx, b.first, b.last); err != nil {
			return err
		}
		return writeNew(filepath.Join(c.Target, "backup_label"), []byte(b.label))
	})
}
