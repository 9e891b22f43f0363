package pg

import (
	"context"
	"database/sql"
	"time"
)

// clearEvery is how often a server that is to come to the end of its replay is
// asked whether queries are in the way.
const clearEvery = 50 * time.Millisecond

// clearQuery ends what holds up the replay of a standby, where it is held up:
// queries are cancelled, sessions that sit in a transaction are terminated, as
// PostgreSQL does once max_standby_streaming_delay is over. A reload with a
// shorter delay is of no use: the startup process does not read its settings
// while it waits for a query (WaitExceedsMaxStandbyDelay in standby.c). Whoever
// is in no transaction is in nobody's way.
const clearQuery = `
select count(case when state = 'active' then pg_cancel_backend(pid) else pg_terminate_backend(pid) end)
  from pg_stat_get_activity(null)
 where backend_type = 'client backend' and coalesce(application_name, '') not in ('pgbaton', '` + keptName + `') and xact_start is not null
   and exists (select from pg_stat_get_activity(null) s where s.backend_type = 'startup'
                  and (s.wait_event like 'RecoveryConflict%' or s.wait_event_type in ('Lock', 'BufferPin')))`

func (s *session) clear(ctx context.Context) (ended int, err error) {
	err = s.do(ctx, func(ctx context.Context, db *sql.DB) error {
		return db.QueryRowContext(ctx, clearQuery).Scan(&ended)
	})
	return ended, err
}

// clearWhile clears until stop is called, which waits for the last answer: to cut
// it short would cost the connection, and there may be no other.
func (s *session) clearWhile(ctx context.Context) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			_, _ = s.clear(ctx) // an error is one of a server that has no time for us: the next question follows
			select {
			case <-ctx.Done():
				return
			case <-quit:
				return
			case <-time.After(clearEvery):
			}
		}
	}()
	return func() { close(quit); <-done }
}

// ClearReplay ends, until ctx does, each query that holds up the replay of this
// standby, which is about to take over.
func (l Login) ClearReplay(ctx context.Context) {
	s := l.session(connectTimeout)
	defer s.close()
	stop := s.clearWhile(ctx)
	<-ctx.Done()
	stop()
}
