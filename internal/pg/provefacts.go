package pg

import (
	"context"
	"database/sql"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
)

// syncFacts is what ProveSync looks at.
type syncFacts struct {
	names, source string // synchronous_standby_names, and where it is from
	senders       []walSender
}

// walSender is a row of pg_stat_replication.
type walSender struct {
	node.Sender
	logical bool // it decodes: what it has received is no copy of the data
}

// is compares as SyncRepGetStandbyPriority does.
func (w walSender) is(heir string) bool { return strings.EqualFold(w.Node, heir) }

// matches reports whether a value of synchronous_standby_names may name a
// standby; doubt says yes.
func matches(names, standby string) bool {
	return strings.Contains(names, "*") || standby != "" && strings.Contains(strings.ToLower(names), strings.ToLower(standby))
}

func (f syncFacts) streams(heir string) bool {
	for _, w := range f.senders {
		if w.is(heir) && w.State == "streaming" && w.Flush != 0 && !w.logical {
			return true
		}
	}
	return false
}

// ahead reports whether the heir is no copy of this primary (node.Sender).
func (f syncFacts) ahead(heir string) bool {
	for _, w := range f.senders {
		if w.is(heir) && w.Ahead {
			return true
		}
	}
	return false
}

func (f syncFacts) flushed(heir string) (at node.LSN) {
	for _, w := range f.senders {
		if w.is(heir) {
			at = w.Flush
		}
	}
	return at
}

func (s *session) syncFacts(ctx context.Context) (f syncFacts, err error) {
	err = s.do(ctx, func(ctx context.Context, db *sql.DB) error {
		f = syncFacts{}
		err := db.QueryRowContext(ctx, "select setting, source from pg_show_all_settings() where name = '"+SyncNames+"'").Scan(&f.names, &f.source)
		if err != nil {
			return err
		}
		return each(ctx, db, `
			select coalesce(a.application_name, ''), coalesce(r.state, ''), coalesce(r.sync_state, ''), coalesce(r.sync_priority, 0),
			       coalesce(r.flush_lsn, '0/0'), coalesce(r.flush_lsn > pg_current_wal_flush_lsn(), false),
			       exists (select from pg_get_replication_slots() s where s.active_pid = r.pid and s.slot_type = 'logical')
			  from pg_stat_get_wal_senders() r left join lateral pg_stat_get_activity(r.pid) a on true
			 where a.application_name is distinct from '`+keptName+`'`,
			func(scan func(...any) error) error {
				var w walSender
				err := scan(&w.Node, &w.State, &w.SyncState, &w.Priority, lsnScan{&w.Flush}, &w.Ahead, &w.logical)
				f.senders = append(f.senders, w)
				return err
			})
	})
	return f, err
}

// setSync sets synchronous_standby_names.
func (s *session) setSync(ctx context.Context, value string) error {
	return s.do(ctx, func(ctx context.Context, db *sql.DB) error {
		return setAuto(ctx, db, map[string]string{SyncNames: value})
	})
}
