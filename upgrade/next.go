package upgrade

import (
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// MaxAttempts is how often an upgrade that crashes is begun.
const MaxAttempts = 3

// Stage is what an upgrade needs next: which of its parts, and whether a
// server may run meanwhile.
type Stage string

// The stages.
const (
	Idle     Stage = ""         // nothing to do
	Beside   Stage = "beside"   // preflight and prepare, beside the running old server
	Stopping Stage = "stopping" // the old server is to end
	Down     Stage = "down"     // pg_upgrade and switch; no server may run
	Closed   Stage = "closed"   // the new server is to run, closed to clients, and to be verified
	After    Stage = "after"    // beside the open new server
	Undoing  Stage = "undoing"  // the old cluster is put back; no server may run
	Held     Stage = "held"     // nothing without an operator
)

// Begin is the journal of an upgrade that was just asked for.
func Begin(req node.UpgradeRequest, by node.Trigger, now time.Time) Journal {
	j := Journal{Request: req}
	j.ID = now.UTC().Format("20060102T150405.000Z")
	j.Do, j.Trigger, j.Started, j.Attempt = req.Do, by, now.UTC(), 1
	j.Outcome = node.UpgradeRunning
	j.reset()
	return j
}

// reset makes every step one that is still to come.
func (j *Journal) reset() {
	j.Steps = nil
	for _, name := range node.StepNames() {
		j.Steps = append(j.Steps, node.UpgradeStep{Name: name, State: node.StepPending})
	}
	j.Findings, j.Moves, j.Percent, j.Doing, j.StopBegan = nil, nil, 0, "", time.Time{}
	j.Disabled, j.Vouched = time.Time{}, false
}

// Next tells what a journal needs.
func Next(j Journal) Stage {
	switch {
	case j.Outcome == node.UpgradeHeld:
		return Held
	case j.Outcome != node.UpgradeRunning:
		return Idle
	case j.Going != Forward:
		return Undoing
	case j.Do == node.UpgradeCheck, j.Do == node.UpgradeRehearse, // whatever its steps say: they are a copy's
		!j.done(node.StepPreflight), !j.done(node.StepPrepare):
		return Beside
	case !j.done(node.StepStop):
		return Stopping
	case !j.done(node.StepPgUpgrade), !j.done(node.StepSwitch):
		return Down
	case !j.done(node.StepStart):
		return Closed
	}
	return After // also once that step is done: a crash may have come before the outcome was written
}

// Recover is the journal as a new supervisor goes on with it: whoever wrote it
// was killed at any moment. What lies on the volume is not known here; the
// stages look for themselves what is done.
func Recover(j Journal, now time.Time) Journal {
	j = j.Clone()
	if j.Outcome != node.UpgradeRunning || j.Going != Forward {
		return j
	}
	switch {
	case j.Do == node.UpgradeRehearse:
		j.Outcome, j.Ended, j.Doing, j.Percent = node.UpgradeFailed, now.UTC(), "", 0
		j.Why = fmt.Sprintf("the rehearsal was interrupted; PostgreSQL %d was not touched. Ask for it again", j.From)
		j.EndStep()
	case !j.done(node.StepPreflight), !j.done(node.StepPrepare), !j.done(node.StepStop),
		j.StepOf(node.StepPgUpgrade).State == node.StepPending:
		// The old cluster is as it was.
		return j.retry(now)
	case !j.done(node.StepPgUpgrade):
		j.GoBack("pg_upgrade was interrupted", j.Attempt < MaxAttempts)
	}
	return j
}

// GoBack turns the journal round. again: it is begun once more afterwards.
func (j *Journal) GoBack(why string, again bool) {
	j.Going, j.Again, j.Why = Back, again, why
}

// retry begins again, or gives up after MaxAttempts.
func (j Journal) retry(now time.Time) Journal {
	if j.Attempt >= MaxAttempts {
		j.Outcome, j.Ended = node.UpgradeFailed, now.UTC()
		j.Why = fmt.Sprintf("the supervisor was killed %d times while it upgraded, so it does not try again; PostgreSQL %d serves as before", j.Attempt, j.From)
		j.EndStep()
		return j
	}
	j.reset()
	j.Attempt++
	j.Going, j.Again = Forward, false
	j.Why = fmt.Sprintf("interrupted; begun again, attempt %d of %d", j.Attempt, MaxAttempts)
	return j
}

// Undone is the journal once the old cluster is back in its place.
func (j Journal) Undone(now time.Time) Journal {
	j = j.Clone()
	for i := range j.Steps {
		if s := &j.Steps[i]; s.State == node.StepDone || s.State == node.StepRunning {
			s.State = node.StepUndone
		}
	}
	if j.Again {
		return j.retry(now)
	}
	j.Outcome, j.Ended, j.Retired, j.Opened = node.UpgradeUndone, now.UTC(), "", false
	j.Percent, j.Doing, j.Undo, j.Reminders, j.FinishAt = 0, "", "", nil, time.Time{}
	return j
}

// EndStep gives the step that ran when the upgrade was refused or failed that
// end too.
func (j *Journal) EndStep() {
	state, ends := map[node.Outcome]node.StepState{node.UpgradeRefused: node.StepRefused, node.UpgradeFailed: node.StepFailed}[j.Outcome]
	if s := j.Step(); ends && s != nil {
		s.State, s.Took = state, j.Ended.Sub(s.Started)
	}
}

// Linked reports whether the old cluster's files are also the new one's.
func (j *Journal) Linked() bool { return j.Mode == node.ModeLink }

// Final reports whether nothing may turn the upgrade round any more: from the
// first start of a linked cluster on, or once clients were let in.
func (j *Journal) Final() bool {
	return j.Opened || j.Linked() && j.StepOf(node.StepStart).State != node.StepPending
}
