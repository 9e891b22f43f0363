package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
)

// lookInterval is how often a command that follows an upgrade looks. A look
// costs the supervisor microseconds.
const lookInterval = 250 * time.Millisecond

// patience is how long a supervisor may be silent while a command follows it:
// longer than its restart back-off (5 s) and its start together.
const patience = time.Minute

// follower gives a request and follows it to its end, across a restart of the
// supervisor.
type follower struct {
	c        *nodeapi.Client
	view     view
	asked    node.UpgradeVerb // empty: the one that is there, whatever it is
	patience time.Duration    // how long nobody may answer, or nothing be told of the request
	interval time.Duration

	before mark      // the upgrade before the request
	id     string    // of the one that is followed, once it was seen
	heard  time.Time // of it, last
	over   time.Time // when its end was seen
}

func newFollower(c *nodeapi.Client, v view) *follower {
	return &follower{c: c, view: v, patience: patience, interval: lookInterval}
}

// mark tells one account of an upgrade from another: an undo keeps the id of
// the upgrade that it undoes.
type mark struct {
	id      string
	outcome node.Outcome
	why     string
	ended   time.Time
	step    node.StepName // the one that runs
}

func markOf(u *node.Upgrade) mark {
	if u == nil {
		return mark{}
	}
	m := mark{id: u.ID, outcome: u.Outcome, why: u.Why, ended: u.Ended.UTC()}
	if s := u.Step(); s != nil {
		m.step = s.Name
	}
	return m
}

// give gives the order and returns the node's state once it was accepted.
func (f *follower) give(ctx context.Context, r node.UpgradeRequest) (node.State, error) {
	st, err := f.c.State(ctx)
	if err != nil {
		return st, err
	}
	f.before = markOf(st.Upgrade)
	return f.c.Do(ctx, node.Order{Do: node.DoUpgrade, Upgrade: &r})
}

// follow shows the upgrade until it has ended, beginning with what st tells of it.
func (f *follower) follow(ctx context.Context, st node.State) (node.Upgrade, error) {
	defer f.view.end()
	tick := time.NewTicker(f.interval)
	defer tick.Stop()
	f.heard = time.Now()
	var err error
	for {
		if err == nil && f.mine(st.Upgrade) {
			f.heard = time.Now()
			f.view.show(st)
			if f.ended(*st.Upgrade) && f.settled(st) {
				return *st.Upgrade, nil
			}
		}
		if late := time.Since(f.heard); late > f.patience {
			return node.Upgrade{}, f.lost(err, late)
		}
		select {
		case <-ctx.Done():
			return node.Upgrade{}, &failed{exitNo, errors.New("no longer watching; the upgrade goes on\nhint: `pgbaton upgrade status --watch`")}
		case <-tick.C:
		}
		st, err = f.c.State(ctx)
		if err != nil && ctx.Err() == nil {
			f.view.silent()
		}
	}
}

// mine reports whether u is the upgrade that is followed.
func (f *follower) mine(u *node.Upgrade) bool {
	switch {
	case u == nil:
		return false
	case f.asked == node.UpgradeFinish && f.id != "":
		return true // several old clusters go one after the other
	case f.id != "":
		return u.ID == f.id
	case f.asked != "" && u.Outcome != node.UpgradeRunning && markOf(u) == f.before:
		return false // the one before: ours has not begun yet
	}
	f.id = u.ID
	return true
}

// ended reports whether nothing more comes. A finish leaves the upgrade done
// while its step runs; one that fails says why instead.
func (f *follower) ended(u node.Upgrade) bool {
	switch {
	case u.Outcome == node.UpgradeRunning:
		return false
	case f.asked == node.UpgradeFinish && u.Outcome == node.UpgradeDone:
		return u.ID == f.before.id && u.Why != f.before.why
	}
	return true
}

// settled reports whether the server that the outcome speaks of serves: it is
// started after an undo has put it back. Where it does not come the outcome is
// told all the same, and what is wrong by `pgbaton status`.
func (f *follower) settled(st node.State) bool {
	if f.over.IsZero() {
		f.over = time.Now()
	}
	if st.Upgrade.Outcome == node.UpgradeHeld {
		return true
	}
	switch st.Phase {
	case node.Upgrading, node.Starting, node.Recovering, node.Stopping:
		return time.Since(f.over) > f.patience
	}
	return true
}

// lost is the error when nothing was heard for too long.
func (f *follower) lost(err error, late time.Duration) error {
	const hint = "\nhint: the upgrade goes on by itself; see `pgbaton upgrade status` and the container's log"
	switch {
	case errors.Is(err, nodeapi.ErrNoSupervisor):
		return &failed{exitSilent, fmt.Errorf("no supervisor answered on %s for %s%s", f.c.Socket(), span(late), hint)}
	case err != nil:
		return &failed{exitNo, err}
	}
	return &failed{exitNo, fmt.Errorf("the node tells nothing of this request for %s: another one may have taken its place, or a crash came before it was written down%s", span(late), hint)}
}
