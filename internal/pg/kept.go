package pg

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"
)

// keptName is the application_name of a door's kept sessions. Whatever else has
// it is one that was given up, of this process or of one before it.
const keptName = "pgbaton kept"

const (
	// tendEvery is how often it is looked whether a kept session is in anybody's way.
	tendEvery = 500 * time.Millisecond
	// handEvery is how often the hand's session is made sure of.
	handEvery = 10 * time.Second
	// awayFor is for how long a kept session stays away from a database that
	// somebody wants for himself; CREATE and DROP DATABASE wait 5 s for others to
	// leave (CountOtherDBBackends in procarray.c).
	awayFor = 15 * time.Second
)

// A door keeps two sessions, so that there is a way in where every connection is
// taken and none is let in any more: watch asks, and hand changes settings,
// promotes, and has the commit that is seen waiting (ProveSync). They are in a
// database that users' DDL may want alone, and leave it then. Into a server whose
// clients were faster they come as walsenders, of which it has some apart.
//
// They are clients that do not leave by themselves: a smart shutdown waits for
// Close.

// introduce asks a new session who it is.
func (s *session) introduce(ctx context.Context, db *sql.DB) error {
	var pid int
	var oid uint32
	row := db.QueryRowContext(ctx, "select pid, datid from pg_stat_get_activity(pg_backend_pid())")
	if err := row.Scan(&pid, &oid); err != nil {
		return err
	}
	s.mu.Lock()
	s.pid, s.oid = pid, oid
	s.mu.Unlock()
	return nil
}

// who is the session's backend and database.
func (s *session) who() (pid int, oid uint32, database string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pid, s.oid, s.name
}

// Replication asks over the session that is kept. Nothing in the question needs a
// lock of a catalogue's that anybody could hold, or a file; Mute tells whether an
// error of it means that the server hangs.
func (d *Door) Replication(ctx context.Context) (r Replication, err error) {
	err = d.watch.do(ctx, func(ctx context.Context, db *sql.DB) error {
		r, err = askReplication(ctx, db)
		return err
	})
	if err != nil {
		return Replication{}, fmt.Errorf("ask the server about replication: %w", err)
	}
	d.tend(ctx)
	return r, nil
}

// tend lets the kept sessions make way, and makes sure that the hand has one.
func (d *Door) tend(ctx context.Context) {
	if time.Since(d.tended) >= tendEvery {
		d.tended = time.Now()
		d.makeWay(d.wanted(ctx))
	}
	if time.Since(d.tried) >= handEvery && d.hand.calls.TryLock() {
		d.hand.calls.Unlock()
		d.tried = time.Now()
		ctx, cancel := context.WithTimeout(ctx, connectTimeout)
		defer cancel()
		_ = d.hand.do(ctx, func(ctx context.Context, db *sql.DB) error {
			_, err := db.ExecContext(ctx, "select")
			return err
		})
	}
}

// makeWay ends the kept sessions that are in these databases.
func (d *Door) makeWay(wanted []uint32) {
	for _, s := range []*session{d.watch, d.hand} {
		if _, oid, name := s.who(); slices.Contains(wanted, oid) {
			d.shun(name, time.Now().Add(awayFor))
			s.close()
		}
	}
}

// wanted are the databases on which somebody holds or waits for a lock that
// CREATE, DROP and ALTER DATABASE take before they wait for their clients to leave.
func (d *Door) wanted(ctx context.Context) (oids []uint32) {
	_ = d.watch.do(ctx, func(ctx context.Context, db *sql.DB) error {
		oids = nil
		return each(ctx, db, `
			select objid from pg_lock_status()
			 where locktype = 'object' and classid = 1262 and pid <> pg_backend_pid()
			   and mode in ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')`,
			func(scan func(...any) error) error {
				var oid uint32
				err := scan(&oid)
				oids = append(oids, oid)
				return err
			})
	})
	return oids
}

// firmly runs do on the hand's session; without a door on a connection of its own.
func (l Login) firmly(ctx context.Context, what string, do func(context.Context, *sql.DB) error) error {
	if l.Door == nil {
		return l.with(ctx, what, func(db *sql.DB) error { return do(ctx, db) })
	}
	err := l.Door.hand.do(ctx, func(ctx context.Context, db *sql.DB) error {
		if err := l.Door.endStrays(ctx, db); err != nil {
			return err
		}
		return do(ctx, db)
	})
	if err != nil {
		return fmt.Errorf("%s as %q: %w", what, l.User, err)
	}
	return nil
}

// endStrays ends former sessions of the door: one that was given up half-way could
// still carry out what it was told.
func (d *Door) endStrays(ctx context.Context, db *sql.DB) error {
	var ours []string
	for _, s := range []*session{d.watch, d.hand} {
		pid, _, _ := s.who()
		ours = append(ours, fmt.Sprint(pid))
	}
	query := "select coalesce(count(pg_terminate_backend(pid)), 0) from pg_stat_get_activity(null) where application_name = '" +
		keptName + "' and pid <> pg_backend_pid() and pid not in (" + strings.Join(ours, ", ") + ")"
	for {
		var n int
		if err := db.QueryRowContext(ctx, query).Scan(&n); err != nil || n == 0 {
			return err
		}
		time.Sleep(provePoll) // the session's call is bounded, and db closed under it then
	}
}

// sessions are the two that a proof or a promotion needs, and how to end with them.
func (l Login) sessions(limit time.Duration) (watch, hand *session, done func()) {
	if l.Door != nil {
		return l.Door.watch, l.Door.hand, func() {}
	}
	watch, hand = l.session(limit), l.session(probeLimit)
	return watch, hand, func() { watch.close(); hand.close() }
}
