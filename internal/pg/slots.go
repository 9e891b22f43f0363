package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"

	"github.com/pgbaton/pgbaton/internal/node"
)

// ReplicationSlot is a row of pg_replication_slots of one of our physical slots.
type ReplicationSlot struct {
	Name    string
	Active  bool     // a walsender or pg_basebackup uses it
	Restart node.LSN // WAL from here on is kept; 0: none
	Lost    bool     // WAL that it needs is gone (max_slot_wal_keep_size): who uses it has to be cloned again
}

// ErrNoMoreSlots is inside the error of a slot that could not be made because
// max_replication_slots are in use.
var ErrNoMoreSlots = errors.New("the server has no room for another slot")

// Slots lists the physical slots whose names begin with pgbaton_, by name, but
// for temporary ones.
func (l Login) Slots(ctx context.Context) (res []ReplicationSlot, err error) {
	err = l.with(ctx, "list replication slots", func(db *sql.DB) error {
		res, err = slots(ctx, db)
		return err
	})
	return res, err
}

func slots(ctx context.Context, db *sql.DB) (res []ReplicationSlot, err error) {
	err = each(ctx, db, `
		select slot_name, active, coalesce(restart_lsn, '0/0'), coalesce(wal_status = 'lost', false)
		  from pg_replication_slots
		 where slot_type = 'physical' and not temporary and left(slot_name, 8) = '`+slotPrefix+`'
		 order by slot_name`,
		func(scan func(...any) error) error {
			var s ReplicationSlot
			err := scan(&s.Name, &s.Active, lsnScan{&s.Restart}, &s.Lost)
			res = append(res, s)
			return err
		})
	return res, err
}

// EnsureSlots makes the physical slots named, on a primary or a standby, and
// keeps WAL for them from now on. One that is lost and not in use is made
// again. It returns the names of those that it made.
func (l Login) EnsureSlots(ctx context.Context, names []string) (made []string, err error) {
	if err := checkSlots(names); err != nil {
		return nil, err
	}
	err = l.with(ctx, "make replication slots", func(db *sql.DB) error {
		have, err := slots(ctx, db)
		if err != nil {
			return err
		}
		for _, name := range names {
			at := slices.IndexFunc(have, func(s ReplicationSlot) bool { return s.Name == name })
			if at >= 0 && (!have[at].Lost || have[at].Active) {
				continue
			}
			if err := makeSlot(ctx, db, name, at >= 0); err != nil {
				return fmt.Errorf("slot %s: %w", name, err)
			}
			made = append(made, name)
		}
		return nil
	})
	return made, err
}

func makeSlot(ctx context.Context, db *sql.DB, name string, again bool) error {
	if again {
		if err := dropSlot(ctx, db, name); err != nil {
			return err
		}
	}
	_, err := db.ExecContext(ctx, "select pg_create_physical_replication_slot("+pq.QuoteLiteral(name)+", true)")
	if pq.As(err, pqerror.DuplicateObject) != nil {
		return nil // somebody made it at the same moment
	}
	if pq.As(err, pqerror.ConfigurationLimitExceeded) != nil {
		return fmt.Errorf("%w: %w", ErrNoMoreSlots, err)
	}
	return err
}

// DropSlots drops those of our slots that are named and that nobody uses. It
// returns the names of those that it dropped. Slots of others stay.
func (l Login) DropSlots(ctx context.Context, names []string) (dropped []string, err error) {
	if err := checkSlots(names); err != nil || len(names) == 0 {
		return nil, err
	}
	err = l.with(ctx, "drop replication slots", func(db *sql.DB) error {
		have, err := slots(ctx, db)
		if err != nil {
			return err
		}
		for _, s := range have {
			if s.Active || !slices.Contains(names, s.Name) {
				continue
			}
			if err := dropSlot(ctx, db, s.Name); err != nil {
				return fmt.Errorf("slot %s: %w", s.Name, err)
			}
			dropped = append(dropped, s.Name)
		}
		return nil
	})
	return dropped, err
}

func dropSlot(ctx context.Context, db *sql.DB, name string) error {
	_, err := db.ExecContext(ctx, "select pg_drop_replication_slot("+pq.QuoteLiteral(name)+")")
	if pq.As(err, pqerror.ObjectInUse, pqerror.UndefinedObject) != nil {
		return nil // in use again, or gone: both are as well
	}
	return err
}

// AdvanceSlots moves our slots forward, on a standby: to[name] is what the node
// has flushed, as the primary sees it. A slot never moves back, never beyond
// what this server has replayed, and not while it is in use.
func (l Login) AdvanceSlots(ctx context.Context, to map[string]node.LSN) error {
	return l.with(ctx, "advance replication slots", func(db *sql.DB) error {
		have, err := slots(ctx, db)
		if err != nil {
			return err
		}
		for _, s := range have {
			if at := to[s.Name]; at > s.Restart && s.Restart != 0 && !s.Active && !s.Lost {
				if err := advanceSlot(ctx, db, s.Name, at); err != nil {
					return fmt.Errorf("slot %s: %w", s.Name, err)
				}
			}
		}
		return nil
	})
}

// advanceSlot: the bounds are taken where the slot is, and a slot that is
// further by now is an error of the server's that says nothing.
func advanceSlot(ctx context.Context, db *sql.DB, name string, to node.LSN) error {
	_, err := db.ExecContext(ctx, `
		select pg_replication_slot_advance(slot_name, lsn)
		  from pg_replication_slots,
		       least(`+pq.QuoteLiteral(to.String())+`::pg_lsn,
		             case when pg_is_in_recovery() then pg_last_wal_replay_lsn() else pg_current_wal_flush_lsn() end) lsn
		 where slot_name = `+pq.QuoteLiteral(name)+` and not active and restart_lsn < lsn`)
	if pq.As(err, pqerror.ObjectInUse, pqerror.ObjectNotInPrerequisiteState, pqerror.InvalidParameterValue) != nil {
		return nil
	}
	return err
}

func checkSlots(names []string) error {
	for _, name := range names {
		if !strings.HasPrefix(name, slotPrefix) || len(name) > maxName {
			return fmt.Errorf("%q is no name of a slot of ours", name)
		}
	}
	return nil
}
