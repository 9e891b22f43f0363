package entrypoint

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/upgrade"
)

// fileID tells a file at one moment from any other file, and from itself
// after a change of content, mode or owner. Ctime cannot be set by anybody.
type fileID struct {
	Dev, Ino     uint64
	Size         int64
	Mtime, Ctime int64 // Unix nanoseconds
}

// openMarker opens what info describes if it can be a marker at all, without
// ever waiting for a pipe or following a link.
func openMarker(root *os.Root, name string, info fs.FileInfo) (*os.File, error) {
	switch {
	case !info.Mode().IsRegular():
		return nil, refuseMarker(info, "is %s and not a regular file", fileKind(info.Mode()))
	case info.Sys().(*syscall.Stat_t).Nlink > 1:
		// Root would read what the server's user may not.
		return nil, refuseMarker(info, "is a hard link to another file; copy the file instead")
	case info.Size() > upgrade.MarkerLimit:
		return nil, refuseMarker(info, "has %d bytes, more than %d", info.Size(), upgrade.MarkerLimit)
	}
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errMarkerUnsettled
	case errors.Is(err, fs.ErrPermission):
		return nil, refuseMarker(info, "cannot be read by uid %d (mode %#o, owner %d); `chmod a+r` it",
			os.Geteuid(), info.Mode().Perm(), info.Sys().(*syscall.Stat_t).Uid)
	case err != nil:
		return nil, fmt.Errorf("open the upgrade marker: %w", err)
	}
	// os.Root follows links that stay below it, whatever the flags say.
	if opened, err := f.Stat(); err != nil || !os.SameFile(info, opened) {
		_ = f.Close()
		return nil, errMarkerUnsettled
	}
	return f, nil
}

// written reports whether somebody is known to have the file open for writing
// (`cat > upgrade`, before its first line): no read lease is given then (fcntl(2),
// F_SETLEASE). Leases are for the owner or CAP_LEASE, and not on every file
// system; where there is none, time alone decides.
func written(f *os.File) bool {
	_, err := unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETLEASE, unix.F_UNLCK) // closing ends it too
	}
	return errors.Is(err, unix.EAGAIN)
}

// sameContent compares two moments of a file that was renamed in between,
// which changes its ctime.
func sameContent(a, b fs.FileInfo) bool {
	x, y := idOf(a), idOf(b)
	x.Ctime, y.Ctime = 0, 0
	return x == y
}

func idOf(info fs.FileInfo) fileID {
	st := info.Sys().(*syscall.Stat_t)
	return fileID{st.Dev, st.Ino, st.Size, st.Mtim.Nano(), st.Ctim.Nano()}
}

func fileKind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}
