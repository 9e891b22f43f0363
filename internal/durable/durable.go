// Package durable is the only writer of state. Whatever it reports as written
// survives a crash of this process, of the machine, and a loss of power right
// afterwards; whatever it did not report is either there whole or not at all.
//
// It works below an os.Root, because the volume's directories belong to the
// postgres user, who could plant a symbolic link where root is about to write.
package durable

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"slices"
)

// WriteFile replaces name below root: temporary file, fsync, rename, fsync of
// the directory. uid and gid own the file; -1 leaves them.
func WriteFile(root *os.Root, name string, data []byte, uid, gid int) error {
	crash(name, "before")
	tmp := name + ".tmp." + rand.Text()[:8]
	err := full(name)
	if err == nil {
		err = writeTemp(root, tmp, data, uid, gid)
	}
	if err != nil {
		_ = root.Remove(tmp) // what is left of it only takes space
		return fmt.Errorf("write %s: %w", name, err)
	}
	return replace(root, tmp, name)
}

// leftover is the name of a temporary file that a killed writer left.
var leftover = regexp.MustCompile(`\.tmp\.[A-Z2-7]{8}$`)

// Sweep removes what killed writers left in a directory, of these names, or of
// all where none is given. Nobody else may be writing there.
func Sweep(root *os.Root, dir string, names ...string) error {
	entries, err := fs.ReadDir(root.FS(), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		of := leftover.ReplaceAllString(e.Name(), "")
		if of == e.Name() || !e.Type().IsRegular() || len(names) > 0 && !slices.Contains(names, of) {
			continue
		}
		if e := root.Remove(path.Join(dir, e.Name())); e != nil && !errors.Is(e, fs.ErrNotExist) {
			err = errors.Join(err, e)
		}
	}
	return err
}

// replace puts a file whose content is durable in name's place.
func replace(root *os.Root, tmp, name string) error {
	crash(name, "written")
	if err := root.Rename(tmp, name); err != nil {
		_ = root.Remove(tmp)
		return fmt.Errorf("write %s: %w", name, err)
	}
	crash(name, "renamed")
	if err := SyncDir(root, path.Dir(name)); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	crash(name, "done")
	return nil
}

// WriteFileInto is WriteFile for a full disk: the data goes into the blocks of
// spare, a larger file of ours, which is name then. Giving spare's room back and
// writing anew would let another process take that room first.
func WriteFileInto(root *os.Root, spare, name string, data []byte, uid, gid int) error {
	crash(name, "before")
	if err := overwrite(root, spare, data, uid, gid); err != nil {
		return fmt.Errorf("write %s into %s: %w", name, spare, err)
	}
	return replace(root, spare, name)
}

// overwrite leaves spare with the data alone; what it held after that is given
// back.
func overwrite(root *os.Root, spare string, data []byte, uid, gid int) (err error) {
	f, err := root.OpenFile(spare, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() < int64(len(data)) {
		return fmt.Errorf("%d bytes do not fit into its %d", len(data), info.Size())
	}
	if _, err := f.Write(data); err != nil {
		return err
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return err
	}
	if uid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	return f.Sync()
}

func writeTemp(root *os.Root, tmp string, data []byte, uid, gid int) (err error) {
	f, err := root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if uid >= 0 {
		if err := f.Chown(uid, gid); err != nil {
			return err
		}
	}
	return f.Sync()
}

// WriteJSON writes v as indented JSON, which an operator can read, see WriteFile.
func WriteJSON(root *os.Root, name string, v any, uid, gid int) error {
	data, err := indented(name, v)
	if err != nil {
		return err
	}
	return WriteFile(root, name, data, uid, gid)
}

// WriteJSONInto is WriteJSON for a full disk, see WriteFileInto.
func WriteJSONInto(root *os.Root, spare, name string, v any, uid, gid int) error {
	data, err := indented(name, v)
	if err != nil {
		return err
	}
	return WriteFileInto(root, spare, name, data, uid, gid)
}

func indented(name string, v any) ([]byte, error) {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return append(data, '\n'), nil
}

// ErrCorrupt marks a state file that is there and cannot be understood. It is
// never treated as a missing one.
var ErrCorrupt = errors.New("state file is corrupt")

// ReadJSON reads what WriteJSON wrote. The error is fs.ErrNotExist where there
// is no such file and ErrCorrupt where it cannot be understood.
func ReadJSON(root *os.Root, name string, v any) error {
	data, err := root.ReadFile(name)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, v); err != nil {
		return fmt.Errorf("read %s: %w: %w", name, ErrCorrupt, err)
	}
	return nil
}

// Rename moves old to new below root and makes both directories durable.
func Rename(root *os.Root, oldName, newName string) error {
	crash(newName, "before")
	if err := root.Rename(oldName, newName); err != nil {
		return fmt.Errorf("rename %s to %s: %w", oldName, newName, err)
	}
	crash(newName, "renamed")
	for _, dir := range []string{path.Dir(newName), path.Dir(oldName)} {
		if err := SyncDir(root, dir); err != nil {
			return fmt.Errorf("rename %s to %s: %w", oldName, newName, err)
		}
	}
	crash(newName, "done")
	return nil
}

// Remove removes one file below root, durably. A missing file is no error.
func Remove(root *os.Root, name string) error {
	crash(name, "before-remove")
	if err := root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	if err := SyncDir(root, path.Dir(name)); err != nil {
		return fmt.Errorf("remove %s: %w", name, err)
	}
	crash(name, "removed")
	return nil
}

// MkdirAll makes a directory and its parents below root with mode 0700, owned
// by uid and gid (-1 leaves them), and makes them durable.
func MkdirAll(root *os.Root, dir string, uid, gid int) error {
	if info, err := root.Stat(dir); err == nil && info.IsDir() {
		return nil
	}
	if parent := path.Dir(dir); parent != "." {
		if err := MkdirAll(root, parent, uid, gid); err != nil {
			return err
		}
	}
	if err := root.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	if uid >= 0 {
		if err := root.Lchown(dir, uid, gid); err != nil {
			return fmt.Errorf("make directory %s: %w", dir, err)
		}
	}
	if err := SyncDir(root, path.Dir(dir)); err != nil {
		return fmt.Errorf("make directory %s: %w", dir, err)
	}
	return nil
}

// SyncFile makes the content of a file below root durable that another process
// wrote.
func SyncFile(root *os.Root, name string) error { return SyncDir(root, name) }

// SyncDir makes the entries of a directory below root durable.
func SyncDir(root *os.Root, dir string) (err error) {
	f, err := root.Open(dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return f.Sync()
}
