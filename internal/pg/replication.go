package pg

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// Replication is what a server says about its place in replication.
type Replication struct {
	Role     node.Role
	Timeline uint32 // that a primary writes and that a standby receives; 0: it receives none, and pg_control tells
	Version  int    // server_version_num

	Written  node.LSN // of a primary: end of the WAL that it wrote
	Flushed  node.LSN // of a primary: end of what is on its disk
	Received node.LSN // of a standby: end of the WAL that is on its disk or was replayed
	Replayed node.LSN // of a standby

	// ReplayLag, of a standby: the age of the last commit that it replayed, 0
	// where it has replayed all and streams, nil where there was none yet. The
	// commit's time is by the primary's clock.
	ReplayLag *time.Duration

	Paused bool       // of a standby: its replay is paused, or about to be
	Delay  string     // of a standby: recovery_min_apply_delay; empty: none
	Has    node.Needs // in effect

	Senders  []node.Sender // walsenders, of whatever kind
	Receiver *Receiver     // of a standby that has a walreceiver

	Waiting int       // sessions whose commit waits for a standby
	Oldest  time.Time // when the oldest transaction of theirs began, by the server's clock; zero: none waits

	SyncNames string    // synchronous_standby_names as this session sees it
	Commit    string    // synchronous_commit that our role's sessions get by default
	Started   time.Time // of the postmaster, by the server's clock
}

// Receiver is the row of pg_stat_wal_receiver.
type Receiver struct {
	Status string        // streaming, waiting, …
	Host   string        // of the server that sends
	Port   int           //
	Slot   string        //
	Age    time.Duration // since its last message; -1: none yet
}

// replicationQuery is one row, of functions alone: views and catalogues need
// locks that a user may hold, and pg_control's one that is held while the disk
// hangs. A promotion may happen while it runs: the branches for a standby do no
// harm on a primary, but for the pause of replay, which is an error there, and the
// next question is answered; those for a primary are reached only where recovery
// had ended before. What walsenders have been told is read before the position
// that it is compared with, and nothing is sent before it is flushed, so a copy is
// never ahead.
const replicationQuery = `
select r.standby,
       case when r.standby then coalesce((select received_tli from w), 0) else ` + writtenTimeline + ` end,
       case when r.standby then '0/0' else pg_current_wal_lsn() end,
       case when r.standby then '0/0' else pg_current_wal_flush_lsn() end,
       case when r.standby then coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0') else '0/0' end,
       case when r.standby then coalesce(pg_last_wal_replay_lsn(), '0/0') else '0/0' end,
       (select coalesce(json_agg(json_build_object(
               'node', coalesce(a.application_name, ''), 'state', coalesce(s.state, ''), 'sync_state', coalesce(s.sync_state, ''),
               'sync_priority', coalesce(s.sync_priority, 0),
               'ahead', case when r.standby then false else coalesce(s.flush_lsn > pg_current_wal_flush_lsn(), false) end,
               'flush_lsn', coalesce(s.flush_lsn, '0/0')::text, 'replay_lsn', coalesce(s.replay_lsn, '0/0')::text,
               'replay_lag', case when r.standby then (extract(epoch from s.replay_lag) * 1e9)::bigint
                                  when s.replay_lsn >= pg_current_wal_lsn() then 0
                                  else (extract(epoch from s.replay_lag) * 1e9)::bigint end)), '[]')
          from pg_stat_get_wal_senders() s left join lateral pg_stat_get_activity(s.pid) a on true
         where a.application_name is distinct from '` + keptName + `'),
       case when not r.standby then null
            when pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() and exists (select from w where status = 'streaming') then 0
            else (greatest(extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()), 0) * 1e9)::bigint end,
       (select json_build_object('Status', status, 'Host', sender_host, 'Port', sender_port, 'Slot', slot_name,
               'Age', (coalesce(extract(epoch from clock_timestamp() - last_msg_receipt_time), -1e-9) * 1e9)::bigint)
          from w),
       current_setting('synchronous_standby_names'), current_setting('synchronous_commit'),
       pg_postmaster_start_time(), s.waiting, s.oldest,
       case when r.standby then pg_is_wal_replay_paused() else false end,
       case when r.standby and current_setting('recovery_min_apply_delay') <> '0' then current_setting('recovery_min_apply_delay') else '' end,
       current_setting('max_connections')::bigint, current_setting('max_worker_processes')::bigint, current_setting('max_wal_senders')::bigint,
       current_setting('max_prepared_transactions')::bigint, current_setting('max_locks_per_transaction')::bigint,
       current_setting('server_version_num')::int
  from (select pg_is_in_recovery() as standby) r,
       (select count(*) as waiting, min(xact_start) as oldest from pg_stat_get_activity(null)
         where wait_event = 'SyncRep' and coalesce(application_name, '') not in ('pgbaton', '` + keptName + `')) s`

// withReceiver is evaluated once for its two uses.
const withReceiver = `with w as materialized (select * from pg_stat_get_wal_receiver() where status is not null)`

// Replication asks once, over a connection of its own; see Door for often.
func (l Login) Replication(ctx context.Context) (r Replication, err error) {
	err = l.with(ctx, "ask about replication", func(db *sql.DB) error {
		r, err = askReplication(ctx, db)
		return err
	})
	return r, err
}

func askReplication(ctx context.Context, db *sql.DB) (r Replication, err error) {
	var standby bool
	var senders []byte
	var lag sql.Null[int64]
	var receiver sql.Null[[]byte]
	var oldest sql.Null[time.Time]
	row := db.QueryRowContext(ctx, withReceiver+replicationQuery)
	err = row.Scan(&standby, &r.Timeline, lsnScan{&r.Written}, lsnScan{&r.Flushed}, lsnScan{&r.Received}, lsnScan{&r.Replayed},
		&senders, &lag, &receiver, &r.SyncNames, &r.Commit, &r.Started, &r.Waiting, &oldest, &r.Paused, &r.Delay,
		&r.Has.Connections, &r.Has.Workers, &r.Has.Senders, &r.Has.Prepared, &r.Has.Locks, &r.Version)
	if err != nil {
		return Replication{}, err
	}
	r.Oldest = oldest.V
	r.Role = node.Primary
	if standby {
		r.Role = node.Standby
	}
	if lag.Valid {
		d := time.Duration(lag.V)
		r.ReplayLag = &d
	}
	if err := json.Unmarshal(senders, &r.Senders); err != nil {
		return Replication{}, fmt.Errorf("read pg_stat_replication: %w", err)
	}
	if receiver.Valid {
		r.Receiver = &Receiver{}
		if err := json.Unmarshal(receiver.V, r.Receiver); err != nil {
			return Replication{}, fmt.Errorf("read pg_stat_wal_receiver: %w", err)
		}
	}
	return r, nil
}

// lsnScan takes pg_lsn from a row.
type lsnScan struct{ to *node.LSN }

func (l lsnScan) Scan(v any) (err error) {
	switch v := v.(type) {
	case []byte:
		return l.to.UnmarshalText(v)
	case string:
		return l.to.UnmarshalText([]byte(v))
	}
	return fmt.Errorf("%v is no LSN", v)
}
