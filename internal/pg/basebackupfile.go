package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// makeLike makes a directory with the rights of another.
func makeLike(from, to string, exists bool) error {
	info, err := os.Stat(from)
	if err != nil {
		return ignoreGone(err)
	}
	if !exists {
		if err := os.Mkdir(to, 0o700); err != nil {
			return err
		}
	}
	return os.Chmod(to, info.Mode().Perm()|0o700)
}

// file copies a file that may be written meanwhile: what is torn by that, the
// WAL mends. The kernel clones where the file system can (copy_file_range(2)).
func (k *copier) file(from, to string) error {
	in, err := os.OpenFile(from, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return ignoreGone(err)
	}
	defer in.Close() //nolint:errcheck // read only
	info, err := in.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, info.Mode().Perm()|0o600)
	if err != nil {
		return err
	}
	for err == nil {
		if err = context.Cause(k.ctx); err != nil {
			break
		}
		var n int64
		n, err = io.CopyN(out, in, copyChunk)
		k.done += n
		if k.spec.Copied != nil {
			k.spec.Copied(k.done, max(k.total, k.done))
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return errors.Join(err, out.Close())
}

// copyWAL copies the WAL files from first to last: names of one timeline sort
// as their content does.
func (c ClusterCopy) copyWAL(ctx context.Context, first, last string) error {
	from, to := filepath.Join(c.Data, "pg_wal"), filepath.Join(c.Target, "pg_wal")
	entries, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	k := &copier{ctx: ctx, spec: ClusterCopy{}}
	for _, need := range []string{first, last} {
		if !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == need }) {
			return fmt.Errorf("the WAL file %s is gone already; give max_slot_wal_keep_size a larger value", need)
		}
	}
	for _, e := range entries {
		name := e.Name()
		if len(name) == walName && name >= first && name <= last || strings.HasSuffix(name, ".history") {
			if err := k.file(filepath.Join(from, name), filepath.Join(to, name)); err != nil {
				return err
			}
		}
	}
	return nil
}

func writeNew(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}

// ignoreGone: files of a running server come and go.
func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
