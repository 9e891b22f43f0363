package inplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

const (
	// rehearsalReserve is left free on the volume whatever happens, bytes: the
	// running server needs it, and stops when the disk is full.
	rehearsalReserve = 64 << 20
	// reserveEvery is how often that is looked at; a fast disk takes 100 MB meanwhile.
	reserveEvery = 50 * time.Millisecond
	// maxConfFile is the largest file that is taken for configuration, bytes.
	maxConfFile = 1 << 20
)

// reserveError is a rehearsal that was given up because the disk fills up.
type reserveError struct {
	volume string
	free   int64
}

func (e *reserveError) Error() string {
	return fmt.Sprintf("the rehearsal was given up because %s has only %d MB left; its copy is removed. Free some space, or upgrade without a rehearsal",
		e.volume, e.free>>20)
}

// keepReserve bounds a context by the disk: it ends when the volume is nearly full.
func (r *rehearsal) keepReserve(ctx context.Context) (context.Context, func()) {
	bounded, cancel := context.WithCancelCause(ctx)
	go func() {
		tick := time.NewTicker(reserveEvery)
		defer tick.Stop()
		for {
			select {
			case <-bounded.Done():
				return
			case <-tick.C:
			}
			var st unix.Statfs_t
			volume := r.real.Site.Volume
			if err := unix.Statfs(volume, &st); err == nil && int64(st.Bavail)*st.Bsize < rehearsalReserve {
				cancel(&reserveError{volume, int64(st.Bavail) * st.Bsize})
				return
			}
		}
	}()
	return bounded, func() { cancel(nil) }
}

// copyCluster makes a base backup of the running server.
func (r *rehearsal) copyCluster(ctx context.Context, open Session) error {
	o, s := r.real, &r.copied.Site
	var done, total atomic.Int64
	copied := make(chan struct{})
	told := make(chan struct{})
	go func() {
		defer close(told)
		tick := time.NewTicker(progressEvery)
		defer tick.Stop()
		for {
			o.progress("copying the cluster beside the running server", 60*float64(done.Load())/float64(max(1, total.Load())))
			select {
			case <-copied:
				return
			case <-tick.C:
			}
		}
	}()
	err := open(ctx, func(ctx context.Context, login func(string) pg.Login) error {
		return login("").CopyCluster(ctx, pg.ClusterCopy{
			Data: o.Site.PGData, Target: s.PGData, Spaces: filepath.Join(s.Volume, "spaces"), Skip: carriedNever, User: &s.User,
			Copied: func(d, t int64) { done.Store(d); total.Store(t) },
		})
	})
	close(copied)
	<-told
	if err != nil {
		return fmt.Errorf("copy the running cluster: %w", err)
	}
	return pg.AsUser(&s.User, r.relocate)
}

// relocate makes the copy's configuration name the copy where it names the real
// data directory: what it includes from there, and how it is carried over, is
// then as it will be.
func (r *rehearsal) relocate() error {
	data := r.copied.Site.PGData
	return filepath.WalkDir(data, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && filepath.Dir(path) == data && (d.Name() == "base" || d.Name() == "global" || strings.HasPrefix(d.Name(), "pg_")) {
			return fs.SkipDir
		}
		info, err := d.Info()
		if err != nil || !info.Mode().IsRegular() || !strings.HasSuffix(path, ".conf") || info.Size() > maxConfFile {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		moved := []byte(r.moved([]string{string(text)})[0])
		if bytes.Equal(moved, text) {
			return nil
		}
		return os.WriteFile(path, moved, info.Mode().Perm())
	})
}

// CleanRehearsal ends every server that an earlier rehearsal left, and removes
// its copy. It is for the start of a supervisor, since the one before may have
// been killed; where nothing is left it costs one look. The real cluster has
// no part in it. The error says what stays.
func (s *Site) CleanRehearsal(ctx context.Context) error {
	if _, err := s.Root.Lstat(RehearsalDir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for deadline := time.Now().Add(time.Minute); ; {
		left, err := s.rehearsing()
		if err != nil {
			return err
		}
		if len(left) == 0 {
			break
		}
		for _, p := range left {
			if h, err := proc.Adopt(p.PID, p.Start); err == nil {
				_ = h.Signal(syscall.SIGKILL) // gone is what is wanted
				h.Release()
			}
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%d processes of a rehearsal do not end (%s); its copy stays", len(left), left[0].Cmdline)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err := s.Root.RemoveAll(RehearsalDir); err != nil {
		return fmt.Errorf("remove the rehearsal's copy: %w", err)
	}
	return nil
}

// rehearsing are the server's user's processes that work on the copy: they name
// it, or are children of a server that does.
func (s *Site) rehearsing() ([]proc.Info, error) {
	all, err := proc.List()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.Volume, RehearsalDir) + "/"
	names := func(p proc.Info) bool {
		ours := p.Comm == "postgres" || p.Comm == "initdb" || p.Comm == "vacuumdb" || strings.HasPrefix(p.Comm, "pg_")
		return ours && strings.Contains(p.Cmdline, dir) && proc.SharesMounts(p.PID)
	}
	servers := map[int]bool{}
	for _, p := range all {
		servers[p.PID] = p.Comm == "postgres" && names(p)
	}
	var left []proc.Info
	for _, p := range all {
		if p.UID == s.User.UID && p.State != 'Z' && p.PID != os.Getpid() && (names(p) || servers[p.PPID]) {
			left = append(left, p)
		}
	}
	return left, nil
}
