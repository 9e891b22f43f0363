package inplace

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// RehearsalDir is the volume of a rehearsal, relative to the real one: a copy
// of the cluster, and everything that an upgrade of it makes.
const RehearsalDir = ".pgbaton/rehearsal"

// rehearsal is the upgrade of a copy, by the same code as the real one: an
// operation on a volume of its own, which lies in a directory of the real one.
type rehearsal struct {
	real   *Operation
	copied Operation
	server *pg.Helper     // runs on the copy; nil: none
	before []node.Finding // of the real cluster
}

// rehearse upgrades a copy of the cluster beside the running server: steps and
// findings of that are the journal's, and the forecast. The copy is gone when
// it returns. The user's hooks run as in an upgrade and may veto; they see
// PGBATON_UPGRADE_DO=rehearse.
//
// The journal on disk says no more than that a rehearsal is under way, until
// its end: its steps are not the real cluster's.
func (o *Operation) rehearse(ctx context.Context, open Session) (err error) {
	if err := o.dropPrepared(ctx); err != nil {
		return err
	}
	found := upgrade.JudgeRehearsal(o.Prepared.Facts)
	o.find(found...)
	if bad := refusing(found); len(bad) > 0 {
		return &RefusedError{bad}
	}
	if err := o.Site.CleanRehearsal(ctx); err != nil {
		return err
	}
	r := &rehearsal{real: o, before: slices.Clone(o.Journal.Findings)}
	bounded, release := r.keepReserve(ctx)
	defer func() {
		var full *reserveError
		if errors.As(context.Cause(bounded), &full) {
			err = full
		}
		release()
		if left := r.clear(context.WithoutCancel(ctx)); left != nil {
			o.find(node.Finding{
				Level: node.Note, Code: "rehearsal-left", Text: "the rehearsal's copy could not be removed: " + left.Error(),
				Hint: "the next rehearsal tries again; or remove " + filepath.Join(o.Site.Volume, RehearsalDir) + " by hand",
			})
		}
	}()
	if err := o.doStep(bounded, node.StepPrepare, func(ctx context.Context) error { return r.prepare(ctx, open) }); err != nil {
		return err
	}
	*r.copied.Journal.StepOf(node.StepPrepare) = *o.Journal.StepOf(node.StepPrepare)
	if err := r.upgrade(bounded); err != nil {
		return err
	}
	o.Journal.Forecast = upgrade.Forecast(r.copied.Journal)
	return nil
}

// dropPrepared removes the new cluster that preflight made for the real one.
func (o *Operation) dropPrepared(ctx context.Context) error {
	if o.Journal.Build.WAL != "" {
		if err := o.removeOutside(ctx, o.Journal.Build.WAL); err != nil {
			return err
		}
	}
	return o.Site.clearScratch()
}

// prepare makes the copy, a server on it, and the new cluster.
func (r *rehearsal) prepare(ctx context.Context, open Session) error {
	if err := r.makeVolume(); err != nil {
		return err
	}
	if err := r.copyCluster(ctx, open); err != nil {
		return err
	}
	c := &r.copied
	tell := r.real.progress
	// Else the copy's last gigabytes would be written in the middle of what is timed.
	tell("making the copy durable", 65)
	if err := proc.Run(ctx, c.Site.spec(c.Site.Old, "initdb", "--sync-only", "--pgdata="+c.Site.PGData)); err != nil {
		return fmt.Errorf("make the copy durable: %w", err)
	}
	tell("recovering the copy to a consistent state", 75)
	if err := r.start(ctx, c.Site.Old, c.Site.PGData); err != nil {
		return err
	}
	tell("making an empty cluster of the new major", 85)
	if err := MakeCluster(ctx, &c.Site, c.Prepared.Facts, c.Journal.Build.PGData, ""); err != nil {
		return err
	}
	return c.prepare(ctx, r.session)
}

// makeVolume makes the directory and the operation that takes it for a volume.
func (r *rehearsal) makeVolume() error {
	o := r.real
	uid, gid := o.owner()
	if err := durable.MkdirAll(o.Site.Root, RehearsalDir, uid, gid); err != nil {
		return err
	}
	root, err := o.Site.Root.OpenRoot(RehearsalDir)
	if err != nil {
		return err
	}
	r.copied = Operation{
		Site: o.Site, Journal: o.Journal.Clone(), Hooks: o.Hooks, Log: o.Log.With("rehearsal", true), Publish: r.publish,
		Prepared: Prepared{Facts: r.facts()},
	}
	s, j := &r.copied.Site, &r.copied.Journal
	s.Root, s.Volume = root, filepath.Join(o.Site.Volume, RehearsalDir)
	s.PGData = filepath.Join(s.Volume, "data")
	s.Args = r.moved(o.Site.Args)
	j.Findings = nil
	j.Old, j.New = upgrade.Paths{PGData: s.PGData}, upgrade.Paths{PGData: s.PGData}
	if o.Journal.New.PGData != o.Journal.Old.PGData {
		j.New.PGData = filepath.Join(s.Volume, "new")
	}
	j.Build = upgrade.Paths{PGData: s.Scratch("new")}
	j.Kept = filepath.Join(s.Volume, ".pgbaton/retired", j.ID)
	for _, dir := range []string{"data", "spaces"} {
		if err := durable.MkdirAll(root, dir, uid, gid); err != nil {
			return err
		}
	}
	return nil
}

// facts are the real cluster's, with paths of the copy.
func (r *rehearsal) facts() upgrade.Facts {
	f := r.real.Prepared.Facts
	settings := map[string]string{}
	for name, value := range f.Server.Settings {
		settings[name] = r.moved([]string{value})[0]
	}
	f.Server.Settings = settings
	return f
}

// moved is text with the copy's data directory for the real one.
func (r *rehearsal) moved(text []string) []string {
	res := make([]string, len(text))
	for i, t := range text {
		res[i] = strings.ReplaceAll(t, r.real.Site.PGData+"/", filepath.Join(r.real.Site.Volume, RehearsalDir, "data")+"/")
	}
	return res
}

// publish shows the copy's steps as those of the rehearsal.
func (r *rehearsal) publish(of upgrade.Journal) {
	o := r.real
	if s := of.Step(); s != nil && s.Name == node.StepPrepare {
		of.Percent = 90 + of.Percent/10 // what came before it is the copy
	}
	o.mu.Lock()
	o.Journal.Steps, o.Journal.Doing, o.Journal.Percent = of.Steps, of.Doing, of.Percent
	o.Journal.Findings = slices.Concat(r.before, of.Findings)
	j := o.Journal.Clone()
	o.mu.Unlock()
	o.publish(j)
}

// upgrade carries the copy through the steps from the stop on.
func (r *rehearsal) upgrade(ctx context.Context) error {
	c := &r.copied
	defer func() { r.publish(c.Journal.Clone()) }()
	if err := c.beginStop(ctx, r.session); err != nil {
		return err
	}
	if err := r.stop(ctx); err != nil {
		return err
	}
	if err := c.Stopped(ctx); err != nil {
		return err
	}
	if err := c.Down(ctx); err != nil {
		return err
	}
	c.progress("starting the new server, closed", 0)
	if err := r.start(ctx, c.Site.New, c.Journal.New.PGData); err != nil {
		return err
	}
	if err := c.Verify(ctx, r.session); err != nil {
		return err
	}
	if err := c.Opened(time.Now()); err != nil {
		return err
	}
	if err := c.complete(ctx, r.session); err != nil {
		return err
	}
	return r.stop(ctx)
}
