package entrypoint

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/durable"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// buryAfter is how long a dead postmaster's processes may take to end by
// SIGQUIT before they are killed.
const buryAfter = 5 * time.Second

// bury ends processes and waits until each is gone.
func bury(ctx context.Context, list []proc.Info) error {
	procs := make([]*proc.Process, 0, len(list))
	for _, info := range list {
		p, err := proc.Adopt(info.PID, info.Start)
		if errors.Is(err, proc.ErrGone) {
			continue
		}
		if err != nil {
			return err
		}
		if info.State == 'T' { // stopped: it takes no other signal, and must not go on
			_ = p.Signal(syscall.SIGKILL)
		}
		procs = append(procs, p)
	}
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL} {
		for _, p := range procs {
			if err := p.Signal(sig); err != nil {
				return err
			}
		}
		if awaitAll(ctx, procs, buryAfter) {
			return nil
		}
	}
	return errors.New("processes of the old postmaster do not end, not even killed: the storage below them may hang")
}

func awaitAll(ctx context.Context, procs []*proc.Process, bound time.Duration) bool {
	late := time.After(bound)
	for _, p := range procs {
		select {
		case <-p.Done():
			p.Release()
		case <-late:
			return false
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// members are the processes of a group that started with or after its leader;
// before, and the number is somebody else's.
func members(all []proc.Info, g group) []proc.Info {
	var found []proc.Info
	for _, p := range all {
		if g.ID != 0 && p.Group == g.ID && p.Start >= g.Start && p.State != 'Z' {
			found = append(found, p)
		}
	}
	return found
}

// setAside keeps what an unfinished initialisation made, so that the next one
// finds an empty directory. It returns where it went, relative to the volume.
func setAside(root *os.Root, pl place, walDir string, u proc.User) (string, error) {
	rel, err := filepath.Rel(pl.volume, pl.pgdata)
	if err != nil {
		return "", err
	}
	to := filepath.Join(retiredDir, moment(time.Now())+"-halfmade")
	if err := durable.MkdirAll(root, to, owner(u), int(u.GID)); err != nil {
		return "", err
	}
	if err := moveEntries(root, rel, to, append([]string{"lost+found"}, ours...)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("keep the half-made cluster aside: %w", err)
	}
	if err := pg.AsUser(&u, func() error { return emptyWalDir(walDir) }); err != nil {
		return "", err
	}
	return to, durable.Remove(root, initFile)
}

// emptyWalDir empties POSTGRES_INITDB_WALDIR: initdb wants it empty, and it
// lies on another file system. The WAL of a cluster that was never served
// holds nothing that was acknowledged to anybody.
func emptyWalDir(dir string) error {
	if dir == "" {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("empty the WAL directory of a half-made cluster: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return fmt.Errorf("empty the WAL directory of a half-made cluster: %w", err)
	}
	defer func() { _ = root.Close() }()
	for _, e := range entries {
		if !pg.IsWALEntry(e.Name()) {
			return fmt.Errorf("the WAL directory %s holds %s, which initdb did not make; nothing there was touched, empty it", dir, e.Name())
		}
	}
	for _, e := range entries {
		if err := root.RemoveAll(e.Name()); err != nil {
			return fmt.Errorf("empty the WAL directory of a half-made cluster: %w", err)
		}
	}
	return nil
}

// diskSpace is what a volume has left, in bytes and inodes. Inodes are 0 of 0
// where the file system makes them as needed (btrfs).
func diskSpace(dir string) (free, inodes, allInodes uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Ffree, st.Files, nil
}

// moveEntries moves what lies in one directory of the volume into another,
// PG_VERSION last. Names in keep stay.
func moveEntries(root *os.Root, from, to string, keep []string) error {
	entries, err := fs.ReadDir(root.FS(), from)
	if err != nil {
		return err
	}
	last := func(e fs.DirEntry) bool { return e.Name() == "PG_VERSION" }
	slices.SortStableFunc(entries, func(a, b fs.DirEntry) int {
		switch {
		case last(a) == last(b):
			return strings.Compare(a.Name(), b.Name())
		case last(a):
			return 1
		default:
			return -1
		}
	})
	for _, e := range entries {
		if slices.Contains(keep, e.Name()) {
			continue
		}
		if last(e) {
			// What came before is on the disk when PG_VERSION appears.
			if err := durable.SyncDir(root, to); err != nil {
				return err
			}
			durable.Point("PG_VERSION", "before")
		}
		if err := root.Rename(path.Join(from, e.Name()), path.Join(to, e.Name())); err != nil {
			return err
		}
	}
	return errors.Join(durable.SyncDir(root, to), durable.SyncDir(root, from))
}
