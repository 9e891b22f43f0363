package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/upgrade"
	"github.com/pgbaton/pgbaton/upgrade/inplace"
)

// keepDone keeps the journal of an upgrade whose old cluster is still there:
// the way back and the end need it when the next request writes its own.
func (s *supervisor) keepDone() error {
	j := s.up.journal
	if j.Outcome != node.UpgradeDone {
		return nil
	}
	if err := durable.WriteJSON(s.volume.root, doneFile(j.ID), j, owner(s.user), int(s.user.GID)); err != nil {
		return fmt.Errorf("keep the journal of the last upgrade, by which its old cluster is known: %w; nothing was changed", err)
	}
	return nil
}

func doneFile(id string) string { return path.Join(path.Dir(inplace.JournalFile), "done-"+id+".json") }

// doneJournals are the upgrades whose old clusters are kept, the oldest first.
func (s *supervisor) doneJournals() []upgrade.Journal {
	root := s.volume.root
	names, _ := fs.Glob(root.FS(), doneFile("*")) // sorted, and so by time; the pattern is well formed
	var found []upgrade.Journal
	for _, name := range names {
		var j upgrade.Journal
		if durable.ReadJSON(root, name, &j) == nil && j.ID != s.up.journal.ID {
			found = append(found, j)
		}
	}
	if s.up.journal.Outcome == node.UpgradeDone {
		found = append(found, s.up.journal)
	}
	return found
}

// kept tells where old clusters are kept.
func (s *supervisor) kept() []node.Kept {
	var kept []node.Kept
	for _, j := range s.doneJournals() {
		kept = append(kept, node.Kept{Major: j.From, Mode: j.Mode, Path: j.Retired, FinishAt: j.FinishAt})
	}
	return kept
}

// orderUndo begins the way back of the latest upgrade.
func (s *supervisor) orderUndo(req node.UpgradeRequest) error {
	done := s.doneJournals()
	switch {
	case s.isBlocked() && s.up.journal.Going == upgrade.Onward && req.Force:
		return s.turn(upgrade.Retreat, "an operator asked for it")
	case s.up.busy():
		return errors.New("an upgrade is under way; nothing was changed")
	case len(done) == 0:
		return errors.New("there is no upgrade to undo: no old cluster is kept; nothing was changed")
	}
	j := done[len(done)-1]
	switch {
	case j.Linked():
		return errors.New(upgrade.UndoText(j) + "; nothing was changed\nhint: restore from a backup of before the upgrade")
	case j.StepOf(node.StepFinish).State == node.StepRunning:
		return errors.New("no way back: the old cluster is being removed; nothing was changed")
	case j.To != s.volume.major:
		return fmt.Errorf("the last upgrade led to PostgreSQL %d and %d serves; nothing was changed", j.To, s.volume.major)
	case !req.Force:
		return errors.New("undo leaves every write since the upgrade behind; nothing was changed\nhint: say --yes if that is wanted")
	}
	op := s.operation()
	op.Journal = j.Clone()
	if err := op.MayUndo(); err != nil {
		return fmt.Errorf("%w; nothing was changed", err)
	}
	if err := s.keepDone(); err != nil {
		return err
	}
	before := s.up.journal
	s.up.journal = j
	s.up.journal.Outcome, s.up.journal.Ended = node.UpgradeRunning, time.Time{}
	if err := s.turn(upgrade.Retreat, "an operator asked for it"); err != nil {
		s.up.journal = before
		return err
	}
	s.dropDone(j.ID)
	return nil
}

// turn has the journal go another way, once that is written down.
func (s *supervisor) turn(way upgrade.Way, why string) error {
	before := s.up.journal
	s.up.journal.Going, s.up.journal.Why, s.up.next = way, why, time.Time{}
	op := s.operation()
	if err := op.Save(); err != nil {
		s.up.journal = before
		return fmt.Errorf("write the journal of the upgrade: %w; nothing was changed", err)
	}
	s.up.journal = op.Journal
	return nil
}

// callOff ends a way back that is blocked: the new cluster is served again.
func (s *supervisor) callOff() error {
	if err := s.operation().MayGoOn(); err != nil {
		return fmt.Errorf("%w, so there is only the way back; nothing was changed", err)
	}
	return s.turn(upgrade.Onward, "an operator called the way back off")
}

// dropDone forgets what keepDone kept, once the journal itself says more.
func (s *supervisor) dropDone(id string) {
	if err := durable.Remove(s.volume.root, doneFile(id)); err != nil {
		s.log.Error("remove the journal of an upgrade", "error", err)
	}
}

// orderFinish removes the old clusters of all upgrades that are done.
func (s *supervisor) orderFinish(req node.UpgradeRequest) error {
	done := s.doneJournals()
	switch {
	case s.up.busy():
		return errors.New("an upgrade is under way; nothing was changed")
	case len(done) == 0:
		return errors.New("no old cluster is kept; nothing was changed")
	case !req.Force:
		return fmt.Errorf("finish removes the old cluster%s; nothing was changed\nhint: say --yes if that is wanted", upgrade.LossText(s.kept()))
	}
	return s.finish(done)
}

// finish removes old clusters, beside the server.
func (s *supervisor) finish(done []upgrade.Journal) error {
	if err := s.keepDone(); err != nil {
		return err
	}
	s.up.journal = done[0]
	s.beside("removing an old cluster", func(ctx context.Context, op *inplace.Operation) error {
		return op.Finish(ctx)
	}, func(op *inplace.Operation, err error) {
		if err != nil {
			s.log.Error("remove the old cluster", "error", err)
			why := fmt.Sprintf("the old cluster of PostgreSQL %d could not be removed: %v; `pgbaton upgrade finish` tries again", op.Journal.From, err)
			if err := op.End(node.UpgradeDone, why); err != nil {
				s.log.Error("write the journal of the upgrade", "error", err)
			}
			s.up.journal = op.Journal
			return
		}
		s.dropDone(op.Journal.ID)
		if len(done) == 1 {
			return
		}
		if err := s.finish(done[1:]); err != nil {
			s.log.Error("remove the next old cluster", "error", err)
		}
	})
	return nil
}

// finishByAge removes old clusters whose time has come.
func (s *supervisor) finishByAge(now time.Time) {
	if s.volume == nil || s.up.busy() || s.server == nil {
		return
	}
	due := slices.DeleteFunc(s.doneJournals(), func(j upgrade.Journal) bool {
		begun := j.StepOf(node.StepFinish).State == node.StepRunning // and a crash came in between
		return !begun && (j.FinishAt.IsZero() || now.Before(j.FinishAt))
	})
	if len(due) > 0 {
		s.log.Info("the old cluster has been kept long enough", "at", due[0].Retired)
		if err := s.finish(due); err != nil {
			s.log.Error("remove the old cluster", "error", err)
		}
	}
}
