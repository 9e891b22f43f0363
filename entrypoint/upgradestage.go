package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// undoAgain is the pause before a way back that failed is tried again.
const undoAgain = 5 * time.Second

// runUpgrade runs the part of an upgrade for which no server may run.
func (s *supervisor) runUpgrade() {
	st, op := s.up.stage(), s.operation()
	if st == upgrade.Closed {
		// The new server ended before it was verified.
		s.closedFailed(fmt.Errorf("the new server ended: %s; its own log says why", s.past.Status))
		return
	}
	s.run("upgrading", func(ctx context.Context) func() {
		var err error
		switch st {
		case upgrade.Stopping:
			err = op.Stopped(ctx)
		case upgrade.Down:
			err = op.Down(ctx)
		case upgrade.Undoing:
			err = wayBack(ctx, op)
		}
		if ctx.Err() == nil {
			settleDown(op, st, err)
		}
		return func() { s.upgraded(op) }
	})
}

// wayBack undoes the upgrade, or goes on with it where that was called off.
func wayBack(ctx context.Context, op *inplace.Operation) error {
	if op.Journal.Going == upgrade.Onward {
		return op.GoOn(ctx)
	}
	return op.Undo(ctx)
}

// blockedWhy says what keeps a way back from being gone, and the order that leads
// out where there is one: nobody is served meanwhile.
func blockedWhy(way upgrade.Way, err error) string {
	why := fmt.Sprintf("the way back is blocked and tried again every %s: %v", undoAgain, err)
	switch way {
	case upgrade.Retreat:
		return why + ". `pgbaton start` calls it off and serves the new cluster again"
	case upgrade.Onward:
		return fmt.Sprintf("the new cluster cannot be put in its place again, which is tried every %s: %v. `pgbaton upgrade undo --yes` takes the way back after all", undoAgain, err)
	}
	return why + ". Once that is mended it goes on by itself"
}

// settleDown turns what became of a part without a server into the journal.
func settleDown(op *inplace.Operation, st upgrade.Stage, err error) {
	if err == nil {
		return
	}
	j := &op.Journal
	switch st {
	case upgrade.Stopping:
		err = op.End(node.UpgradeFailed, err.Error())
	case upgrade.Down:
		j.GoBack(err.Error(), false)
		op.Log.Error("upgrade: going back to the old cluster", "error", err)
		err = op.Save()
	case upgrade.Undoing:
		if !errors.Is(err, inplace.ErrLinkedChanged) {
			// A full disk, a mount that is gone: what lies there is as it was.
			if why := blockedWhy(j.Going, err); why != j.Why {
				j.Why = why // and is logged by the loop, once
			}
			return
		}
		err = op.End(node.UpgradeHeld, fmt.Sprintf("the way back failed: %v. Nobody is served; see the runbook", err))
	}
	if err != nil {
		op.Log.Error("write the journal of the upgrade", "error", err)
	}
}

// upgraded takes over what a part did.
func (s *supervisor) upgraded(op *inplace.Operation) {
	before, was := s.up.journal.Outcome, s.up.stage()
	s.up.journal, s.up.prepared, s.up.shown = op.Journal, op.Prepared, nil
	s.up.deaths = 0
	s.up.next = time.Time{}
	if was == upgrade.Undoing && s.up.stage() == upgrade.Undoing {
		s.up.next = time.Now().Add(undoAgain)
	}
	if op.Journal.Outcome == node.UpgradeDone && s.up.stage() == upgrade.Idle {
		s.serveNew()
	}
	if before == node.UpgradeRunning && op.Journal.Outcome == node.UpgradeUndone {
		// Whatever ended before was the new server.
		s.past.Exited, s.past.NextStart, s.past.InARow = false, time.Time{}, 0
		s.view.superuser = ""
	}
	s.remember()
}

