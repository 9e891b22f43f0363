package inplace

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// RefusedError is an upgrade that preflight refuses; the findings are in the journal.
type RefusedError struct{ Findings []node.Finding }

func (e *RefusedError) Error() string {
	var texts []string
	for _, f := range e.Findings {
		texts = append(texts, f.Text)
	}
	return strings.Join(texts, "; ")
}

// Before does what can be done beside the running old server: preflight and
// prepare.
func (o *Operation) Before(ctx context.Context, open Session) error {
	if err := o.step(ctx, node.StepPreflight, func(ctx context.Context) error { return o.preflight(ctx, open) }); err != nil {
		return err
	}
	if o.Journal.Do != node.UpgradeNow {
		return nil
	}
	return o.step(ctx, node.StepPrepare, func(ctx context.Context) error { return o.prepare(ctx, open) })
}

// Ready brings the upgrade to the moment before the stop, or to its end: what
// became of it stands in the journal. The error is that of writing it.
func (o *Operation) Ready(ctx context.Context, open Session) error {
	err := o.Before(ctx, open)
	switch {
	case err == nil && o.Journal.Do == node.UpgradeNow:
		err = o.beginStop(ctx, open)
	case err == nil && o.Journal.Do == node.UpgradeRehearse:
		err = o.rehearse(ctx, open)
	}
	var refused *RefusedError
	switch {
	case cancelled(ctx, err):
		return nil
	case errors.As(err, &refused):
		return errors.Join(o.discard(ctx), o.End(node.UpgradeRefused, fmt.Sprintf("nothing was stopped or changed: %v", err)))
	case err != nil:
		return errors.Join(o.discard(ctx), o.End(node.UpgradeFailed, fmt.Sprintf("PostgreSQL %d serves on, nothing was stopped: %v", o.Journal.From, err)))
	case o.Journal.Do == node.UpgradeRehearse:
		return o.End(node.Rehearsed, upgrade.RehearsedText(o.Journal))
	case o.Journal.Do == node.UpgradeCheck:
		return errors.Join(o.discard(ctx), o.End(node.UpgradeChecked, fmt.Sprintf("nothing stands against an upgrade from %d to %d", o.Journal.From, o.Journal.To)))
	}
	return nil
}

// beginStop is the last thing before the outage. What the cluster holds is
// counted here and not before: what is dropped meanwhile would be missed later.
func (o *Operation) beginStop(ctx context.Context, open Session) error {
	if err := o.Hooks.run(ctx, o, "before", node.StepStop); err != nil {
		return err
	}
	census, err := TakeCensus(ctx, open)
	if err != nil {
		return err
	}
	o.Journal.Census = census
	now := time.Now().UTC()
	s := o.Journal.StepOf(node.StepStop)
	s.State, s.Started = node.StepRunning, now
	o.Journal.StopBegan, o.Journal.Doing = now, "stopping the old server"
	return o.Save()
}

func (o *Operation) preflight(ctx context.Context, open Session) error {
	if err := o.Site.clearScratch(); err != nil {
		return err
	}
	if err := o.plan(ctx); err != nil {
		return err
	}
	facts, found, err := Preflight(ctx, &o.Site, open, o.Journal.Request, o.progress)
	o.find(found...)
	// A reason to refuse stands, whatever could not be found out after it.
	if refusals := refusing(found); len(refusals) > 0 && !cancelled(ctx, err) {
		return &RefusedError{refusals}
	}
	if err != nil {
		return err
	}
	o.Prepared.Facts = facts
	mode, finding := upgrade.ChooseMode(o.Journal.Request.Mode, facts)
	if finding != nil {
		o.find(*finding)
		if finding.Level == node.Refuse {
			return &RefusedError{[]node.Finding{*finding}}
		}
	}
	o.Journal.Mode = mode
	o.Journal.Quiet = mode != node.ModeLink && o.Journal.From >= 17 && len(facts.Server.Subscriptions) > 0
	return nil
}

func refusing(found []node.Finding) []node.Finding {
	return slices.DeleteFunc(slices.Clone(found), func(f node.Finding) bool { return f.Level != node.Refuse })
}

// discard removes what was built beside the old server.
func (o *Operation) discard(ctx context.Context) error {
	err := o.Site.clearScratch()
	if wal := o.Journal.Build.WAL; wal != "" {
		err = errors.Join(err, o.removeOutside(context.WithoutCancel(ctx), wal))
	}
	return err
}

// plan says where everything is and will be, and writes it down: what a crash
// leaves outside the volume is known by it.
func (o *Operation) plan(ctx context.Context) error {
	j, s := &o.Journal, &o.Site
	wal, err := s.walDir(rel(s.Volume, s.PGData))
	if err != nil {
		return err
	}
	newWAL := upgrade.NewWAL(wal, j.From, j.To)
	if newWAL != "" && newWAL == j.Build.WAL {
		err = o.removeOutside(ctx, newWAL) // of an attempt that crashed
	} else {
		j.Build.WAL = ""
		err = vacant(newWAL)
	}
	if err != nil {
		return err
	}
	j.Old = upgrade.Paths{PGData: s.PGData, WAL: wal}
	j.New = upgrade.Paths{PGData: s.NewPGData(), WAL: newWAL}
	j.Build = upgrade.Paths{PGData: s.Scratch("new"), WAL: j.New.WAL}
	j.Kept = path.Join(s.Volume, ".pgbaton/retired", fmt.Sprintf("%s-%d", j.ID, j.From))
	if j.New.PGData == j.Old.PGData {
		return o.Save()
	}
	if content, err := pg.Look(j.New.PGData); err == nil && content.Kind != pg.Missing && content.Kind != pg.Empty {
		f := node.Finding{
			Level: node.Refuse, Code: "target-not-empty", Text: fmt.Sprintf("%s is where the new cluster goes, and it is not empty", j.New.PGData),
			Hint: "look what it holds; move it away if nobody needs it",
		}
		o.find(f)
		return &RefusedError{[]node.Finding{f}}
	}
	return o.Save()
}

// prepare leaves as little as possible for the time without a server.
func (o *Operation) prepare(ctx context.Context, open Session) error {
	if err := o.Site.makeDir("work"); err != nil {
		return err
	}
	if err := o.Site.makeReserve(); err != nil {
		return err
	}
	var err error
	if o.Prepared.OldOptions, o.Prepared.NewOptions, err = HelperOptions(ctx, &o.Site, o.Prepared.Facts); err != nil {
		return err
	}
	o.progress("writing a checkpoint, so that the stop is short", 50)
	begun := time.Now()
	err = open(ctx, func(ctx context.Context, login func(string) pg.Login) error { return login("").Checkpoint(ctx) })
	if err != nil {
		return err
	}
	// What came in meanwhile is written by a second, shorter one.
	if time.Since(begun) > time.Second {
		err = open(ctx, func(ctx context.Context, login func(string) pg.Login) error { return login("").Checkpoint(ctx) })
	}
	return err
}
