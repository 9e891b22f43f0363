package entrypoint

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// ownTree gives an open directory and all below it to the server's user, as
// the official entrypoint does with find(1) at each start as root, and closes
// it. It follows no symbolic link: each entry is looked at and changed
// relative to its open directory, so the postgres user cannot redirect it
// while it runs.
func ownTree(dir *os.File, u proc.User) error {
	var st unix.Stat_t
	err := unix.Fstat(int(dir.Fd()), &st)
	if err == nil && st.Uid != u.UID {
		err = dir.Chown(int(u.UID), int(u.GID))
	}
	if err != nil {
		return errors.Join(err, dir.Close())
	}
	return ownEntries(dir, u)
}

// ownEntries closes dir.
func ownEntries(dir *os.File, u proc.User) (err error) {
	defer func() { err = errors.Join(err, dir.Close()) }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	fd := int(dir.Fd())
	for _, name := range names {
		if err := ownEntry(fd, dir.Name(), name, u); err != nil && !errors.Is(err, unix.ENOENT) {
			return err // ENOENT: gone meanwhile
		}
	}
	return nil
}

func ownEntry(parent int, path, name string, u proc.User) error {
	var st unix.Stat_t
	if err := unix.Fstatat(parent, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	full := path + "/" + name
	if st.Uid != u.UID {
		if err := unix.Fchownat(parent, name, int(u.UID), int(u.GID), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("chown: changing ownership of '%s' to %s: %w", full, u.Name, err)
		}
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return nil
	}
	fd, err := unix.Openat(parent, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	return ownEntries(os.NewFile(uintptr(fd), full), u)
}
