package pg

import (
	"context"
	"database/sql"
)

// Checkpoint writes a checkpoint, however long it takes. Where no connection is
// free it does so over the one that is kept, for some seconds.
func (l Login) Checkpoint(ctx context.Context) error {
	write := func(ctx context.Context, db *sql.DB) error {
		if _, err := db.ExecContext(ctx, "set statement_timeout = 0"); err != nil {
			return err
		}
		if _, err := db.ExecContext(ctx, "checkpoint"); err != nil {
			return err
		}
		_, err := db.ExecContext(ctx, "reset statement_timeout")
		return err
	}
	err := l.with(ctx, "write a checkpoint", func(db *sql.DB) error { return write(ctx, db) })
	if l.Door != nil && IsFull(err) {
		err = l.firmly(ctx, "write a checkpoint", write)
	}
	return err
}

// Databases lists the databases that accept connections.
func (l Login) Databases(ctx context.Context) (names []string, err error) {
	err = l.with(ctx, "list the databases", func(db *sql.DB) error {
		rows, err := db.QueryContext(ctx, "select datname from pg_database where datallowconn and datconnlimit <> -2 order by datname")
		if err != nil {
			return err
		}
		defer rows.Close() //nolint:errcheck // Err tells
		for rows.Next() {
			var name string
			if err := rows.Scan(&name); err != nil {
				return err
			}
			names = append(names, name)
		}
		return rows.Err()
	})
	return names, err
}

// AnyDenied reports whether the server's own rules refuse the login in some
// database that accepts connections.
func AnyDenied(ctx context.Context, login func(db string) Login) (bool, error) {
	names, err := login("").Databases(ctx)
	if err != nil {
		return Denied(err), notDenied(err)
	}
	for _, name := range names {
		// Another trouble is that database's, and found by whoever wants in.
		err := login(name).with(ctx, "log in", func(db *sql.DB) error { return db.PingContext(ctx) })
		if Denied(err) {
			return true, nil
		}
	}
	return false, context.Cause(ctx)
}

func notDenied(err error) error {
	if Denied(err) {
		return nil
	}
	return err
}
