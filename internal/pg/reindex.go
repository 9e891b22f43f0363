package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/lib/pq"
)

// How long a command that changes something waits for a lock. A concurrent
// rebuild waits for older transactions without blocking anybody meanwhile.
const (
	changeLock     = 30 * time.Second
	concurrentLock = 30 * time.Minute
)

// ReindexSQL is the command that rebuilds an index, by its name as SQL writes it.
func ReindexSQL(index string, concurrently bool) string {
	if concurrently {
		return "REINDEX INDEX CONCURRENTLY " + index
	}
	return "REINDEX INDEX " + index
}

// Reindex rebuilds an index of the login's database. Concurrently, clients go
// on reading and writing; plainly, they wait. A rebuild that ends with an error
// leaves the index as it was; a concurrent one may leave another, invalid, whose
// name ends in _ccnew, which DropAborted removes.
func (l Login) Reindex(ctx context.Context, index string, concurrently bool) error {
	lock := changeLock
	if concurrently {
		lock = concurrentLock
	}
	return l.long(ctx, lock, ReindexSQL(index, concurrently))
}

// ReindexEach rebuilds the indexes that come plainly, one after the other over
// one connection, and tells done about each. The error is of a login that is impossible.
func (l Login) ReindexEach(ctx context.Context, indexes <-chan Index, done func(Index, error)) error {
	return l.with(ctx, "rebuild indexes", func(db *sql.DB) error {
		for i := range indexes {
			err := limits(ctx, db, changeLock) // each time: the connection may be a new one
			if err == nil {
				_, err = db.ExecContext(ctx, ReindexSQL(i.Name, false))
			}
			done(i, err)
		}
		return nil
	})
}

// long runs a statement that may take hours.
func (l Login) long(ctx context.Context, lock time.Duration, statement string) error {
	return l.with(ctx, statement, func(db *sql.DB) error {
		if err := limits(ctx, db, lock); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, statement)
		return err
	})
}

// limits lets statements take as long as they need, and locks as long as given.
func limits(ctx context.Context, db *sql.DB, lock time.Duration) error {
	_, err := db.ExecContext(ctx, "set statement_timeout = 0; set lock_timeout = "+strconv.FormatInt(lock.Milliseconds(), 10))
	return err
}

// Unrebuilt returns those of the indexes that are still the files they were:
// whoever rebuilt one, by whatever command, gave it another file.
func (l Login) Unrebuilt(ctx context.Context, indexes []Index) (res []Index, err error) {
	oids := make([]int64, len(indexes))
	byOID := map[uint32]Index{}
	for i, x := range indexes {
		oids[i], byOID[x.OID] = int64(x.OID), x
	}
	err = l.with(ctx, "look which indexes were rebuilt", func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `
			select c.oid, c.relfilenode, quote_ident(n.nspname) || '.' || quote_ident(c.relname)
			  from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_index i on i.indexrelid = c.oid
			 where c.oid = any($1::oid[]) and c.relkind = 'i' and i.indisvalid`, pq.Array(oids))
		if err != nil {
			return err
		}
		return scanAll(rows, func(scan func(...any) error) error {
			var oid, file uint32
			var name string
			if err := scan(&oid, &file, &name); err != nil {
				return err
			}
			if x := byOID[oid]; x.File == file {
				x.Name = name // it may have been renamed
				res = append(res, x)
			}
			return nil
		})
	})
	return res, err
}

// DropAborted drops what concurrent rebuilds that did not end left on these
// tables: invalid indexes named …_ccnew or …_ccold, unless a build of an index
// runs on their table right now. It returns their names.
func (l Login) DropAborted(ctx context.Context, tables []uint32) (dropped []string, err error) {
	oids := make([]int64, len(tables))
	for i, t := range tables {
		oids[i] = int64(t)
	}
	var names []string
	err = l.with(ctx, "find aborted rebuilds", func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, `
			select quote_ident(n.nspname) || '.' || quote_ident(c.relname)
			  from pg_index i join pg_class c on c.oid = i.indexrelid join pg_namespace n on n.oid = c.relnamespace
			 where not i.indisvalid and c.relkind = 'i' and c.relname ~ '_cc(new|old)[0-9]*$'
			   and i.indrelid = any($1::oid[])
			   and not exists (select from pg_stat_progress_create_index p where p.relid = i.indrelid)
			 order by 1`, pq.Array(oids))
		if err != nil {
			return err
		}
		return scanAll(rows, func(scan func(...any) error) error {
			var name string
			err := scan(&name)
			names = append(names, name)
			return err
		})
	})
	for _, name := range names {
		e := l.long(ctx, changeLock, "DROP INDEX CONCURRENTLY IF EXISTS "+name)
		if e == nil {
			dropped = append(dropped, name)
		}
		err = errors.Join(err, e)
	}
	return dropped, err
}

// ServerWords returns what a server said about an error, for people: message,
// detail and SQLSTATE. For any other error it is the error's text.
func ServerWords(err error) string {
	e := pq.As(err)
	if e == nil {
		return fmt.Sprint(err)
	}
	text := e.Message
	if e.Detail != "" {
		text += ". " + e.Detail
	}
	return text + " (SQLSTATE " + string(e.Code) + ")"
}

// DuplicateKey reports whether a rebuild found two rows that a unique or an
// exclusion constraint forbids (SQLSTATE 23505, 23P01).
func DuplicateKey(err error) bool {
	e := pq.As(err)
	return e != nil && (e.Code == "23505" || e.Code == "23P01")
}
