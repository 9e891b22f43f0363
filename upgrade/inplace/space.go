package inplace

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// defaultTablespace is pg_default's oid (pg_tablespace.dat).
const defaultTablespace = 1663

// gatherSpace looks at the places that the new cluster will use.
func (s *Site) gatherSpace(ctx context.Context, f *upgrade.Facts) error {
	uid, gid := s.owner()
	if err := durable.MkdirAll(s.Root, ScratchDir, uid, gid); err != nil {
		return err
	}
	scratch := filepath.Join(s.Volume, ScratchDir)
	if err := f.AddPlace(placeOf(upgrade.UseData, scratch, defaultTablespace)); err != nil {
		return err
	}
	wal, err := s.newWAL()
	if err != nil {
		return err
	}
	walParent := scratch
	if wal != "" {
		walParent = filepath.Dir(wal)
	}
	if err := f.AddPlace(placeOf(upgrade.UseWAL, walParent, 0)); err != nil {
		return err
	}
	s.gatherTablespaces(f)
	if err := s.gatherTransfer(f); err != nil {
		return err
	}
	return s.gatherRights(ctx, f, scratch, walParent)
}

func placeOf(use upgrade.Use, path string, oid uint32) (upgrade.Place, error) {
	var st unix.Stat_t
	var fs unix.Statfs_t
	if err := errors.Join(unix.Stat(path, &st), unix.Statfs(path, &fs)); err != nil {
		return upgrade.Place{}, fmt.Errorf("look at the file system of %s: %w", path, err)
	}
	// Bavail leaves out what is reserved for root: the server is not root.
	p := upgrade.Place{
		Use: use, Path: path, Tablespace: oid, Device: st.Dev,
		Free: int64(fs.Bavail) * fs.Bsize, Inodes: int64(fs.Ffree),
	}
	if fs.Files == 0 { // btrfs and others
		p.Inodes = upgrade.NoLimit
	}
	return p, nil
}

func (s *Site) gatherTablespaces(f *upgrade.Facts) {
	data := realPath(s.PGData)
	for _, t := range f.Server.Tablespaces {
		if t.Location == "" {
			continue // pg_default
		}
		res := upgrade.Tablespace{Name: t.Name, OID: t.OID, Location: t.Location}
		if !filepath.IsAbs(t.Location) {
			res.InPlace = true
			f.Tablespaces = append(f.Tablespaces, res)
			continue
		}
		real := realPath(t.Location)
		res.Inside = real == data || strings.HasPrefix(real, data+"/")
		place, err := placeOf(upgrade.UseTablespace, t.Location, t.OID)
		var entries []os.DirEntry
		if err == nil {
			entries, err = os.ReadDir(t.Location)
		}
		if err != nil {
			res.Trouble = err.Error()
		} else {
			f.Places = append(f.Places, place)
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), fmt.Sprintf("PG_%d_", f.To)) {
				res.Leftover = append(res.Leftover, filepath.Join(t.Location, e.Name()))
			}
		}
		f.Tablespaces = append(f.Tablespaces, res)
	}
}

// realPath is a path without links, or the path itself where it leads nowhere.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return filepath.Clean(path)
}

// gatherTransfer tries to clone and to link a file wherever pg_upgrade would:
// from the data directory into the new one, and inside each tablespace.
func (s *Site) gatherTransfer(f *upgrade.Facts) error {
	return pg.AsUser(&s.User, func() error { return s.tryTransfer(f) })
}

func (s *Site) tryTransfer(f *upgrade.Facts) error {
	pgdata, err := os.OpenRoot(s.PGData)
	if err != nil {
		return err
	}
	defer pgdata.Close() //nolint:errcheck // read only
	f.LinkTrouble = s.otherDevice(f)
	for _, p := range append(dataPlace(f), tablespacePlaces(f)...) {
		to, err := os.OpenRoot(p.Path)
		if err != nil {
			return err
		}
		clone, link := probeTransfer(s, pgdata, to, p)
		_ = to.Close()
		if f.CloneTrouble == "" {
			f.CloneTrouble = clone
		}
		if f.LinkTrouble == "" {
			f.LinkTrouble = link
		}
	}
	return nil
}

func dataPlace(f *upgrade.Facts) []upgrade.Place { return placesFor(f, upgrade.UseData) }

func tablespacePlaces(f *upgrade.Facts) []upgrade.Place { return placesFor(f, upgrade.UseTablespace) }

func placesFor(f *upgrade.Facts, use upgrade.Use) (res []upgrade.Place) {
	for _, p := range f.Places {
		if p.Use == use {
			res = append(res, p)
		}
	}
	return res
}

// otherDevice finds databases that lie on another file system than the data
// directory: somebody mounted or linked one there. st_dev of the base decides
// too, and of each directory in it.
func (s *Site) otherDevice(f *upgrade.Facts) string {
	base := filepath.Join(s.PGData, "base")
	entries, err := os.ReadDir(base)
	if err != nil {
		return err.Error()
	}
	paths := []string{base}
	for _, e := range entries {
		paths = append(paths, filepath.Join(base, e.Name()))
	}
	want := dataPlace(f)[0]
	for _, path := range paths {
		var st unix.Stat_t
		if err := unix.Stat(path, &st); err == nil && st.Dev != want.Device {
			return fmt.Sprintf("%s and %s are on different file systems", path, want.Path)
		}
	}
	return ""
}
