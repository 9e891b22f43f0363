package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

// rewindDatabases are where the replication role may read files, as pg_rewind
// does: in the first that is there.
var rewindDatabases = []string{"postgres", "template1"}

// rewindFunctions are what pg_rewind calls
// (https://www.postgresql.org/docs/current/app-pgrewind.html, Notes). The role
// can read all these files by replication anyway.
var rewindFunctions = []string{
	"pg_catalog.pg_ls_dir(text, boolean, boolean)",
	"pg_catalog.pg_stat_file(text, boolean)",
	"pg_catalog.pg_read_binary_file(text)",
	"pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
}

// EnsureReplication makes the role with which other nodes stream, copy and
// rewind, or gives it what it lacks: LOGIN, REPLICATION, no limit of time or
// connections, the password as SCRAM, and the functions that pg_rewind calls.
// Nothing that is as it should be is written, and a standby is left alone: it
// gets the role from its primary. A superuser is refused. It waits for no standby, so that a silent
// heir does not stop it; who is promoted calls it again.
func (l Login) EnsureReplication(ctx context.Context, user, password string) (changed bool, err error) {
	if err := CheckReplicationPassword(password); err != nil {
		return false, err
	}
	r := replicationRole{user, password}
	changed, err = r.ensureRole(ctx, l)
	if err != nil {
		return changed, err
	}
	for _, name := range rewindDatabases {
		l.Database = name
		granted, err := r.ensureGrants(ctx, l)
		if err != nil {
			return changed, err
		}
		changed = changed || granted
	}
	return changed, nil
}

type replicationRole struct{ name, password string }

var errStandby = errors.New("a standby")

// change runs do in a transaction that appears in no log and waits for nobody.
func (r replicationRole) change(ctx context.Context, l Login, do func(*sql.Tx) error) error {
	err := l.with(ctx, fmt.Sprintf("make the replication role %q", r.name), func(db *sql.DB) error {
		var standby bool
		if err := db.QueryRowContext(ctx, "select pg_is_in_recovery()").Scan(&standby); err != nil {
			return err
		}
		if standby {
			return errStandby
		}
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
		_, err = tx.ExecContext(ctx, `set local synchronous_commit = local; set local log_statement = none;
			set local log_min_duration_statement = -1; set local log_min_error_statement = panic`)
		if err == nil {
			err = do(tx)
		}
		if err != nil {
			return err
		}
		return tx.Commit()
	})
	if errors.Is(err, errStandby) {
		return nil
	}
	return err
}

const roleQuery = `
select coalesce(rolpassword, ''),
       rolcanlogin and rolreplication and rolconnlimit = -1 and coalesce(rolvaliduntil = 'infinity', true),
       rolsuper
  from pg_authid where rolname = $1::name`

func (r replicationRole) ensureRole(ctx context.Context, l Login) (changed bool, err error) {
	err = r.change(ctx, l, func(tx *sql.Tx) error {
		var stored string
		var able, super bool
		verb := "alter"
		err := tx.QueryRowContext(ctx, roleQuery, r.name).Scan(&stored, &able, &super)
		if errors.Is(err, sql.ErrNoRows) {
			verb, err = "create", nil
		}
		if super {
			return errors.New("it is a superuser, whose password is the user's: name another role for replication; nothing was changed")
		}
		if err != nil || able && verifies(stored, r.password) {
			return err
		}
		verifier, err := scramVerifier(r.password)
		if err != nil {
			return err
		}
		_, err = tx.ExecContext(ctx, verb+" role "+pq.QuoteIdentifier(r.name)+
			" login replication connection limit -1 valid until 'infinity' password "+pq.QuoteLiteral(verifier))
		changed = err == nil
		return err
	})
	return changed, err
}

func (r replicationRole) ensureGrants(ctx context.Context, l Login) (changed bool, err error) {
	err = r.change(ctx, l, func(tx *sql.Tx) error {
		grant := func(what, allowed string) error {
			var may bool
			err := tx.QueryRowContext(ctx, "select "+allowed, r.name).Scan(&may)
			if err != nil || may {
				return err
			}
			_, err = tx.ExecContext(ctx, "grant "+what+" to "+pq.QuoteIdentifier(r.name))
			changed = changed || err == nil
			return err
		}
		err := grant("connect on database "+pq.QuoteIdentifier(l.Database), "has_database_privilege($1::name, current_database(), 'connect')")
		for _, f := range rewindFunctions {
			if err == nil {
				err = grant("execute on function "+f, "has_function_privilege($1::name, '"+f+"', 'execute')")
			}
		}
		return err
	})
	// A database that is gone, or closed to us, is no place for pg_rewind either.
	gone := pq.As(err, pqerror.InvalidCatalogName, pqerror.ObjectNotInPrerequisiteState) != nil || Denied(err)
	if gone && l.Database != "template1" {
		return false, nil
	}
	return changed, err
}
