package pg

import (
	"context"
	"database/sql"
	"errors"
	"strconv"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Want is the WAL that a standby waits for.
type Want struct {
	At       node.LSN // end of what is on its disk or was replayed; it needs the file that holds this
	Archive  string   // restore_command; empty: it has no other source than the stream
	DataSize int64    // bytes of its default tablespace and its catalogs
}

// wantQuery finds a startup process that has replayed whatever is on the
// server's own disk and waits for a stream
// (src/backend/access/transam/xlogrecovery.c, WaitForWALToBecomeAvailable).
const wantQuery = `
select coalesce((select bool_or(wait_event in ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream', 'RecoveryWalAll'))
                   from pg_stat_activity where backend_type = 'startup'), false)
       and pg_is_in_recovery()
       and not exists (select from pg_stat_wal_receiver where status = 'streaming'),
       coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0'),
       current_setting('restore_command'),
       (select sum(pg_tablespace_size(oid))::bigint from pg_tablespace where spcname in ('pg_default', 'pg_global'))`

// Wants tells which WAL this standby waits for; waits is false where it may
// have some to replay still, or streams.
func (l Login) Wants(ctx context.Context) (w Want, waits bool, err error) {
	err = l.with(ctx, "ask which WAL the standby waits for", func(db *sql.DB) error {
		return db.QueryRowContext(ctx, wantQuery).Scan(&waits, lsnScan{&w.At}, &w.Archive, &w.DataSize)
	})
	return w, waits && w.At != 0, err
}

// HasRemoved reports whether the source, a primary, has written the WAL at a
// position and has no file of it any more, on whatever timeline: who needs it
// can never stream again.
func (s Source) HasRemoved(ctx context.Context, at node.LSN, system uint64) (removed bool, err error) {
	_, err = s.in(ctx, func(ctx context.Context, db *sql.DB) error {
		var theirs uint64
		var standby bool
		var size int64
		var end node.LSN
		err := db.QueryRowContext(ctx, `
			select (select system_identifier from pg_control_system()), pg_is_in_recovery(),
			       (select setting::bigint from pg_settings where name = 'wal_segment_size'),
			       case when pg_is_in_recovery() then '0/0' else pg_current_wal_flush_lsn() end`,
		).Scan(&theirs, &standby, &size, lsnScan{&end})
		switch {
		case err != nil:
			return err
		case standby:
			return errors.New("it is a standby")
		case theirs != system:
			return errors.New("it is another cluster")
		}
		var names []string
		err = each(ctx, db, "select pg_ls_dir('pg_wal', true, false)", func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
		removed = err == nil && isRemoved(names, at, end, uint64(size))
		return err
	})
	return removed, err
}

// isRemoved judges the names in a primary's pg_wal, which has written up to
// end, for whoever needs the segment that holds at.
func isRemoved(names []string, at, end node.LSN, size uint64) bool {
	if size == 0 {
		return false
	}
	needed := uint64(at) / size
	if uint64(end)/size <= needed {
		return false
	}
	later := false
	for _, name := range names {
		n, ok := segmentOf(name, size)
		if ok && n == needed {
			return false
		}
		later = later || ok && n > needed
	}
	return later
}

// segmentOf is the number of the segment that a file in pg_wal holds, a
// .partial one among them: timeline, log and segment, eight digits each.
func segmentOf(name string, size uint64) (n uint64, ok bool) {
	if len(name) < walName {
		return 0, false
	}
	log, err1 := strconv.ParseUint(name[8:16], 16, 32)
	seg, err2 := strconv.ParseUint(name[16:24], 16, 32)
	if _, err := strconv.ParseUint(name[:8], 16, 32); errors.Join(err, err1, err2) != nil {
		return 0, false
	}
	return log*((1<<32)/size) + seg, true
}
