package vrrp

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/notify"
)

// sharedMemory is a tmpfs in every container of Docker's.
const sharedMemory = "/dev/shm"

// Directory makes and returns the directory in which keepalived and the
// supervisor meet: one below the control directory or, where that lies on a
// file system that keepalived cannot watch, in /dev/shm. keepalived 2.3.3
// drops every track_file on an overlay file system, with a line in its log,
// and goes on without: the node would be MASTER whatever the supervisor says.
//
// Only this process's user may write there: what lies there is executed as it.
func Directory(control string) (string, error) {
	dir := filepath.Join(control, notify.TracksDir)
	if !watchable(control) {
		var st unix.Stat_t
		if err := unix.Stat(control, &st); err != nil {
			return "", fmt.Errorf("look at %s: %w", control, err)
		}
		// With --ipc=host other containers have the same /dev/shm.
		dir = filepath.Join(sharedMemory, fmt.Sprintf("pgbaton-%x-%x", st.Dev, st.Ino))
		if !watchable(sharedMemory) {
			return "", fmt.Errorf("neither %s nor %s is on a file system that keepalived can watch; "+
				"the virtual address stays away; mount a tmpfs on %s", control, sharedMemory, control)
		}
	}
	return dir, claim(dir)
}

// watchable reports whether keepalived accepts a track file below dir.
func watchable(dir string) bool {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return false
	}
	switch int64(st.Type) {
	case unix.TMPFS_MAGIC, unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC:
		return true
	}
	return false
}

// claim makes a directory of this user's alone. /dev/shm is everybody's: what
// somebody else left under the name is removed.
func claim(dir string) error {
	for range 3 {
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			return nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make the directory for keepalived: %w", err)
		}
		info, err := os.Lstat(dir)
		if err == nil && ours(info) {
			return nil
		}
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("take %s for keepalived: %w", dir, err)
		}
	}
	return fmt.Errorf("make the directory for keepalived: somebody else makes %s again and again", dir)
}

func ours(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.IsDir() && int(st.Uid) == os.Geteuid() && info.Mode().Perm()&0o022 == 0
}
