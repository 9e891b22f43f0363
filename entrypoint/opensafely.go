package entrypoint

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// errDoubtful says that a path leads through a link that others than root may
// have made, or may replace at any moment.
var errDoubtful = errors.New("it is a link in a directory that others than root can change")

// maxLinks is how many links a path may lead through, as for the kernel.
const maxLinks = 40

// openSafely opens a directory as root, relative to base or, where that is nil,
// to /, where what is missing of the path is made. Each part is opened by itself, and
// followed where it is a link only if nobody but root can put it there: so
// whoever owns a directory on the way cannot lead root elsewhere, whenever he
// changes it.
func openSafely(base *os.File, path string) (*os.File, error) {
	at, err := unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if base != nil && err == nil {
		_ = unix.Close(at)
		at, err = unix.Openat(int(base.Fd()), ".", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(at) }()
	rest := parts(path)
	for links := 0; len(rest) > 0; {
		fd, err := step(at, rest[0], base == nil)
		if err == nil {
			_ = unix.Close(at)
			at, rest = fd, rest[1:]
			continue
		}
		target, linked := rootsLink(at, rest[0])
		if !linked || links == maxLinks {
			return nil, fmt.Errorf("open %s: %s: %w", path, rest[0], err)
		}
		links++
		if filepath.IsAbs(target) {
			_ = unix.Close(at)
			if at, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
				return nil, err
			}
		}
		rest = append(parts(target), rest[1:]...)
	}
	fd, err := unix.Openat(at, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func parts(path string) []string {
	return strings.FieldsFunc(filepath.Clean(path), func(r rune) bool { return r == '/' })
}

// step opens one directory, which it may make where it is missing.
func step(at int, name string, missing bool) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(at, name, flags, 0)
	if missing && errors.Is(err, unix.ENOENT) {
		if err = unix.Mkdirat(at, name, 0o700); err == nil {
			fd, err = unix.Openat(at, name, flags, 0)
		}
	}
	var st unix.Stat_t
	if errors.Is(err, unix.ENOTDIR) && unix.Fstatat(at, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && st.Mode&unix.S_IFMT == unix.S_IFLNK {
		err = errDoubtful
	}
	return fd, err
}

// rootsLink reads a link that only root can have made.
func rootsLink(at int, name string) (target string, ok bool) {
	var dir unix.Stat_t
	if err := unix.Fstat(at, &dir); err != nil || dir.Uid != 0 || dir.Mode&0o022 != 0 {
		return "", false
	}
	buf := make([]byte, unix.PathMax)
	n, err := unix.Readlinkat(at, name, buf)
	if err != nil || n == len(buf) {
		return "", false
	}
	return string(buf[:n]), true
}
