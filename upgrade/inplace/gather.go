package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// Gather looks at everything that decides about an upgrade, beside the running
// server. What stands against it is in the facts; an error is what could not be
// found out. Two small files are made and removed on each file system.
func Gather(ctx context.Context, s *Site, open Session, req node.UpgradeRequest, progress Progress) (upgrade.Facts, error) {
	f := upgrade.Facts{
		From: s.Old.Major, To: s.New.Major, Asked: req.Mode, Superuser: s.Superuser,
		Rehearse: req.Do == node.UpgradeRehearse, Trial: !req.NoTrial,
	}
	progress("looking at the programs", 0)
	if err := s.gatherPrograms(ctx, &f); err != nil {
		return f, err
	}
	if err := s.gatherSignals(&f); err != nil {
		return f, err
	}
	if f.Blocks() {
		return f, nil
	}
	progress("looking at the databases", 5)
	if err := s.gatherServer(ctx, open, &f); err != nil || f.Blocks() {
		return f, err
	}
	progress("looking for extensions and libraries", 10)
	s.gatherFiles(ctx, &f)
	progress("looking at the file systems", 12)
	return f, s.gatherSpace(ctx, &f)
}

func (s *Site) gatherPrograms(ctx context.Context, f *upgrade.Facts) error {
	_, broken := pg.CheckPrograms(ctx, s.Old, pg.OldPrograms, &s.User, s.Environ)
	var more []pg.Program
	f.NewVersion, more = pg.CheckPrograms(ctx, s.New, pg.NewPrograms, &s.User, s.Environ)
	f.Broken = append(broken, more...)
	return context.Cause(ctx)
}

// gatherSignals also sees what the running server left: a socket, and the
// rights of its directory.
func (s *Site) gatherSignals(f *upgrade.Facts) error {
	for _, name := range []string{"standby.signal", "recovery.signal"} {
		_, err := os.Lstat(filepath.Join(s.PGData, name))
		if err == nil {
			f.Signals = append(f.Signals, name)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("look for %s: %w", name, err)
		}
	}
	pid, err := pg.ReadPidFile(s.PGData)
	if err != nil {
		return fmt.Errorf("look for the running server: %w", err)
	}
	f.NoSocket = pid.SocketDir == ""
	info, err := os.Stat(s.PGData)
	if err != nil {
		return err
	}
	f.GroupAccess = info.Mode().Perm()&0o040 != 0
	f.Mounts, err = s.mountsInTheWay(s.PGData, s.NewPGData())
	return err
}

func (s *Site) gatherServer(ctx context.Context, open Session, f *upgrade.Facts) error {
	sizes := f.Asked == node.ModeCopy || f.Rehearse
	err := open(ctx, func(ctx context.Context, login func(string) pg.Login) (err error) {
		f.Server, err = pg.ReadInventory(ctx, login, sizes)
		return err
	})
	if pg.Denied(err) || pg.NotOpen(err) {
		f.NoLogin = err.Error()
		return nil
	}
	return err
}

// gatherFiles looks for what the databases use among the new major's files.
func (s *Site) gatherFiles(ctx context.Context, f *upgrade.Facts) {
	in, err := pg.FindInstall(ctx, s.New, &s.User, s.Environ)
	f.NewICU = in.ICU
	if err != nil {
		f.NewFiles = err.Error()
		return
	}
	path := f.Server.Settings["dynamic_library_path"]
	extensions, libraries := map[string][]string{}, map[string][]string{}
	for _, d := range f.Server.Databases {
		for _, e := range d.Extensions {
			if !in.HasExtension(e.Name) {
				extensions[e.Name] = append(extensions[e.Name], d.Name)
			}
		}
		for _, l := range d.Libraries {
			// A missing extension's own libraries need no second finding.
			if _, known := extensions[l.Extension]; !known && !in.HasLibrary(l.Name, path) {
				libraries[l.Name] = append(libraries[l.Name], d.Name)
			}
		}
	}
	f.NoExtensions, f.NoLibraries = missing(extensions), missing(libraries)
	for _, p := range preloads(f) {
		if !in.HasLibrary(p.Library, path) {
			f.NoPreloads = append(f.NoPreloads, p)
		}
	}
}

// preloads are libraries that the server loads by name, besides functions'.
func preloads(f *upgrade.Facts) []pg.Preload {
	res := slices.Clone(f.Server.Preload)
	for i, p := range res {
		// Whoever may set it gets at plugins only (load_libraries in miscinit.c).
		if p.Setting == "local_preload_libraries" && filepath.Base(p.Library) == p.Library {
			res[i].Library = "$libdir/plugins/" + p.Library
		}
	}
	if lib := f.Server.Settings["archive_library"]; lib != "" && f.Server.Settings["archive_mode"] != "off" {
		res = append(res, pg.Preload{Setting: "archive_library", Library: lib})
	}
	for _, slot := range f.Server.Slots {
		if slot.Logical && f.From >= 17 && !slot.Invalid {
			res = append(res, pg.Preload{Setting: "output plugin", Library: slot.Plugin, Where: "slot " + slot.Name})
		}
	}
	return res
}

func missing(by map[string][]string) []upgrade.Missing {
	var res []upgrade.Missing
	for name, dbs := range by {
		res = append(res, upgrade.Missing{Name: name, Databases: slices.Compact(dbs)})
	}
	slices.SortFunc(res, func(a, b upgrade.Missing) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return res
}

// mayWrite asks as the server's user whether it can make files in a directory:
// permissions, ACLs, read-only mounts and all.
func (s *Site) mayWrite(ctx context.Context, dir string) (bool, error) {
	err := proc.Run(ctx, proc.Spec{Args: []string{"test", "-d", dir, "-a", "-w", dir, "-a", "-x", dir}, Env: s.Environ, Dir: "/", User: &s.User})
	var no *proc.Error
	if errors.As(err, &no) && no.Status.Code == 1 {
		return false, nil
	}
	return err == nil, err
}