// beside runs a part of an upgrade beside the server, one at a time. do tells
// by its error what became of it; finish, in the loop, goes on with the journal.
func (s *supervisor) beside(name string, do func(ctx context.Context, op *inplace.Operation) error, finish func(op *inplace.Operation, err error)) {
	ctx, cancel := context.WithCancelCause(context.Background())
	s.up.side, s.up.cancel = name, cancel
	op := s.operation()
	go func() {
		err := do(ctx, op)
		ended := ctx.Err() != nil
		cancel(nil)
		s.post(func() {
			s.up.side, s.up.cancel, s.up.shown = "", nil, nil
			if ended {
				return // the container ends; the journal says how far it came
			}
			s.up.journal, s.up.prepared = op.Journal, op.Prepared
			finish(op, err)
		})
	}()
}

// startBeside runs preflight and prepare.
func (s *supervisor) startBeside() {
	open := s.session()
	s.beside("preparing the upgrade", func(ctx context.Context, op *inplace.Operation) error {
		return op.Ready(ctx, open)
	}, func(_ *inplace.Operation, err error) {
		if err != nil {
			s.log.Error("write the journal of the upgrade", "error", err)
		}
	})
}

// startVerify lets the new server be verified, and clients in after it.
func (s *supervisor) startVerify() {
	open := s.session()
	s.beside("verifying the new cluster", func(ctx context.Context, op *inplace.Operation) error {
		return op.Verify(ctx, open)
	}, func(op *inplace.Operation, err error) {
		if err != nil {
			s.closedFailed(err)
			return
		}
		s.openUp(op)
	})
}

// openUp lets clients in to the new server.
func (s *supervisor) openUp(op *inplace.Operation) {
	if err := op.Opened(time.Now()); err != nil {
		// Not written down means not opened: a crash now would undo it.
		s.log.Error("write the journal of the upgrade", "error", err)
		return
	}
	s.up.journal = op.Journal
	s.view.missing = -1
	defer s.recordCluster()
	if op.Journal.Quiet {
		// Subscriptions may work from now on, which takes a restart.
		s.halt(node.Order{Mode: node.Fast})
		s.wish.Again = true
		return
	}
	s.view.rules.Scope = pg.Nobody
	s.reload()
	s.log.Info("upgrade: clients are let in", "major", op.Journal.To, "outage", op.Journal.Outage.Round(time.Millisecond).String())
	s.ask(true)
}

// closedFailed is a new server that does not start, or does not hold what it should.
func (s *supervisor) closedFailed(why error) {
	j := &s.up.journal
	var wrong *inplace.VerifyError
	if errors.As(why, &wrong) && j.Linked() {
		op := s.operation()
		if err := op.End(node.UpgradeHeld, fmt.Sprintf("%v. It runs closed to clients, and the old cluster shares its files; "+
			"`pgbaton start --force` lets clients in as it is", why)); err != nil {
			s.log.Error("write the journal of the upgrade", "error", err)
		}
		s.up.journal = op.Journal
		return
	}
	s.log.Error("upgrade: going back to the old cluster", "error", why)
	j.GoBack(why.Error(), false)
	s.saveJournal()
}

// startAfter does what is left beside clients.
func (s *supervisor) startAfter() {
	open := s.session()
	s.beside("completing the upgrade", func(ctx context.Context, op *inplace.Operation) error {
		return op.After(ctx, open)
	}, func(_ *inplace.Operation, err error) {
		if err != nil {
			s.log.Error("complete the upgrade", "error", err)
		}
		s.ask(true)
	})
}

// leaveHold goes on with an upgrade that holds, on an operator's order: the
// same again, or, with force, clients are let in to the new cluster as it is, or
// the old one is served though files that it shares look changed.
func (s *supervisor) leaveHold(force bool) {
	op := s.operation()
	j := &op.Journal
	j.Outcome, j.Ended, j.Why = node.UpgradeRunning, time.Time{}, "an operator let it go on"
	j.Vouched = force && j.Going == upgrade.Back
	if force && j.Going == upgrade.Forward {
		if err := op.Opened(time.Now()); err != nil {
			s.log.Error("write the journal of the upgrade", "error", err)
			return
		}
	}
	s.up.journal = op.Journal
	s.saveJournal()
	s.past.Exited = false
	if s.server != nil && j.Opened {
		s.view.rules.Scope = pg.Nobody
		s.reload()
	}
}
