package inplace

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/upgrade"
)

// MayUndo looks, before anything is stopped or moved, whether the renames of the
// way back can be made. The error says what is in the way.
func (o *Operation) MayUndo() error {
	j, s := &o.Journal, &o.Site
	switch inWay, err := s.mountsInTheWay(j.Old.PGData, j.New.PGData); {
	case err != nil:
		return err
	case len(inWay) > 0:
		return fmt.Errorf("the old cluster cannot be put back: mounted where the renames go: %s. Make the container anew without these mounts", strings.Join(inWay, ", "))
	}
	if _, err := s.Root.Lstat(filepath.Join(rel(s.Volume, j.Kept), "PG_VERSION")); err != nil {
		return fmt.Errorf("the old cluster cannot be put back: %w", err)
	}
	if j.Old.PGData != j.New.PGData && !o.isHollow(rel(s.Volume, j.Old.PGData)) {
		return fmt.Errorf("the old cluster cannot be put back: its place %s is taken; look what it holds, and move it away", j.Old.PGData)
	}
	return nil
}

// MayGoOn looks whether a way back that is blocked can be called off: whether
// the new cluster is still whole, in its place or where it was built.
func (o *Operation) MayGoOn() error {
	j, s := &o.Journal, &o.Site
	for _, dir := range []string{j.New.PGData, j.Build.PGData} {
		if _, err := s.Root.Lstat(filepath.Join(rel(s.Volume, dir), "PG_VERSION")); err == nil {
			return nil
		}
	}
	return fmt.Errorf("the new cluster is neither in %s nor in %s any more", j.New.PGData, j.Build.PGData)
}

// GoOn makes the renames of the switch again that a way back has undone, the
// rest of which is blocked. Clients had been let in, so the new cluster is done.
func (o *Operation) GoOn(ctx context.Context) error {
	o.Site.freeReserve()
	if err := o.endHelpers(ctx); err != nil {
		return err
	}
	if err := o.switchOver(ctx); err != nil {
		return err
	}
	o.dropEmpty()
	before := o.Journal.Clone()
	o.Journal.Going = upgrade.Forward
	err := o.End(node.UpgradeDone, fmt.Sprintf("the way back was called off: PostgreSQL %d serves as before, and the old cluster stays kept", o.Journal.To))
	if err != nil {
		o.Journal = before // not written down is not done
	}
	return err
}
