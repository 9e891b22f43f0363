package pg

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/lib/pq"
)

// session is a connection that stays open, for questions that come often. No
// call on it outlasts its context, whatever the server does: the connection is
// closed then, and no goroutine waits for an answer to a cancellation.
type session struct {
	open  func(pq.Dialer) (*sql.DB, error)
	dial  func(ctx context.Context, network, address string) (net.Conn, error)
	limit time.Duration                        // for one call, the connecting included
	hello func(context.Context, *sql.DB) error // on each new connection; nil: nothing
	over  context.Context                      // ends all calls for good; nil: nothing does

	calls sync.Mutex // one at a time
	db    *sql.DB    // nil: none open

	mu   sync.Mutex
	ctx  context.Context // of the call under way
	conn net.Conn        // that it uses
	name string          // of its database, with a door
	pid  int             // of its backend, once it was introduced
	oid  uint32          // of its database
}

// session is one with the login's server.
func (l Login) session(limit time.Duration) *session {
	return &session{open: l.openBy, dial: dialer{uid: l.PeerUID}.DialContext, limit: limit}
}

// errNoAnswer is the cause where a call took longer than its session's limit.
var errNoAnswer = errors.New("the server gave no answer in time")

// do runs f on the connection, which is made where there is none. f gets a
// context that does not end: the end of ctx closes the connection under it.
func (s *session) do(ctx context.Context, f func(context.Context, *sql.DB) error) error {
	s.calls.Lock()
	defer s.calls.Unlock()
	ctx, cancel := context.WithTimeoutCause(ctx, s.limit, fmt.Errorf("%w (%v)", errNoAnswer, s.limit))
	defer cancel()
	if s.over != nil {
		stop := context.AfterFunc(s.over, cancel)
		defer stop()
	}
	s.mu.Lock()
	s.ctx = ctx
	s.mu.Unlock()
	fresh := s.db == nil
	err := s.once(ctx, f)
	if err != nil && !fresh && ctx.Err() == nil && pq.As(err) == nil {
		err = s.once(ctx, f) // the server was restarted since the last call
	}
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = fmt.Errorf("%w (%w)", cause, err)
	}
	return err
}

func (s *session) once(ctx context.Context, f func(context.Context, *sql.DB) error) (err error) {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	fresh := s.db == nil
	if fresh {
		if s.db, err = s.open(sessionDialer{s}); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, s.cut)
	if fresh && s.hello != nil {
		err = s.hello(context.WithoutCancel(ctx), s.db)
	}
	if err == nil {
		err = f(context.WithoutCancel(ctx), s.db)
	}
	if !stop() || err != nil {
		s.drop()
	}
	return err
}

// cut ends what the call under way waits for.
func (s *session) cut() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

func (s *session) drop() {
	s.cut() // first: a polite end would be sent to a server that may not read
	if s.db != nil {
		_ = s.db.Close()
		s.db = nil
	}
}

// close ends the connection. A later call would make another one.
func (s *session) close() {
	s.calls.Lock()
	defer s.calls.Unlock()
	if s.db != nil {
		_ = s.db.Close()
		s.db = nil
	}
}

// sessionDialer connects for the call under way and within its bounds.
type sessionDialer struct{ s *session }

func (d sessionDialer) Dial(network, address string) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d sessionDialer) DialTimeout(network, address string, _ time.Duration) (net.Conn, error) {
	return d.DialContext(context.Background(), network, address)
}

func (d sessionDialer) DialContext(_ context.Context, network, address string) (net.Conn, error) {
	ctx := d.s.call()
	conn, err := d.s.dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return conn, d.s.took(ctx, entered{conn: conn})
}

// call is the context of the call under way.
func (s *session) call() context.Context {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ctx
}

// took notes the connection that the call uses.
func (s *session) took(ctx context.Context, at entered) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := context.Cause(ctx); err != nil {
		_ = at.conn.Close()
		return err
	}
	s.conn, s.name, s.pid, s.oid = at.conn, at.database, 0, 0
	return nil
}
