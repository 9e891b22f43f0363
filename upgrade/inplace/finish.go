package inplace

import (
	"context"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// Finish removes the old cluster of an upgrade that is done: nothing needs it
// any more but the way back. It can be killed at any moment and begun again.
func (o *Operation) Finish(ctx context.Context) error {
	j := &o.Journal
	begun := time.Now()
	s := j.StepOf(node.StepFinish)
	s.State, s.Started = node.StepRunning, begun.UTC()
	j.Outcome, j.Why, j.Ended = node.UpgradeRunning, "removing the old cluster", time.Time{}
	if err := o.Save(); err != nil {
		return err
	}
	// A rename took along what was mounted in it, until the next container.
	switch inWay, err := o.Site.mountsInTheWay(j.Kept); {
	case err != nil:
		return err
	case len(inWay) > 0:
		return fmt.Errorf("mounted in it, or above it: %s; make the container anew first", strings.Join(inWay, ", "))
	}
	kept := rel(o.Site.Volume, j.Kept)
	for _, t := range o.Site.tablespaces(kept) {
		if err := o.removeVersionDirs(ctx, t, j.From); err != nil {
			return err
		}
	}
	if err := o.removeOldWAL(ctx); err != nil {
		return err
	}
	if err := o.Site.Root.RemoveAll(kept); err != nil {
		return fmt.Errorf("remove the old cluster: %w", err)
	}
	s = j.StepOf(node.StepFinish)
	s.State, s.Took = node.StepDone, time.Since(begun)
	j.Retired = ""
	return o.End(node.UpgradeFinished, fmt.Sprintf("the old cluster of PostgreSQL %d was removed", j.From))
}

// walNames are what a server makes in its WAL directory (xlog_internal.h,
// pgarch.c, walsummary.c).
const walNames = `.*/([0-9A-F]{24}(\.partial|\.[0-9A-F]{8}\.backup)?|[0-9A-F]{8}\.history|xlogtemp\.[0-9]+|archive_status|summaries)`

// removeOldWAL removes WAL that lies outside PGDATA. Newer clusters' may lie in
// directories of their own in there, of upgrades after this one too: so only
// what is the old cluster's for sure goes, and the mount itself stays.
func (o *Operation) removeOldWAL(ctx context.Context) error {
	j := &o.Journal
	if j.Old.WAL == "" {
		return nil
	}
	if path.Dir(j.New.WAL) != j.Old.WAL {
		return o.removeOutside(ctx, j.Old.WAL)
	}
	return proc.Run(ctx, proc.Spec{
		Args: []string{
			"find", j.Old.WAL, "-mindepth", "1", "-maxdepth", "1", "-regextype", "posix-extended", "-regex", walNames,
			"-exec", "rm", "-rf", "--", "{}", "+",
		},
		Env: o.Site.Environ, Dir: "/", User: &o.Site.User,
	})
}
