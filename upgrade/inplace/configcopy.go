package inplace

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"github.com/pgbaton/pgbaton/internal/durable"
)

// carry copies an entry with all that is in it, or writes its changed text,
// with mode and owner of the old one. Pipes, sockets and devices stay behind.
func (w *configWriter) carry(name string, info fs.FileInfo) error {
	switch info.Mode().Type() {
	case fs.ModeSymlink:
		return w.link(name, info)
	case fs.ModeDir:
		return w.directory(name, info)
	case 0:
		return w.file(name, info)
	}
	return nil
}

func (w *configWriter) link(name string, info fs.FileInfo) error {
	target, err := w.from.Readlink(name)
	if err != nil {
		return err
	}
	if err := w.to.Symlink(w.retarget(name, target), name); err != nil {
		return err
	}
	if uid, gid := w.owner(info); uid >= 0 {
		return w.to.Lchown(name, uid, gid)
	}
	return nil
}

func (w *configWriter) directory(name string, info fs.FileInfo) error {
	if err := w.to.Mkdir(name, 0o700); err != nil {
		return err
	}
	entries, err := topNames(w.from.Open, name)
	if err != nil {
		return err
	}
	for _, e := range entries {
		inner := path.Join(name, e)
		info, err := w.from.Lstat(inner)
		if err != nil {
			return err
		}
		if err := w.carry(inner, info); err != nil {
			return err
		}
	}
	if err := w.to.Chmod(name, info.Mode().Perm()); err != nil {
		return err
	}
	if uid, gid := w.owner(info); uid >= 0 {
		if err := w.to.Lchown(name, uid, gid); err != nil {
			return err
		}
	}
	return w.sync(name)
}

// file writes one file and syncs it; the directory is synced by the caller.
func (w *configWriter) file(name string, info fs.FileInfo) (err error) {
	var source io.Reader
	if data, ok := w.changed[name]; ok {
		source = bytes.NewReader(data)
	} else {
		f, err := openRegular(w.from, name)
		if err != nil {
			return err
		}
		defer f.Close() //nolint:errcheck // only read from
		source = f
	}
	out, err := w.to.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, source); err != nil {
		return err
	}
	// The mode first: to change it once the file is another's takes CAP_FOWNER.
	if err := out.Chmod(info.Mode().Perm()); err != nil {
		return err
	}
	if uid, gid := w.owner(info); uid >= 0 {
		if err := out.Chown(uid, gid); err != nil {
			return err
		}
	}
	return out.Sync()
}

// owner is who has the old entry; -1 where this process may not give files away.
func (w *configWriter) owner(info fs.FileInfo) (uid, gid int) {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || os.Geteuid() != 0 {
		return -1, -1
	}
	return int(st.Uid), int(st.Gid)
}

// clear removes what is there in the new cluster.
func (w *configWriter) clear(name string) error {
	if err := w.to.RemoveAll(name); err != nil {
		return err
	}
	durable.Point("config/"+name, "cleared")
	return nil
}

// sync makes the entries of a directory of the new cluster durable.
func (w *configWriter) sync(dir string) error { return durable.SyncDir(w.to, dir) }

// topNames lists a directory.
func topNames(open func(string) (*os.File, error), dir string) ([]string, error) {
	f, err := open(dir)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	return f.Readdirnames(-1)
}

// openRegular opens a file and does not wait for a pipe in its place.
func openRegular(root *os.Root, name string) (*os.File, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// readBelow reads a file of the user's, up to the limit of configuration files.
func readBelow(root *os.Root, name string) ([]byte, error) {
	f, err := openRegular(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read from
	data, err := io.ReadAll(io.LimitReader(f, maxConfigFile+1))
	if err == nil && len(data) > maxConfigFile {
		err = fmt.Errorf("%s is longer than %d bytes", name, maxConfigFile)
	}
	return data, err
}
