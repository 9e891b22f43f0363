package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// walName is the length of a WAL file's name: timeline, log, segment.
const walName = 24

// leftOut are directories whose content no copy needs (excludeDirContents in
// basebackup.c); they have to be there.
var leftOut = []string{
	"pg_dynshmem", "pg_notify", "pg_replslot", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans", "pg_tblspc", "pg_wal",
}

// notCopied are files of the running server alone (excludeFiles in basebackup.c).
var notCopied = []string{
	"postmaster.pid", "postmaster.opts", "current_logfiles", "postgresql.auto.conf.tmp",
	"backup_label", "tablespace_map", "backup_manifest",
}

// copyChunk is how much is copied between two looks at the context, bytes.
const copyChunk = 8 << 20

// copier copies trees, on one thread that has the rights of the server's user.
type copier struct {
	ctx         context.Context
	spec        ClusterCopy
	done, total int64
}

// copyFiles copies everything but the WAL.
func (c ClusterCopy) copyFiles(ctx context.Context, major int, spaces map[string]string) error {
	return asUser(c.User, func() error {
		defer lowPriority()()
		k := &copier{ctx: ctx, spec: c}
		trees := map[string]string{} // of tablespaces: source by target
		for oid, location := range spaces {
			// The directory may have other majors' and other clusters' beside it.
			entries, err := os.ReadDir(location)
			if err != nil {
				return err
			}
			for _, e := range entries {
				if strings.HasPrefix(e.Name(), fmt.Sprintf("PG_%d_", major)) {
					trees[filepath.Join(c.Spaces, oid, e.Name())] = filepath.Join(location, e.Name())
				}
			}
		}
		k.total = k.size(c.Data)
		for _, from := range trees {
			k.total += k.size(from)
		}
		if err := k.tree(c.Data, c.Target, true, false); err != nil {
			return err
		}
		for oid := range spaces {
			dir := filepath.Join(c.Spaces, oid)
			if err := errors.Join(os.Mkdir(dir, 0o700), os.Symlink(dir, filepath.Join(c.Target, "pg_tblspc", oid))); err != nil {
				return err
			}
		}
		for to, from := range trees {
			if err := k.tree(from, to, false, true); err != nil {
				return err
			}
		}
		return nil
	})
}

// lowPriority lets the disk serve others first, where its scheduler knows
// priorities (ioprio_set(2)); the result takes it back.
func lowPriority() func() {
	const thread, lowest = 1, 2<<13 | 7 // IOPRIO_WHO_PROCESS; best effort, level 7
	runtime.LockOSThread()
	set := func(prio uintptr) { _, _, _ = unix.Syscall(unix.SYS_IOPRIO_SET, thread, 0, prio) }
	set(lowest)
	return func() {
		set(0)
		runtime.UnlockOSThread()
	}
}

// size is about how much tree will copy.
func (k *copier) size(dir string) (sum int64) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil //nolint:nilerr // it comes and goes
		}
		if d.IsDir() && filepath.Dir(path) == k.spec.Data && (slices.Contains(leftOut, d.Name()) || slices.Contains(k.spec.Skip, d.Name())) {
			return fs.SkipDir
		}
		if info, err := d.Info(); err == nil && info.Mode().IsRegular() {
			sum += info.Size()
		}
		return k.ctx.Err()
	})
	return sum
}

// tree copies a directory. top: it is the data directory itself; own: it lies
// below it and is the server's.
func (k *copier) tree(from, to string, top, own bool) error {
	if err := makeLike(from, to, top); err != nil {
		return err
	}
	entries, err := os.ReadDir(from)
	if err != nil {
		return ignoreGone(err)
	}
	for _, e := range entries {
		name := e.Name()
		if top && (slices.Contains(k.spec.Skip, name) || slices.Contains(notCopied, name)) ||
			strings.HasPrefix(name, "pgsql_tmp") || strings.HasPrefix(name, "pg_internal.init") {
			continue
		}
		if top && slices.Contains(leftOut, name) {
			err = os.Mkdir(filepath.Join(to, name), 0o700)
		} else {
			err = k.entry(filepath.Join(from, name), filepath.Join(to, name), e.Type(), own || top && serversOwn(name))
		}
		if err != nil {
			return err
		}
	}
	return context.Cause(k.ctx)
}

// serversOwn are entries at the top of a data directory that the server makes.
func serversOwn(name string) bool {
	return name == "base" || name == "global" || strings.HasPrefix(name, "pg_") && !strings.HasSuffix(name, ".conf")
}

func (k *copier) entry(from, to string, t fs.FileMode, own bool) error {
	if t&fs.ModeSymlink != 0 {
		info, err := os.Stat(from)
		switch {
		case err != nil:
			return ignoreGone(err)
		case info.IsDir() && own:
			return fmt.Errorf("%s is a link to a directory: its copy would share it with the running server", from)
		case info.IsDir():
			target, err := os.Readlink(from)
			if err != nil {
				return err
			}
			return os.Symlink(target, to)
		}
		t = info.Mode().Type()
	}
	switch {
	case t.IsDir():
		return k.tree(from, to, false, own)
	case t.IsRegular():
		return k.file(from, to)
	}
	return nil // a socket or a pipe
}
