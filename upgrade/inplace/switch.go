package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/upgrade"
)

// carriedNever are the names in a data directory that are ours, where the
// volume itself is the data directory.
var carriedNever = []string{".pgbaton", "upgrade", ResultFile, "lost+found"}

// switchOver makes the renames that are not made yet.
func (o *Operation) switchOver(context.Context) error {
	o.progress("putting the new cluster in the old one's place", 0)
	uid, gid := o.owner()
	dirs := []string{path.Dir(rel(o.Site.Volume, o.Journal.New.PGData))}
	if o.Journal.Old.PGData == o.Journal.New.PGData {
		dirs = append(dirs, rel(o.Site.Volume, o.Journal.Kept))
	} else {
		dirs = append(dirs, path.Dir(rel(o.Site.Volume, o.Journal.Kept)))
	}
	for _, dir := range dirs {
		if err := durable.MkdirAll(o.Site.Root, dir, uid, gid); err != nil {
			return err
		}
	}
	if err := o.move(o.Journal.Moves); err != nil {
		return err
	}
	o.Journal.Retired = o.Journal.Kept
	return nil
}

// dropEmpty removes the directory of the old major's name, which is empty now.
// Not earlier: on a full disk the way back could not make it again.
func (o *Operation) dropEmpty() {
	if o.Journal.Old.PGData != o.Journal.New.PGData {
		_ = o.Site.Root.Remove(path.Dir(rel(o.Site.Volume, o.Journal.Old.PGData)))
	}
}

// move makes renames that are not made yet. Each touches two directories,
// which are made durable where the list says so.
func (o *Operation) move(moves []upgrade.Move) error {
	dirty := map[string]bool{}
	for _, m := range moves {
		if o.made(m) {
			dirty[path.Dir(m.From)], dirty[path.Dir(m.To)] = true, true // not yet durable, perhaps
		} else if err := o.rename(m.From, m.To, dirty); err != nil {
			return err
		}
		if m.Sync {
			if err := o.syncMoves(dirty); err != nil {
				return err
			}
		}
	}
	return nil
}

// made reports whether a rename of the switch is made. A name in the new
// cluster's place may be the old one's before and the new one's after; but one
// in the kept cluster, or in the one that was built, belongs to a single
// rename. And the first one is made before all others, and undone after them:
// where it is not made, none is, whatever was removed since.
func (o *Operation) made(m upgrade.Move) bool {
	if _, err := o.Site.Root.Lstat(o.Journal.Moves[0].To); err != nil {
		return false
	}
	if kept := rel(o.Site.Volume, o.Journal.Kept); m.To == kept || path.Dir(m.To) == kept {
		_, err := o.Site.Root.Lstat(m.To)
		return err == nil
	}
	_, err := o.Site.Root.Lstat(m.From)
	return errors.Is(err, fs.ErrNotExist)
}

// rename makes one rename, and notes the directories that it touches.
func (o *Operation) rename(from, to string, dirty map[string]bool) error {
	if _, err := o.Site.Root.Lstat(from); err != nil {
		return fmt.Errorf("move %s to %s: %w", from, to, err)
	}
	err := o.Site.Root.Rename(from, to)
	if err != nil && errors.Is(err, fs.ErrExist) && o.dropHollow(to) { // ENOTEMPTY too
		err = o.Site.Root.Rename(from, to)
	}
	if err != nil {
		return fmt.Errorf("move %s to %s: %w", from, to, err)
	}
	durable.Point("move", "made")
	dirty[path.Dir(from)], dirty[path.Dir(to)] = true, true
	return nil
}

// isHollow reports whether nothing but empty directories and empty files lies at
// a name: what Docker leaves of mounts that are gone. Nothing at all is hollow too.
func (o *Operation) isHollow(name string) bool {
	hollow := true
	err := fs.WalkDir(o.Site.Root.FS(), name, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil && (!info.Mode().IsRegular() || info.Size() > 0) {
			hollow = false
			return fs.SkipAll
		}
		return err
	})
	return hollow && (err == nil || errors.Is(err, fs.ErrNotExist))
}

// dropHollow removes what holds nothing.
func (o *Operation) dropHollow(name string) bool {
	return o.isHollow(name) && o.Site.Root.RemoveAll(name) == nil
}

// syncMoves makes the renames durable that touched these directories.
func (o *Operation) syncMoves(dirty map[string]bool) error {
	for dir := range dirty {
		if err := durable.SyncDir(o.Site.Root, dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("make renames durable: %w", err)
		}
	}
	clear(dirty)
	durable.Point("move", "synced")
	return nil
}

// moveBack undoes those renames that were made, the last one first.
func (o *Operation) moveBack() error {
	moves := o.Journal.Moves
	if len(moves) == 0 || !o.made(moves[0]) {
		return nil
	}
	// The place that a rename freed may have lost its parent since.
	uid, gid := o.owner()
	dirs := []string{path.Dir(rel(o.Site.Volume, o.Journal.Old.PGData)), path.Dir(rel(o.Site.Volume, o.Journal.Build.PGData))}
	if o.Journal.Old.PGData == o.Journal.New.PGData {
		dirs = append(dirs, rel(o.Site.Volume, o.Journal.Build.PGData))
	}
	for _, dir := range dirs {
		if err := durable.MkdirAll(o.Site.Root, dir, uid, gid); err != nil {
			return err
		}
	}
	dirty := map[string]bool{}
	for i := len(moves) - 1; i >= 0; i-- {
		if m := moves[i]; o.made(m) {
			if err := o.rename(m.To, m.From, dirty); err != nil {
				return err
			}
		}
		// The first rename is undone last: it makes the directory a cluster again.
		if moves[i].Sync || i <= 1 {
			if err := o.syncMoves(dirty); err != nil {
				return err
			}
		}
	}
	return nil
}

// rel is a path of the volume, relative to it; both were checked when the
// upgrade began.
func rel(volume, p string) string {
	r, err := filepath.Rel(volume, p)
	if err != nil {
		return p
	}
	return r
}
