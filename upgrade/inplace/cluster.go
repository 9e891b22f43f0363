package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/upgrade"
)

// MakeCluster makes an empty cluster of the new major that pg_upgrade takes for
// the old one's successor: superuser, encoding, locale, checksums, size of WAL
// segments and rights are the same. dir and waldir are absolute and missing or
// empty; an empty waldir keeps the WAL in dir. Nothing is synced to disk. The
// error wraps a *proc.Error with initdb's words where it refused.
func MakeCluster(ctx context.Context, s *Site, f upgrade.Facts, dir, waldir string) error {
	uid, gid := s.owner()
	if err := durable.MkdirAll(s.Root, ScratchDir, uid, gid); err != nil {
		return err
	}
	for _, d := range []string{dir, waldir} {
		if err := vacant(d); err != nil {
			return err
		}
	}
	like := f.Template0()
	if like.Encoding == "" {
		return errors.New("make an empty cluster: the old one has no template0 to be like; make it from template1 (CREATE DATABASE template0 TEMPLATE template1)")
	}
	init := pg.Initdb{
		Binaries: s.New, Data: dir, WAL: waldir, Superuser: s.Superuser, Like: like, Group: f.GroupAccess,
		Checksums: f.Server.Settings["data_checksums"] == "on", Segment: f.Server.Int("wal_segment_size"),
	}
	return init.Run(ctx, &s.User, s.Environ)
}

// vacant makes sure that initdb finds nothing of somebody else's.
func vacant(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(entries) > 0 {
		return fmt.Errorf("make an empty cluster: %s is not empty (%s is in it); nothing was changed: look what it is, and move it away if nobody needs it",
			dir, filepath.Join(dir, entries[0].Name()))
	}
	return nil
}
