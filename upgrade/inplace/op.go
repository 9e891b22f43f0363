package inplace

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/upgrade"
)

const (
	journalDir = ".pgbaton/journal"
	// JournalFile is the journal of the latest upgrade, relative to the volume.
	JournalFile = journalDir + "/upgrade.json"
	// ResultFile says what became of the latest request, relative to the volume.
	ResultFile = "upgrade.result.json"
)

// progressEvery bounds how often the same is told again.
const progressEvery = 200 * time.Millisecond

// Operation carries an upgrade through one stage. The journal is its own as
// long as a stage runs; whoever else wants to see it is given copies.
type Operation struct {
	Site    Site
	Journal upgrade.Journal
	Hooks   Hooks
	Log     *slog.Logger
	// Publish is given a copy of the journal whenever it changed.
	Publish func(upgrade.Journal)
	// Prepared lasts from preflight to pg_upgrade: a crash in between begins again.
	Prepared Prepared

	mu   sync.Mutex // progress comes from any goroutine
	told time.Time  // when it was published last
}

// Save writes the journal and the result file, durably, and publishes it.
func (o *Operation) Save() error {
	uid, gid := o.owner()
	if err := durable.MkdirAll(o.Site.Root, journalDir, uid, gid); err != nil {
		return err
	}
	o.mu.Lock()
	j := o.Journal.Clone()
	o.mu.Unlock()
	err := durable.WriteJSON(o.Site.Root, JournalFile, j, uid, gid)
	if errors.Is(err, syscall.ENOSPC) && o.Site.freeReserve() {
		err = durable.WriteJSON(o.Site.Root, JournalFile, j, uid, gid)
	}
	if err != nil {
		return err
	}
	// Who reads that it is done may read the result, and order the next thing.
	defer o.publish(j)
	return durable.WriteJSON(o.Site.Root, ResultFile, j.Upgrade, uid, gid)
}

// Prepared is what was found and made ready beside the old server.
type Prepared struct {
	Facts                  upgrade.Facts
	OldOptions, NewOptions []string // of the servers that pg_upgrade starts
}

func (o *Operation) publish(j upgrade.Journal) {
	if o.Publish != nil {
		o.Publish(j)
	}
}

func (o *Operation) owner() (uid, gid int) { return o.Site.owner() }

// progress notes what the running step does, without writing it down: a crash
// makes it worthless.
func (o *Operation) progress(doing string, percent float64) {
	o.mu.Lock()
	changed := doing != o.Journal.Doing
	due := changed || time.Since(o.told) > progressEvery
	o.Journal.Doing, o.Journal.Percent = doing, percent
	if due {
		o.told = time.Now()
	}
	j := o.Journal.Clone()
	o.mu.Unlock()
	if changed {
		o.Log.Info("upgrade: "+doing, "step", string(o.stepName()))
	}
	if due {
		o.publish(j)
	}
}

func (o *Operation) stepName() node.StepName {
	if s := o.Journal.Step(); s != nil {
		return s.Name
	}
	return ""
}

// find adds what was found.
func (o *Operation) find(found ...node.Finding) {
	for _, f := range found {
		level := slog.LevelInfo
		if f.Level == node.Refuse {
			level = slog.LevelWarn
		}
		o.Log.Log(context.Background(), level, "upgrade: "+f.Text, "code", f.Code, "hint", f.Hint)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.Journal.Findings = append(o.Journal.Findings, found...)
}

// step does one step: intent before, completion after, hooks around. One that
// is done already is left alone.
func (o *Operation) step(ctx context.Context, name node.StepName, do func(ctx context.Context) error) error {
	if o.Journal.StepOf(name).State == node.StepDone {
		return nil
	}
	if err := o.doStep(ctx, name, do); err != nil {
		return err
	}
	return o.Save()
}

// doStep leaves it to the caller to write down the completion, together with
// the intent of the next step: in between, a crash leaves this one to be looked
// at again, which every step bears.
func (o *Operation) doStep(ctx context.Context, name node.StepName, do func(ctx context.Context) error) error {
	s := o.Journal.StepOf(name)
	if s.State == node.StepDone {
		return nil
	}
	begun := time.Now()
	s.State, s.Started, s.Took = node.StepRunning, begun.UTC(), 0
	o.Journal.Doing, o.Journal.Percent = "", 0
	if err := o.Save(); err != nil {
		return err
	}
	o.Log.Info("upgrade: step begins", "step", string(name), "from", o.Journal.From, "to", o.Journal.To, "mode", string(o.Journal.Mode))
	err := o.Hooks.run(ctx, o, "before", name)
	if err == nil {
		err = do(ctx)
	}
	if err == nil {
		err = o.Hooks.run(ctx, o, "after", name)
	}
	if err != nil {
		return fmt.Errorf("step %s: %w", name, err)
	}
	durable.Point(string(name), "done")
	s = o.Journal.StepOf(name) // the journal's steps may have been copied meanwhile
	s.State, s.Took = node.StepDone, time.Since(begun)
	o.Journal.Doing, o.Journal.Percent = "", 0
	o.Log.Info("upgrade: step done", "step", string(name), "took", s.Took.Round(time.Millisecond).String())
	return nil
}

// End ends the upgrade with an outcome.
func (o *Operation) End(outcome node.Outcome, why string) error {
	j := &o.Journal
	j.Outcome, j.Why, j.Ended, j.Doing, j.Percent = outcome, why, time.Now().UTC(), "", 0
	j.EndStep()
	switch outcome {
	case node.UpgradeDone, node.UpgradeFinished:
		j.Undo = upgrade.UndoText(*j)
	case node.UpgradeChecked, node.Rehearsed:
		j.Undo = upgrade.WayBackText(j.Mode)
	}
	level := slog.LevelInfo
	switch outcome {
	case node.UpgradeRefused, node.UpgradeFailed, node.UpgradeUndone:
		level = slog.LevelWarn
	case node.UpgradeHeld:
		level = slog.LevelError
	}
	o.Log.Log(context.Background(), level, "upgrade: "+why, "outcome", string(outcome))
	return o.Save()
}

// cancelled reports whether an error is the end of the stage and not a failure
// of the upgrade: the container is to end.
func cancelled(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded)
}
