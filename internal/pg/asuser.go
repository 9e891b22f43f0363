package pg

import (
	"os"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// AsUser runs do with the file rights of u on a thread of its own; nil is this
// process. Whatever follows a path that the server's user may have made runs
// so: a link there to what only root can read must not give it away. do must
// not start goroutines or processes. The error is EPERM without CAP_SETUID.
func AsUser(u *proc.User, do func() error) error { return asUser(u, do) }

// ReadUserFile reads a regular file of at most limit bytes as u, links
// followed. A pipe or a device in its place is an error and no wait.
func ReadUserFile(u *proc.User, path string, limit int64) (data []byte, err error) {
	err = asUser(u, func() error {
		data, err = readConfig(path, limit)
		return err
	})
	return data, err
}

// ResolveAs is path without links, as u sees it.
func ResolveAs(u *proc.User, path string) (real string, err error) {
	err = asUser(u, func() error {
		real, err = filepath.EvalSymlinks(path)
		return err
	})
	return real, err
}

// ListAs returns the names in a directory that are not directories
// themselves, links followed, as u sees it.
func ListAs(u *proc.User, dir string) (files []string, err error) {
	err = asUser(u, func() error {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		for _, e := range entries {
			info, err := os.Stat(filepath.Join(dir, e.Name()))
			if err != nil {
				return err
			}
			if !info.IsDir() {
				files = append(files, e.Name())
			}
		}
		return nil
	})
	return files, err
}
