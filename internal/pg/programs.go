package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// programError is a program's end with its own words, without the progress; or
// why it was ended.
func programError(name string, out *lineWriter, ctx context.Context, err error) error { //nolint:revive // the context comes last as the error's cause
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	var words []string
	for line := range strings.Lines(string(out.printed)) {
		line = strings.TrimSpace(line)
		if _, _, progress := copied(line); !progress && line != "" {
			words = append(words, line)
		}
	}
	return fmt.Errorf("%s: %w: %s", name, err, lastPrinted(strings.Join(words, "\n"), 2000))
}

// fits refuses what cannot fit, though all file systems were empty but for what
// they hold. It cannot tell how much goes to which.
func (c CloneSpec) fits(total int64, spaces []string) error {
	dirs := []string{c.Target}
	for _, from := range spaces {
		if to, ok := c.Spaces[from]; ok {
			from = to
		}
		dirs = append(dirs, from)
	}
	free, seen := int64(0), map[unix.Fsid]bool{}
	for _, dir := range dirs {
		st, err := statfsAbove(dir)
		if err != nil {
			return err
		}
		if !seen[st.Fsid] {
			seen[st.Fsid] = true
			free += int64(st.Bavail) * st.Bsize
		}
	}
	if free < total {
		return fmt.Errorf("the source has %d MB of data, and %d MB are free here; nothing was copied", total>>20, free>>20)
	}
	return nil
}

// statfsAbove is statfs(2) of dir, or of what of its path there is.
func statfsAbove(dir string) (st unix.Statfs_t, err error) {
	for {
		err = unix.Statfs(dir, &st)
		if err == nil || !errors.Is(err, fs.ErrNotExist) || dir == "/" || dir == "." {
			return st, err
		}
		dir = filepath.Dir(dir)
	}
}
