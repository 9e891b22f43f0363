package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

const (
	controlFile    = "global/pg_control"
	disabledSuffix = ".old" // disable_old_cluster in pg_upgrade/controldata.c
)

// Undo puts the old cluster back in its place. No server runs meanwhile, but
// those that a killed pg_upgrade left may: they end first. Each part looks for
// itself what is still to do, so a crash in it is harmless.
func (o *Operation) Undo(ctx context.Context) error {
	o.Site.freeReserve()
	if err := o.endHelpers(ctx); err != nil {
		return err
	}
	if o.Journal.Linked() {
		if err := o.verifyLinked(); err != nil {
			return err
		}
	}
	durable.Point("undo", "verified")
	if err := o.moveBack(); err != nil {
		return err
	}
	durable.Point("undo", "moved")
	if err := o.enableOld(); err != nil {
		return err
	}
	if err := o.dropNew(ctx); err != nil {
		return err
	}
	// What is empty now: where the entries were moved, and the new major's directory.
	_ = o.Site.Root.Remove(rel(o.Site.Volume, o.Journal.Kept))
	if o.Journal.New.PGData != o.Journal.Old.PGData {
		_ = o.Site.Root.Remove(path.Dir(rel(o.Site.Volume, o.Journal.New.PGData)))
	}
	if o.Journal.Going == upgrade.Retreat {
		o.Journal.Why = "on an operator's order"
	}
	why := o.Journal.Why
	o.Journal = o.Journal.Undone(time.Now())
	if o.Journal.Outcome != node.UpgradeUndone {
		return o.Save()
	}
	return o.End(node.UpgradeUndone, fmt.Sprintf("PostgreSQL %d serves again as before: %s", o.Journal.From, why))
}

// enableOld gives the old cluster its pg_control back, which pg_upgrade
// renames before it links the first file.
func (o *Operation) enableOld() error {
	dir := rel(o.Site.Volume, o.Journal.Old.PGData)
	control := path.Join(dir, controlFile)
	_, disabled := o.Site.Root.Lstat(control + disabledSuffix)
	_, enabled := o.Site.Root.Lstat(control)
	switch {
	case disabled == nil && errors.Is(enabled, fs.ErrNotExist):
		return durable.Rename(o.Site.Root, control+disabledSuffix, control)
	case disabled == nil && enabled == nil:
		// Both names for one moment after a loss of power: the same content.
		return durable.Remove(o.Site.Root, control+disabledSuffix)
	case enabled != nil:
		return fmt.Errorf("the old cluster %s has no pg_control: %w; nothing more was changed", o.Journal.Old.PGData, enabled)
	}
	return nil
}

// dropNew removes the new cluster, or keeps it aside where clients have
// written to it.
func (o *Operation) dropNew(ctx context.Context) error {
	j := &o.Journal
	if j.Going == upgrade.Retreat {
		return o.keepNew()
	}
	o.keepLogs()
	for _, t := range o.Site.tablespaces(rel(o.Site.Volume, j.Old.PGData)) {
		if err := o.removeVersionDirs(ctx, t, j.To); err != nil {
			return err
		}
	}
	if j.Build.WAL != "" {
		if err := o.removeOutside(ctx, j.Build.WAL); err != nil {
			return err
		}
	}
	return o.Site.clearScratch()
}

// keepLogs keeps what a failed pg_upgrade wrote about itself.
func (o *Operation) keepLogs() {
	from := path.Join(rel(o.Site.Volume, o.Journal.Build.PGData), "pg_upgrade_output.d")
	if _, err := o.Site.Root.Lstat(from); err != nil {
		return
	}
	to := path.Join(".pgbaton/logs", o.Journal.ID)
	uid, gid := o.owner()
	err := durable.MkdirAll(o.Site.Root, path.Dir(to), uid, gid)
	if err == nil {
		_ = o.Site.Root.RemoveAll(to)
		err = o.Site.Root.Rename(from, to)
	}
	if err != nil {
		o.Log.Warn("keep the logs of pg_upgrade", "error", err)
		return
	}
	o.dropOldLogs(path.Dir(to))
	o.find(node.Finding{Level: node.Note, Code: "pg-upgrade-logs", Text: "what pg_upgrade logged is kept in " + filepath.Join(o.Site.Volume, to)})
}

// keptLogs is of how many failed upgrades the logs are kept: they hold dumps of
// the schema.
const keptLogs = 3

// dropOldLogs removes all but the latest; their names are times.
func (o *Operation) dropOldLogs(dir string) {
	names, err := o.Site.names(dir)
	for i := 0; err == nil && i < len(names)-keptLogs; i++ {
		err = o.Site.Root.RemoveAll(path.Join(dir, names[i]))
	}
	if err != nil {
		o.Log.Warn("remove the logs of older upgrades", "error", err)
	}
}

// keepNew keeps a cluster that clients have written to.
func (o *Operation) keepNew() error {
	j := &o.Journal
	from := rel(o.Site.Volume, j.Build.PGData)
	to := path.Join(".pgbaton/retired", j.ID+"-undone-"+strconv.Itoa(j.To))
	if _, err := o.Site.Root.Lstat(from); errors.Is(err, fs.ErrNotExist) {
		return nil // done before a crash
	}
	if err := durable.Rename(o.Site.Root, from, to); err != nil {
		return err
	}
	o.find(node.Finding{
		Level: node.Note, Code: "new-cluster-kept", Text: fmt.Sprintf("the cluster of PostgreSQL %d with the writes since the upgrade is kept at %s", j.To, filepath.Join(o.Site.Volume, to)),
		Hint: "take out what is needed with that major's programs, then remove the directory",
	})
	return o.Site.clearScratch()
}

// removeVersionDirs removes what a major has in a tablespace's directory:
// PG_17_202406281. It lies outside the volume perhaps, so the server's user does it.
func (o *Operation) removeVersionDirs(ctx context.Context, tablespace string, major int) error {
	found, err := filepath.Glob(filepath.Join(tablespace, fmt.Sprintf("PG_%d_*", major)))
	if err != nil {
		return err
	}
	for _, dir := range found {
		if err := o.removeOutside(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

// removeOutside removes a directory that need not lie on the volume, with the
// rights of the server's user.
func (o *Operation) removeOutside(ctx context.Context, dir string) error {
	if dir == "" || !filepath.IsAbs(dir) || strings.Count(filepath.Clean(dir), "/") < 2 {
		return fmt.Errorf("%q is no directory to remove", dir)
	}
	return proc.Run(ctx, proc.Spec{Args: []string{"rm", "-rf", "--", dir}, Env: o.Site.Environ, Dir: "/", User: &o.Site.User})
}
