package main

import (
	"errors"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
)

// upgrade accepts a request and plays it: to 17 it succeeds, to 18 it is
// undone, to 19 refused, to 20 held; 99 is no longer accepted. All of an
// upgrade's story is told by State.
func (f *fake) upgrade(r node.UpgradeRequest) error {
	latest := f.State().Upgrade
	switch {
	case r.Target == 99:
		return errors.New("PostgreSQL 99 is not here; nothing was done\nhint: the programs of 17, 18 are")
	case (r.Do == node.UpgradeUndo || r.Do == node.UpgradeFinish) && (latest == nil || latest.Retired == ""):
		return errors.New("no old cluster is kept; nothing was done")
	}
	u := node.Upgrade{
		ID: "20261123T074300.000Z", Do: r.Do, Trigger: node.ByCommand, Outcome: node.UpgradeRunning, From: 15, To: r.Target,
		Mode: node.ModeCopy, Attempt: 1, Started: time.Now(), Why: "asked for",
	}
	if r.Do == node.UpgradeUndo || r.Do == node.UpgradeFinish {
		u = *latest
		u.Steps = append([]node.UpgradeStep(nil), latest.Steps...)
		u.Outcome, u.Ended = node.UpgradeRunning, time.Time{}
	} else {
		for _, name := range node.StepNames() {
			u.Steps = append(u.Steps, node.UpgradeStep{Name: name, State: node.StepPending})
		}
	}
	go f.play(r, u)
	return nil
}

// seen waits until the state that holds now was read, twice for a read that
// was under way; or nobody reads.
func (f *fake) seen() {
	for before, begun := f.reads.Load(), time.Now(); f.reads.Load() < before+2 && time.Since(begun) < 20*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
}

// tell publishes a copy and waits until it was seen.
func (f *fake) tell(u node.Upgrade, phase node.Phase, why string) {
	u.Steps = append([]node.UpgradeStep(nil), u.Steps...)
	st := f.State()
	st.Upgrade, st.Phase, st.Why, st.Ready, st.Time = &u, phase, why, phase == node.Running, time.Now()
	f.st.Store(&st)
	f.seen()
}

func (f *fake) play(r node.UpgradeRequest, u node.Upgrade) {
	f.seen() // until then the state tells of the upgrade before
	switch r.Do {
	case node.UpgradeUndo:
		f.tell(u, node.Upgrading, "the old cluster is put back")
		u.Outcome, u.Why, u.Retired, u.Ended = node.UpgradeUndone, "PostgreSQL 15 serves again", "", time.Now()
		f.tell(u, node.Recovering, "postgres starts")
		f.tell(u, node.Running, "postgres accepts connections")
		return
	case node.UpgradeFinish:
		last := len(u.Steps) - 1
		u.Outcome, u.Steps[last].State = node.UpgradeDone, node.StepRunning
		f.tell(u, node.Running, "postgres accepts connections")
		u.Steps[last].State = node.StepDone
		u.Outcome, u.Why, u.Retired, u.Ended = node.UpgradeFinished, "the old cluster was removed", "", time.Now()
		f.tell(u, node.Running, "postgres accepts connections")
		return
	}
	f.step(&u, 0, node.Running, "looking for what would fail", 0)
	switch {
	case r.Target == 19:
		u.Findings = []node.Finding{{
			Level: node.Refuse, Code: "prepared-transactions", Text: "2 prepared transactions are open in database app",
			Hint: "commit or roll them back: select * from pg_prepared_xacts", Detail: "line one\nline two",
		}}
		f.ended(u, node.UpgradeRefused, "2 prepared transactions are open; nothing was touched")
		return
	case r.Do == node.UpgradeCheck:
		f.ended(u, node.UpgradeChecked, "nothing speaks against an upgrade to 17")
		return
	}
	f.step(&u, 2, node.Upgrading, "", 0)
	f.step(&u, 3, node.Upgrading, "restoring schemas", 42)
	switch {
	case r.Target == 20:
		f.ended(u, node.UpgradeHeld, "linked files changed; an operator decides")
	case r.Target == 18:
		f.ended(u, node.UpgradeUndone, "pg_upgrade failed; PostgreSQL 15 serves as before")
	case r.Do == node.UpgradeRehearse:
		u.Forecast = 4 * time.Second
		f.ended(u, node.Rehearsed, "an upgrade to 17 would succeed")
	default:
		u.Outage, u.Retired = 3900*time.Millisecond, "/var/lib/postgresql/.pgbaton/retired/15"
		u.Undo = "`pgbaton upgrade undo` serves the old cluster again; every write since the upgrade stays behind"
		u.Reminders = []string{"take a new base backup: the old ones belong to the old cluster only"}
		f.ended(u, node.UpgradeDone, "PostgreSQL 17 serves")
	}
}

// step plays one step.
func (f *fake) step(u *node.Upgrade, i int, phase node.Phase, doing string, percent float64) {
	u.Steps[i].State, u.Steps[i].Started = node.StepRunning, time.Now()
	f.tell(*u, phase, "an upgrade is under way")
	u.Doing, u.Percent = doing, percent
	f.tell(*u, phase, "an upgrade is under way")
	u.Doing, u.Percent = "", 0
	u.Steps[i].State, u.Steps[i].Took = node.StepDone, 1234*time.Millisecond
}

func (f *fake) ended(u node.Upgrade, outcome node.Outcome, why string) {
	u.Outcome, u.Why, u.Ended = outcome, why, time.Now()
	phase := node.Running
	if outcome == node.UpgradeHeld {
		phase = node.Holding
	}
	f.tell(u, phase, why)
}
