package pg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/node"
)

// walFile is the name of the file that holds a position.
func walFile(timeline uint32, at, size node.LSN) string {
	segment := at / size
	perLog := node.LSN(1<<32) / size
	return fmt.Sprintf("%08X%08X%08X", timeline, uint32(segment/perLog), uint32(segment%perLog))
}

// hasSegment reports whether the file is there in which a part begins.
func (d DivergedSpec) hasSegment(p *Part) bool {
	size, err := segmentSize(d.Data)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(d.Data, "pg_wal", walFile(p.Timeline, p.From, size)))
	return err == nil
}

// copyAll copies the WAL files of all parts, and the histories.
func (d DivergedSpec) copyAll(ctx context.Context, rep *Diverged, size node.LSN) error {
	if rep.Unread == "" && rep.To <= rep.From {
		return nil
	}
	for _, p := range rep.Parts {
		names, err := d.files(p, size)
		if err != nil {
			return err
		}
		for _, name := range names {
			if err := d.copyFile(ctx, rep, name); err != nil {
				return err
			}
		}
		if err := d.copyHistory(ctx, p.Timeline); err != nil {
			return err
		}
	}
	return durable.SyncDir(d.Root, d.Into)
}

// files names the files of a part. Beyond the end there are recycled ones, of
// older content; where the end is not known they are taken too.
func (d DivergedSpec) files(p Part, size node.LSN) (names []string, err error) {
	if p.To != 0 {
		for at := p.From / size * size; at < p.To; at += size {
			names = append(names, walFile(p.Timeline, at, size))
		}
		return names, nil
	}
	entries, err := os.ReadDir(filepath.Join(d.Data, "pg_wal"))
	if err != nil {
		return nil, err
	}
	first := walFile(p.Timeline, p.From, size)
	for _, e := range entries {
		if name := e.Name(); len(name) == walName && name[:8] == first[:8] && name >= first {
			names = append(names, name)
		}
	}
	return names, nil
}

func (d DivergedSpec) copyFile(ctx context.Context, rep *Diverged, name string) error {
	n, err := d.copyOne(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		// When a timeline ends its last file may be renamed (XLogArchiveCleanup in xlog.c).
		n, err = d.copyOne(ctx, name+".partial")
		if errors.Is(err, fs.ErrNotExist) {
			rep.Missing = append(rep.Missing, name)
			return nil
		}
		name += ".partial"
	}
	if err == nil {
		rep.Files = append(rep.Files, WALFile{Name: name, Bytes: n})
	}
	return err
}

func (d DivergedSpec) copyHistory(ctx context.Context, timeline uint32) error {
	if timeline <= 1 {
		return nil
	}
	_, err := d.copyOne(ctx, fmt.Sprintf("%08X.history", timeline))
	return err
}

// copyOne copies a file of pg_wal and makes the copy durable.
func (d DivergedSpec) copyOne(ctx context.Context, name string) (n int64, err error) {
	var in *os.File
	err = asUser(d.User, func() error {
		in, err = openRegular(filepath.Join(d.Data, "pg_wal", name), unix.O_NOFOLLOW)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer in.Close() //nolint:errcheck // only read from
	to := path.Join(d.Into, name)
	if err := d.Root.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return 0, err // of an attempt before
	}
	out, err := d.Root.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if uid, gid := owner(d.User); uid >= 0 {
		if err := out.Chown(uid, gid); err != nil {
			return 0, err
		}
	}
	for {
		if err := context.Cause(ctx); err != nil {
			return n, err
		}
		m, err := io.CopyN(out, in, copyChunk)
		n += m
		if errors.Is(err, io.EOF) {
			return n, out.Sync()
		}
		if err != nil {
			return n, fmt.Errorf("copy %s: %w", strings.TrimSuffix(name, ".partial"), err)
		}
	}
}
