package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Fill takes all the room of the file system, except for some bytes, from
// everybody but root; undo gives it back. What is there stays writable.
func (l *Loop) Fill(leave int64) (undo func()) {
	l.tb.Helper()
	path := filepath.Join(l.mount(), "ballast") // beside the volume
	if err := ballast(path, leave); err != nil {
		l.tb.Fatalf("testbed: fill %s: %v", l.mount(), err)
	}
	return inverse(l.tb, "give the room of "+l.mount()+" back", func(context.Context) error {
		err := os.Remove(path)
		if errors.Is(err, os.ErrNotExist) { // a power loss took it
			return nil
		}
		return err
	})
}

// ballast makes a file as large as what others than root may use.
func ballast(path string, leave int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(path), &st); err != nil {
		return err
	}
	size := int64(st.Bavail)*st.Bsize - leave
	if size <= 0 {
		return fmt.Errorf("%d bytes are free already, and %d were to be left", size+leave, leave)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fallocate(int(f.Fd()), 0, 0, size)
}

// writable reports whether a file system can be written.
func writable(mount string) error {
	path := filepath.Join(mount, "probe")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return err
	}
	return os.Remove(path)
}
