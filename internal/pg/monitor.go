package pg

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/lib/pq/pqerror"

	"github.com/lib/pq"
)

// monitorPing is how often a Monitor tries a new connection beside the one
// that it keeps: a postmaster that hangs leaves those that are open alone.
const monitorPing = time.Second

// Monitor asks a server about its replication over one connection that it
// keeps, to database postgres: one that stays in template1 would block CREATE
// DATABASE. Where there is no such database, or the rules do not let us in, it
// makes a connection to the login's own for each question.
//
// It is a client that does not leave: a smart shutdown waits for Close.
type Monitor struct {
	l Login
	s *session

	mu     sync.Mutex
	direct bool // ask over a connection for each question
	pinged time.Time
}

// Monitor returns a monitor, without connecting. No question takes longer than
// limit, and an answer that comes too late costs the connection.
func (l Login) Monitor(limit time.Duration) *Monitor {
	kept := l
	kept.Database = "postgres"
	return &Monitor{l: l, s: kept.session(limit)}
}

// Close ends the connection. A question afterwards makes another one.
func (m *Monitor) Close() { m.s.close() }

// Replication asks. The error tells where there was no answer in time, or
// where the postmaster let no new connection in for the last second's try.
func (m *Monitor) Replication(ctx context.Context) (r Replication, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.ping(ctx); err != nil {
		return r, err
	}
	ask := func(ctx context.Context, db *sql.DB) error {
		r, err = askReplication(ctx, db)
		return err
	}
	if !m.direct {
		err = m.s.do(ctx, ask)
		m.direct = err != nil && (Denied(err) || pq.As(err, pqerror.InvalidCatalogName) != nil)
	}
	if m.direct {
		once := m.l.session(m.s.limit)
		err = once.do(ctx, ask)
		once.close()
	}
	if err != nil {
		return Replication{}, fmt.Errorf("ask the server at %s about replication: %w", m.l.Socket(), err)
	}
	return r, nil
}

func (m *Monitor) ping(ctx context.Context) error {
	if time.Since(m.pinged) < monitorPing {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, m.s.limit)
	defer cancel()
	if err := m.l.Ping(ctx); err != nil {
		return err
	}
	m.pinged = time.Now()
	return nil
}
