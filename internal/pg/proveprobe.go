package pg

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// probe is a transaction that changes nothing and whose commit waits as any
// other's.
type probe struct {
	s    *session
	pid  int
	at   node.LSN // before its commit record, and after all WAL of before
	done chan struct{}
	err  error // of the commit, once done is closed
}

// probeLimit bounds the life of a probe that everybody has forgotten. The
// server's statement_timeout cancels its wait then.
const probeLimit = statementTimeout

// startProbe begins the commit of a probe. It needs a transaction id and WAL:
// without both a commit waits for nobody (RecordTransactionCommit in xact.c). A
// transactional message gets it both, and only who asks for messages of
// prefix pgbaton sees it.
func startProbe(ctx context.Context, by *session) (*probe, error) {
	p := &probe{s: by, done: make(chan struct{})}
	var tx *sql.Tx // its connection alone: a COMMIT that is repeated elsewhere succeeds and means nothing
	err := p.s.do(ctx, func(ctx context.Context, db *sql.DB) (err error) {
		if tx, err = db.BeginTx(ctx, nil); err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, "set local synchronous_commit = on"); err != nil {
			return err
		}
		row := tx.QueryRowContext(ctx, "select pg_backend_pid(), pg_logical_emit_message(true, 'pgbaton', 'probe')")
		return row.Scan(&p.pid, lsnScan{&p.at})
	})
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		// Cancelled from outside: its end by itself would not be seen here.
		p.err = p.s.do(context.WithoutCancel(ctx), func(context.Context, *sql.DB) error { return tx.Commit() })
	}()
	return p, nil
}

// nudge writes WAL and flushes it, waiting for no standby. It returns where.
func (s *session) nudge(ctx context.Context) (at node.LSN, err error) {
	err = s.do(ctx, func(ctx context.Context, db *sql.DB) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback() //nolint:errcheck // after a commit it does nothing
		if _, err := tx.ExecContext(ctx, "set local synchronous_commit = local"); err != nil {
			return err
		}
		if err := tx.QueryRowContext(ctx, "select pg_logical_emit_message(true, 'pgbaton', 'nudge')").Scan(lsnScan{&at}); err != nil {
			return err
		}
		return tx.Commit()
	})
	return at, err
}

// wait returns when the probe's commit has.
func (p *probe) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return fmt.Errorf("a commit waits for the heir: %w", context.Cause(ctx))
	}
}

// seenWaiting reports whether the commit waits for a standby; false where it
// returned without.
func (p *probe) seenWaiting(ctx context.Context, by *session) (waits bool, err error) {
	tick := time.NewTicker(provePoll)
	defer tick.Stop()
	for {
		err = by.do(ctx, func(ctx context.Context, db *sql.DB) error {
			return db.QueryRowContext(ctx, fmt.Sprintf("select exists (select from pg_stat_get_activity(%d) where wait_event = 'SyncRep')", p.pid)).Scan(&waits)
		})
		switch {
		case waits:
			return true, nil
		case ctx.Err() != nil:
			return false, fmt.Errorf("no commit was seen waiting: %w", context.Cause(ctx))
		case err != nil:
			return false, err
		}
		select {
		case <-p.done:
			return false, p.err
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// cancel ends the wait of a probe: its commit has happened here, and has
// nothing that could be lost elsewhere.
func (p *probe) cancel(by *session) {
	select {
	case <-p.done:
		return
	default:
	}
	_ = by.do(context.Background(), func(ctx context.Context, db *sql.DB) error {
		_, err := db.ExecContext(ctx, fmt.Sprintf("select pg_cancel_backend(%d)", p.pid))
		return err
	})
	select {
	case <-p.done:
	case <-time.After(time.Second):
		p.s.cut() // the server does not answer: it ends the wait itself, after statement_timeout
	}
}
