package inplace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// probeName begins the name of files that probe a file system. One that a crash
// leaves in a tablespace is no trouble to anybody.
const probeName = ".pgbaton-probe-"

// probeTransfer says why a file cannot be cloned or linked to a place; empty
// where it can. In a tablespace pg_upgrade works inside one directory; into the
// new data directory it comes from the old one, as in check_file_clone of
// pg_upgrade/file.c.
func probeTransfer(s *Site, pgdata, to *os.Root, p upgrade.Place) (clone, link string) {
	from, name := to, probeName+rand.Text()[:8]
	if p.Use == upgrade.UseData {
		from = pgdata
	}
	source := name + ".from"
	defer func() {
		_ = from.Remove(source)
		_ = to.Remove(name)
	}()
	if err := writeProbe(from, source); err != nil {
		why := fmt.Sprintf("a file cannot be made in %s: %v", from.Name(), err)
		return why, why
	}
	if err := cloneFile(from, source, to, name); err != nil {
		clone = fmt.Sprintf("the file system of %s cannot clone files (%v)", p.Path, err)
	}
	_ = to.Remove(name)
	if err := linkFile(s, from, source, to, name); err != nil {
		link = fmt.Sprintf("files cannot be linked from %s to %s (%v)", from.Name(), to.Name(), err)
	}
	return clone, link
}

// AutoMode is what mode auto comes to on this volume, as far as its file system
// decides; empty where that cannot be found out.
func (s *Site) AutoMode() (mode node.UpgradeMode) {
	_ = pg.AsUser(&s.User, func() error {
		dir, err := s.Root.OpenRoot(".pgbaton")
		if err != nil {
			return err
		}
		defer dir.Close() //nolint:errcheck // only a handle
		switch clone, link := probeTransfer(s, dir, dir, upgrade.Place{Use: upgrade.UseTablespace}); {
		case clone == "":
			mode = node.ModeClone
		case link == "":
			mode = node.ModeLink
		}
		return nil
	})
	return mode
}

// writeProbe writes some blocks: an empty file is cloned everywhere.
func writeProbe(root *os.Root, name string) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, 64<<10))
	return errors.Join(err, f.Close())
}

func cloneFile(from *os.Root, source string, to *os.Root, target string) error {
	in, err := from.Open(source)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // read only
	out, err := to.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // it is removed
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return err
	}
	return unix.IoctlFileClone(int(out.Fd()), int(in.Fd()))
}

// linkFile makes a hard link; both directories are reached through one root,
// since there is no link between two.
func linkFile(s *Site, from *os.Root, source string, to *os.Root, target string) error {
	if from == to {
		return to.Link(source, target)
	}
	return s.Root.Link(filepath.Join(rel(s.Volume, from.Name()), source), filepath.Join(rel(s.Volume, to.Name()), target))
}

// gatherRights names directories in which the server's user cannot work: the
// programs make, link and rename files there, and --check does not try.
func (s *Site) gatherRights(ctx context.Context, f *upgrade.Facts, scratch, walParent string) error {
	dirs := []string{s.PGData, filepath.Join(s.PGData, "global"), scratch}
	if walParent != scratch {
		dirs = append(dirs, walParent)
	}
	for _, p := range tablespacePlaces(f) {
		dirs = append(dirs, p.Path)
	}
	for _, dir := range dirs {
		ok, err := s.mayWrite(ctx, dir)
		if err != nil {
			return fmt.Errorf("see whether %s can be written: %w", dir, err)
		}
		if !ok {
			f.Unwritable = append(f.Unwritable, dir)
		}
	}
	// The switch renames in the volume, as whoever we are.
	if err := unix.Access(s.Volume, unix.W_OK|unix.X_OK); err != nil {
		f.Unwritable = append(f.Unwritable, s.Volume)
	}
	return nil
}
