package pg

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// maxUserFile bounds what is copied.
const maxUserFile = 16 << 20

// readUser reads a file of the user's with the server's rights: that user may
// have put a link there to what only root can read, and would get a copy.
func (r Rules) readUser(path string) (raw []byte, err error) {
	err = asUser(r.Owner, func() error {
		raw, err = readConfig(path, maxUserFile)
		return err
	})
	return raw, err
}

// stamp is the line that tells which state of a file was copied.
func (r Rules) stamp(path string) string {
	if path == "" {
		return "# Copy of nothing"
	}
	info, err := os.Stat(path)
	if err != nil {
		return "# Copy of a file that is not there"
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "# Copy"
	}
	return fmt.Sprintf("# Copy of inode %d, %d bytes, modified %d.%09d", st.Ino, st.Size, st.Mtim.Sec, st.Mtim.Nsec)
}

// replace writes text to path by rename unless it is there already.
func (r Rules) replace(path, text string) (changed bool, err error) {
	return replaceFile(path, text, r.Owner)
}

// replaceFile writes text to path by rename unless it is there already, mode
// 0600, for owner; nil is this process's user.
func replaceFile(path, text string, owner *proc.User) (changed bool, err error) {
	if isCurrent(path, text, owner) {
		return false, nil
	}
	// Where the directory is shared with the server's user, nothing that lies
	// in it can lead outside.
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return false, err
	}
	defer root.Close() //nolint:errcheck // only a handle
	name := filepath.Base(path)
	temp := "." + name + ".new"
	if err := root.Remove(temp); err != nil && !os.IsNotExist(err) {
		return false, err
	}
	if err := writeOwned(root, temp, text, owner); err != nil {
		_ = root.Remove(temp)
		return false, err
	}
	return true, root.Rename(temp, name)
}

func writeOwned(root *os.Root, name, text string, owner *proc.User) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil && owner != nil && int64(owner.UID) != int64(os.Geteuid()) {
		err = f.Chown(int(owner.UID), int(owner.GID))
	}
	if errClose := f.Close(); err == nil {
		err = errClose
	}
	return err
}

// isCurrent reports whether path is as replaceFile would leave it.
func isCurrent(path, text string, owner *proc.User) bool {
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 {
		return false
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && owner != nil && st.Uid != owner.UID {
		return false
	}
	raw, err := readRegular(path, maxUserFile+4096)
	return err == nil && bytes.Equal(raw, []byte(text))
}
