package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// letInPoll is how often it is tried whether a reload has reached new connections.
const letInPoll = 50 * time.Millisecond

// session lets SQL through to the running server for the parts of an upgrade.
// Where the user's own rules refuse the supervisor in some database, a line of
// ours stands before them for as long as it lasts.
func (s *supervisor) session() inplace.Session {
	if s.server == nil {
		return func(context.Context, func(context.Context, func(string) pg.Login) error) error {
			return errors.New("postgres does not run")
		}
	}
	a := *s.access()
	a.door = nil // its databases are its own
	return func(ctx context.Context, do func(context.Context, func(string) pg.Login) error) error {
		if a.file.SocketDir == "" {
			return errors.New("the server has no Unix socket (unix_socket_directories is empty)")
		}
		if a.rules.Scope == pg.Alone {
			return do(ctx, a.login)
		}
		denied, err := pg.AnyDenied(ctx, a.login)
		if err != nil {
			return err
		}
		if !denied {
			return do(ctx, a.login)
		}
		if err := s.widen(ctx, 1); err != nil {
			return err
		}
		defer func() { _ = s.widen(context.WithoutCancel(ctx), -1) }()
		if err := letIn(ctx, &a); err != nil {
			return err
		}
		return do(ctx, a.login)
	}
}

// widen asks the loop for a line of ours for all databases (1), or gives it
// back (-1).
func (s *supervisor) widen(ctx context.Context, by int) error {
	done := make(chan error, 1)
	var ask func()
	ask = func() {
		if by > 0 && s.view.asking {
			// It may narrow what it had widened for itself.
			time.AfterFunc(letInPoll, func() { s.post(ask) })
			return
		}
		if s.server == nil || s.view.rules.Dir == "" {
			done <- errors.New("the server's pg_hba.conf lets the supervisor into no database, and it was not started by this supervisor; `pgbaton restart` mends that")
			return
		}
		s.up.wide += by
		scope := pg.Nobody
		if s.up.wide > 0 {
			scope = pg.Everywhere
			if name, err := pg.BootstrapSuperuser(s.volume.place.pgdata); err == nil {
				s.view.superuser, s.view.rules.Superuser = name, name
			}
		}
		s.view.rules.Scope = scope
		s.reload()
		done <- nil
	}
	s.post(ask)
	said, err := await(ctx, s.mail, done)
	return errors.Join(said, err)
}

// letIn waits until a reload has reached new connections.
func letIn(ctx context.Context, a *access) error {
	for try := 0; ; try++ {
		denied, err := pg.AnyDenied(ctx, a.login)
		if err == nil && !denied {
			return nil
		}
		if try == 100 {
			return errors.Join(fmt.Errorf("the server does not let the supervisor in"), err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(letInPoll):
		}
	}
}
