package testbed

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Loop is a file system of its own in a sparse file, to be mounted into
// containers: it can lose power, and it can be too small. It needs root and
// the file system's tools.
type Loop struct {
	FS string // ext4 or xfs

	tb  TB
	dir string // holds the image file and the mount point
}

// loopPrefix begins the names of the directories of loops; Sweep looks for it.
const loopPrefix = "pgbaton-loop-"

// NewLoop makes and mounts a file system: "ext4" (from some 16 MB up) or
// "xfs" (from 300 MB up). The file grows only as it is written to.
func NewLoop(tb TB, fs string, size int64) *Loop {
	tb.Helper()
	if os.Geteuid() != 0 {
		tb.Fatalf("testbed: a loop mount needs root: run this test with sudo")
	}
	dir, err := os.MkdirTemp("", loopPrefix+runID+"-")
	if err != nil {
		tb.Fatalf("testbed: make a directory for the loop mount: %v", err)
	}
	l := &Loop{FS: fs, tb: tb, dir: dir}
	tb.Cleanup(l.cleanup)
	if err := l.make(size); err != nil {
		tb.Fatalf("testbed: %v", err)
	}
	return l
}

// At mounts the file system's volume into a container.
func (l *Loop) At(target string) Mount { return Bind(l.Path(), target) }

// Path is the volume on the host: an empty directory inside the file system,
// so that ext4's lost+found is nobody's concern.
func (l *Loop) Path() string { return filepath.Join(l.mount(), "volume") }

// Sync makes what was written to the volume from outside durable.
func (l *Loop) Sync() {
	l.tb.Helper()
	if err := syncFS(l.mount()); err != nil {
		l.tb.Fatalf("testbed: sync %s: %v", l.mount(), err)
	}
}

// PowerLoss does to the volume what a power cut does: whatever was not
// synced is gone. The containers on it are removed with their processes
// (kill -9 alone would keep the page cache, and so would pass a writer that
// never syncs), and the file system is mounted again, which replays its
// journal. The caller makes new containers.
func (l *Loop) PowerLoss(on ...*Container) {
	l.tb.Helper()
	l.cutPower()
	l.afterPowerLoss(on...)
}

func (l *Loop) cutPower() {
	l.tb.Helper()
	if err := shutdown(l.mount()); err != nil {
		l.tb.Fatalf("testbed: cut the power of %s: %v", l.mount(), err)
	}
}

func (l *Loop) afterPowerLoss(on ...*Container) {
	l.tb.Helper()
	for _, c := range on {
		c.Remove()
	}
	deadline := time.Now().Add(patience)
	for {
		if err := l.unmount(); err != nil {
			l.tb.Fatalf("testbed: after the power loss: %v", err)
		}
		if err := l.remount(); err != nil {
			l.tb.Fatalf("testbed: after the power loss: %v", err)
		}
		// A container that docker is just making holds every mount of the
		// host for a moment; what was mounted then is the dead file system again.
		err := writable(l.mount())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			l.tb.Fatalf("testbed: after the power loss: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *Loop) mount() string { return filepath.Join(l.dir, "mnt") }
func (l *Loop) file() string  { return filepath.Join(l.dir, "image") }

func (l *Loop) make(size int64) error {
	mkfs := map[string][]string{"ext4": {"-q", "-F"}, "xfs": {"-q", "-f"}}
	args, ok := mkfs[l.FS]
	if !ok {
		return fmt.Errorf("loop mount of %q: only ext4 and xfs", l.FS)
	}
	f, err := os.Create(l.file())
	if err != nil {
		return fmt.Errorf("make the loop's file: %w", err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		return fmt.Errorf("size the loop's file: %w", err)
	}
	if err := os.Mkdir(l.mount(), 0o700); err != nil {
		return fmt.Errorf("make the mount point: %w", err)
	}
	if _, err := run(l.tb.Context(), "mkfs."+l.FS, append(args, l.file())...); err != nil {
		return fmt.Errorf("make a file system (Debian: apt-get install e2fsprogs xfsprogs): %w", err)
	}
	if err := l.remount(); err != nil {
		return err
	}
	if err := os.Mkdir(l.Path(), 0o755); err != nil {
		return fmt.Errorf("make the volume's directory: %w", err)
	}
	return syncFS(l.mount()) // the directory itself must survive a power loss
}

func (l *Loop) remount() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if _, err := run(ctx, "mount", "-o", "loop", l.file(), l.mount()); err != nil {
		return fmt.Errorf("mount %s: %w", l.file(), err)
	}
	return nil
}

// unmount waits for the last process of a removed container to let go.
func (l *Loop) unmount() error {
	deadline := time.Now().Add(patience)
	for {
		err := unix.Unmount(l.mount(), 0)
		switch {
		case err == nil, errors.Is(err, unix.EINVAL): // EINVAL: not mounted
			return nil
		case !errors.Is(err, unix.EBUSY) || time.Now().After(deadline):
			return fmt.Errorf("unmount %s: %w", l.mount(), err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (l *Loop) cleanup() {
	if keep() {
		l.tb.Logf("KEEP=1: %s stays", l.dir)
		return
	}
	if err := l.unmount(); err != nil {
		l.tb.Logf("testbed: %v", err)
		return
	}
	if err := os.RemoveAll(l.dir); err != nil {
		l.tb.Logf("testbed: remove %s: %v", l.dir, err)
	}
}

// The request that stops a file system without writing anything more, and
// its flag for "not even the journal"; XFS's own names for what ext4 knows
// as EXT4_IOC_SHUTDOWN (linux/fs/xfs/libxfs/xfs_fs.h).
const (
	goingDown  = 0x8004587d // _IOR('X', 125, __u32)
	noLogFlush = 2
)

func shutdown(mount string) error {
	f, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.IoctlSetPointerInt(int(f.Fd()), goingDown, noLogFlush)
}

func syncFS(mount string) error {
	f, err := os.Open(mount)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}
