package inplace

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/upgrade"
)

// owner is who owns what we write on the volume; -1 where we cannot choose.
func (s *Site) owner() (uid, gid int) {
	if os.Geteuid() != 0 {
		return -1, -1
	}
	return int(s.User.UID), int(s.User.GID)
}

// makeDir makes an empty directory of the server's user in the scratch directory.
func (s *Site) makeDir(name string) error {
	dir := path.Join(ScratchDir, name)
	if err := s.Root.RemoveAll(dir); err != nil {
		return err
	}
	uid, gid := s.owner()
	return durable.MkdirAll(s.Root, dir, uid, gid)
}

// makeSockets makes the directory for sockets, empty and closed to others.
func (s *Site) makeSockets() error {
	if err := os.RemoveAll(s.Sockets); err != nil {
		return err
	}
	if err := os.Mkdir(s.Sockets, 0o700); err != nil {
		return err
	}
	if uid, gid := s.owner(); uid >= 0 {
		return os.Lchown(s.Sockets, uid, gid)
	}
	return nil
}

// reserve is room that a full disk leaves for the journal and for the way back:
// a file of zeros that is removed when it is needed.
const (
	reserve      = ScratchDir + "/reserve"
	reserveBytes = 4 << 20
)

func (s *Site) makeReserve() error {
	uid, gid := s.owner()
	return durable.WriteFile(s.Root, reserve, make([]byte, reserveBytes), uid, gid)
}

// freeReserve reports whether there was one.
func (s *Site) freeReserve() bool { return s.Root.Remove(reserve) == nil }

// clearScratch removes what an upgrade built.
func (s *Site) clearScratch() error { return s.Root.RemoveAll(ScratchDir) }

// names lists a directory of the volume.
func (s *Site) names(dir string) ([]string, error) {
	entries, err := fs.ReadDir(s.Root.FS(), dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

// tablespaces are the directories that pg_tblspc of a cluster leads to.
// dir is relative to the volume.
func (s *Site) tablespaces(dir string) []string {
	links, err := s.names(path.Join(dir, "pg_tblspc"))
	if err != nil {
		return nil // no cluster here
	}
	var found []string
	for _, name := range links {
		to, err := s.Root.Readlink(path.Join(dir, "pg_tblspc", name))
		if err == nil && filepath.IsAbs(to) {
			found = append(found, to)
		}
	}
	return found
}

// walDir is where pg_wal leads to, empty where it is no link.
func (s *Site) walDir(dir string) (string, error) {
	to, err := s.Root.Readlink(path.Join(dir, "pg_wal"))
	switch {
	case err == nil:
		return to, nil
	case errors.Is(err, fs.ErrNotExist):
		return "", err
	default:
		return "", nil // a directory
	}
}

// mountsInTheWay are the mounts that keep directories of the volume from being
// renamed, or the upgrade from working in ours.
func (s *Site) mountsInTheWay(dirs ...string) ([]string, error) {
	mounts, err := proc.Mounts()
	if err != nil {
		return nil, err
	}
	return upgrade.MountsInTheWay(s.Volume, mounts, append(dirs, filepath.Join(s.Volume, ".pgbaton"))...), nil
}

// jobs is how many processes an upgrade may use: as many as the container may
// have processors (GOMAXPROCS follows the cgroup's limit).
func (s *Site) jobs(req node.UpgradeRequest) int {
	if req.Jobs > 0 {
		return req.Jobs
	}
	return runtime.GOMAXPROCS(0)
}
