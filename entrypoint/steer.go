package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// waiter is an order whose end somebody waits for.
type waiter struct {
	ctx  context.Context // whoever waits
	done func() (bool, error)
	tell chan error
}

// Do carries out an operator's order (nodeapi.Steerer). It returns when the
// order is carried out; the end of ctx ends the waiting, not the order.
func (s *supervisor) Do(ctx context.Context, o node.Order) error {
	if o.Node != "" && o.Node != s.set.Node {
		return s.relay(ctx, o)
	}
	tell := make(chan error, 1)
	s.post(func() {
		done, err := s.take(o)
		if err != nil {
			tell <- err
			return
		}
		s.waiters = append(s.waiters, waiter{ctx, done, tell})
	})
	err, failed := await(ctx, s.mail, tell)
	if failed != nil {
		s.wake() // nobody waits for it any more
		return fmt.Errorf("wait for %s: %w", o.Do, failed)
	}
	return err
}

// relay gives an order to the node that it is for.
func (s *supervisor) relay(ctx context.Context, o node.Order) error {
	if !s.clustered() {
		return fmt.Errorf("this node is %s and has no peers (PGBATON_PEERS); nothing was done", s.set.Node)
	}
	s.log.Info("order for another node", "do", string(o.Do), "node", o.Node)
	return s.cl.fleet.Order(ctx, o)
}

// take notes an order and returns when it counts as done.
func (s *supervisor) take(o node.Order) (func() (bool, error), error) {
	if s.wish.Ending {
		return nil, errors.New("the container is about to end; nothing was changed")
	}
	s.log.Info("order", "do", string(o.Do), "mode", string(o.Mode), "force", o.Force)
	if err := s.duringUpgrade(o); err != nil {
		return nil, err
	}
	switch o.Do {
	case node.Stop:
		s.halt(o)
		return s.isStopped, nil
	case node.Start:
		s.unhalt(o)
		return s.isRunning(time.Time{}), nil
	case node.Restart:
		if s.server == nil {
			s.unhalt(o)
			return s.isRunning(time.Time{}), nil
		}
		s.halt(o)
		s.wish.Again = true
		return s.isRunning(time.Now()), nil
	case node.DoUpgrade:
		if o.Upgrade == nil {
			return nil, errors.New("an upgrade order without what is asked for; nothing was changed")
		}
		if s.up.watching && !s.up.known {
			s.lookAtMajors()
			return func() (bool, error) {
				if !s.up.known {
					return false, nil
				}
				return true, s.orderUpgrade(*o.Upgrade)
			}, nil
		}
		return func() (bool, error) { return true, nil }, s.orderUpgrade(*o.Upgrade)
	case node.Switchover, node.Promote, node.Alone, node.Reclone, node.Pause, node.Resume, node.Forget:
		return s.orderRole(o)
	case node.Reload:
		if s.server == nil {
			return nil, errors.New("postgres does not run; nothing was changed")
		}
		s.reload()
		return func() (bool, error) { return true, nil }, nil
	}
	return nil, fmt.Errorf("unknown order %q; nothing was changed", o.Do)
}

// duringUpgrade refuses what would come between the parts of an upgrade, and
// lets an operator end what it holds.
func (s *supervisor) duringUpgrade(o node.Order) error {
	st := s.up.stage()
	switch {
	case st == upgrade.Held && o.Do == node.Start:
		s.leaveHold(o.Force)
		return nil
	case s.isBlocked() && o.Do == node.Start && s.up.journal.Going == upgrade.Retreat:
		return s.callOff()
	case o.Do == node.Start && s.wish.Halted:
		return nil
	case exclusive(st) && o.Do != node.DoUpgrade && o.Do != node.Reload:
		return errors.New("an upgrade is under way and alone decides whether postgres runs; nothing was changed. See `pgbaton upgrade status`")
	}
	return nil
}

func (s *supervisor) halt(o node.Order) {
	w := &s.wish
	if o.Mode == "" {
		o.Mode = node.Fast
	}
	w.Halted, w.Again, w.Mode, w.AskedAt = true, false, o.Mode, time.Now()
	w.Patience = o.Timeout
	if w.Patience == 0 {
		w.Patience = s.set.SmartTimeout
	}
	if s.server != nil && s.server.told != "" && strength[o.Mode] < strength[s.server.told] {
		w.Mode = s.server.told
	}
	s.partHalted()
	s.remember()
}

func (s *supervisor) unhalt(o node.Order) {
	s.wish.Halted, s.wish.Again = false, false
	if s.server != nil && s.server.told != "" {
		// It is on its way down and cannot be called back.
		s.wish.Halted, s.wish.Again = true, true
	}
	s.wish.Vouched = s.wish.Vouched || o.Force
	s.past.NextStart, s.past.InARow = time.Time{}, 0
	s.past.Exited, s.past.Asked = s.past.Exited && !s.past.Served, false
	s.remember()
}

func (s *supervisor) isStopped() (bool, error) {
	if !s.wish.Halted {
		return true, errors.New("another order came in between: postgres is to run again")
	}
	return s.server == nil && s.phase == node.Stopped, nil
}

// isRunning is done when a server that was started after since is ready.
func (s *supervisor) isRunning(since time.Time) func() (bool, error) {
	deaths := s.past.Deaths
	return func() (bool, error) {
		switch {
		case s.server != nil && s.server.ready && s.server.told == "" && s.server.since.After(since):
			return true, nil
		case s.wish.Halted && !s.wish.Again:
			return true, errors.New("another order came in between: postgres is to be stopped")
		case s.past.Deaths > deaths:
			return true, fmt.Errorf("postgres ended before it was ready: %s; its own log says why", s.past.Status)
		case s.phase == node.Holding, s.phase == node.Waiting, s.phase == node.Ending:
			return true, errors.New(s.why)
		}
		return false, nil
	}
}

func (s *supervisor) answerWaiters() {
	s.waiters = slices.DeleteFunc(s.waiters, func(w waiter) bool {
		if w.ctx.Err() != nil {
			return true // a script that gives up and asks again leaves nothing behind
		}
		done, err := w.done()
		if done {
			w.tell <- err
		}
		return done
	})
}

// reload brings the generated rules up to date and lets postgres read its
// configuration again.
func (s *supervisor) reload() {
	if s.server == nil {
		return
	}
	if s.view.rules.Dir != "" {
		if _, err := s.view.rules.Write(); err != nil {
			s.log.Warn("bring the generated pg_hba.conf up to date", "error", err)
		}
	}
	if err := s.server.pass(pg.Reload); err != nil {
		s.log.Warn("reload postgres", "error", err)
	}
}
