package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/nodeapi"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// socketDir is where postgres puts its Unix sockets (Debian's default, as in
// the official image).
const socketDir = "/var/run/postgresql"

// serverUser is whom postgres runs as: the user of that name where this
// process is root, this process's own user otherwise (docker run --user).
func serverUser() (proc.User, error) {
	if os.Geteuid() != 0 {
		return proc.CurrentUser(), nil
	}
	u, err := proc.LookupUser("postgres")
	if err != nil {
		return u, fmt.Errorf("%w: this image has no user postgres to run the server as", err)
	}
	return u, nil
}

// openVolume makes the volume's directory and .pgbaton in it where they are
// missing, and opens it.
func openVolume(pl place, u proc.User) (*os.Root, error) {
	if err := os.MkdirAll(pl.volume, 0o755); err != nil {
		return nil, fmt.Errorf("make the volume's directory: %w", err)
	}
	root, err := os.OpenRoot(pl.volume)
	if err != nil {
		return nil, fmt.Errorf("open the volume: %w", err)
	}
	if err := durable.MkdirAll(root, stateDir, owner(u), int(u.GID)); err != nil {
		_ = root.Close()
		return nil, volumeError(pl.volume, u, err)
	}
	return root, nil
}

// owner is the uid to give files to; -1 leaves them to this process, which is
// not root then and could not give them away.
func owner(u proc.User) int {
	if os.Geteuid() != 0 {
		return -1
	}
	return int(u.UID)
}

// volumeError adds what an operator can do about a volume that cannot be written.
func volumeError(dir string, u proc.User, err error) error {
	hint := ""
	switch {
	case errors.Is(err, unix.EROFS):
		hint = "it is mounted read-only: mount it writable"
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EDQUOT):
		hint = "it is full: free some space"
	case errors.Is(err, fs.ErrPermission):
		hint = fmt.Sprintf("uid %d may not write there: give the directory to it, or start the container as its owner (--user)", u.UID)
	default:
		return fmt.Errorf("prepare the volume %s: %w", dir, err)
	}
	return fmt.Errorf("prepare the volume %s: %w; nothing was changed. %s", dir, err, hint)
}

// prepareDirs makes PGDATA and the socket directory with the owner and the
// modes of the official image. A PGDATA that its owner opened to the group
// (0750, which postgres accepts) stays so.
func prepareDirs(root *os.Root, pl place, off config.Official, u proc.User) error {
	rel, err := filepath.Rel(pl.volume, pl.pgdata)
	if err != nil {
		return fmt.Errorf("find the data directory on the volume: %w", err)
	}
	if err := durable.MkdirAll(root, rel, owner(u), int(u.GID)); err != nil {
		return volumeError(pl.volume, u, err)
	}
	if err := mayServe(root, rel, u); err != nil {
		return volumeError(pl.pgdata, u, err)
	}
	if err := ownBelow(root, rel, u); err != nil {
		return volumeError(pl.volume, u, err)
	}
	if err := prepareOutside(off.WalDir, 0o700, u); err != nil {
		return volumeError(off.WalDir, u, err)
	}
	// As in the official entrypoint: a failure here shows when postgres makes its socket.
	_ = prepareOutside(socketDir, unix.S_ISVTX|unix.S_ISGID|0o775, u)
	return nil
}

// mayServe refuses, before initdb has worked for nothing, a data directory of
// another owner that cannot be given to u: postgres wants it to be its own
// (src/backend/utils/init/miscinit.c, checkDataDir).
func mayServe(root *os.Root, rel string, u proc.User) error {
	info, err := root.Stat(rel)
	if err != nil || os.Geteuid() == 0 {
		return err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Uid != u.UID {
		return fmt.Errorf("it belongs to uid %d: %w", st.Uid, fs.ErrPermission)
	}
	return nil
}

// prepareOutside makes a directory that need not lie on the volume.
func prepareOutside(dir string, mode uint32, u proc.User) error {
	if dir == "" {
		return nil
	}
	if os.Geteuid() != 0 {
		err := os.MkdirAll(dir, 0o700)
		_ = unix.Chmod(dir, mode)
		return err
	}
	f, err := openSafely(nil, dir)
	if errors.Is(err, errDoubtful) { // behind a link that is the server's user's own: no owner is changed there
		return pg.AsUser(&u, func() error { return os.MkdirAll(dir, 0o700) })
	}
	if err != nil {
		return err
	}
	_ = unix.Fchmod(int(f.Fd()), mode)
	return ownTree(f, u)
}

// ownBelow gives rel and all below it to the server's user, and the
// directories above it up to the volume, where the next major's will be made.
func ownBelow(root *os.Root, rel string, u proc.User) error {
	if os.Geteuid() != 0 {
		closeToOthers(root, rel)
		return nil
	}
	for dir := filepath.Dir(rel); dir != "."; dir = filepath.Dir(dir) {
		if err := root.Lchown(dir, int(u.UID), int(u.GID)); err != nil {
			return err
		}
	}
	top, err := root.Open(".")
	if err != nil {
		return err
	}
	defer func() { _ = top.Close() }()
	f, err := openSafely(top, rel)
	if errors.Is(err, errDoubtful) { // a link of the server's user: postgres says so where owner or mode matter
		return nil
	}
	if err != nil {
		return err
	}
	if info, err := f.Stat(); err == nil && info.Mode().Perm() != 0o750 {
		_ = f.Chmod(0o700) // not ours to change on some volumes
	}
	return ownTree(f, u)
}

func closeToOthers(root *os.Root, rel string) {
	if info, err := root.Stat(rel); err == nil && info.Mode().Perm() != 0o750 {
		_ = root.Chmod(rel, 0o700) // not ours to change on some volumes; postgres says so if it matters
	}
}

// openControlDir makes the directory of the first control socket that can be
// had: with --user or a read-only root file system the wanted one may not be
// writable. Root takes it away from everybody else: what lies there is trusted.
func openControlDir(wanted string) (string, error) {
	var errs []error
	for _, socket := range nodeapi.Sockets(wanted, os.Geteuid()) {
		dir := filepath.Dir(socket)
		err := os.MkdirAll(dir, 0o755)
		if err == nil {
			err = claim(dir)
		}
		if err == nil {
			return dir, nil
		}
		errs = append(errs, err)
	}
	return "", fmt.Errorf("no directory for the control socket: %w; mount a tmpfs on %s", errors.Join(errs...), wanted)
}

func claim(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", dir)
	}
	if os.Geteuid() == 0 {
		if err := os.Lchown(dir, 0, 0); err != nil {
			return err
		}
		return os.Chmod(dir, 0o755)
	}
	return unix.Access(dir, unix.W_OK)
}

// keepLinks points bin and data in the control directory at the running
// major's programs and its data directory: the image's PATH and PGDATA lead
// through them in every `docker exec`.
func keepLinks(dir, bin, pgdata string) error {
	return errors.Join(pointTo(filepath.Join(dir, "bin"), bin), pointTo(filepath.Join(dir, "data"), pgdata))
}

func pointTo(link, target string) error {
	if now, err := os.Readlink(link); (err == nil && now == target) || target == "" {
		return nil
	}
	tmp := link + ".new"
	_ = os.Remove(tmp) // left by a crash
	if err := os.Symlink(target, tmp); err != nil {
		return err
	}
	return os.Rename(tmp, link)
}
