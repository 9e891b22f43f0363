package pg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
)

// Helper is a private server: of this process alone, reached over one Unix
// socket, and harmless to everything outside its data directory. It archives
// nothing, applies no subscription, opens no TCP port and loads no library but
// those that its spec names. The kernel ends it together with this process.
//
// What a role or a database sets for itself (ALTER ROLE … SET) still counts in
// its sessions.
type Helper struct {
	spec  HelperSpec
	dir   helperDir
	post  *proc.Process // the postmaster; nil where it could not be started
	ended chan struct{} // closed when the postmaster has ended, after err was set
	err   error
}

// HelperSpec says which server to run.
type HelperSpec struct {
	Binaries  Binaries
	Data      string     // the data directory, absolute
	User      *proc.User // it runs as this; nil is this process's
	Env       []string   // its environment; PG… of it is ignored
	Superuser string     // the role for Login; empty: read from the files of the data directory

	// Dirs are where its socket directory may be made; the first that can be
	// written and whose name is short enough for a socket's path is taken,
	// /tmp after all of them.
	Dirs []string

	BinaryUpgrade bool              // postgres -b: only for what pg_upgrade does (pg_dump --binary-upgrade, pg_restore)
	Fsync         bool              // false where the data directory is thrown away, or synced by the caller
	Autovacuum    bool              //
	Preload       string            // shared_preload_libraries
	Settings      map[string]string // others, over those of its files; they win over what a helper sets by itself
}

// helperPort names the socket only.
const helperPort = 5432

// How long a helper server may take to end before it is told more firmly.
const (
	helperFast      = 30 * time.Second // with a checkpoint
	helperImmediate = 10 * time.Second // it kills its own children after 5
	helperKill      = 10 * time.Second // SIGKILL
)

// StartHelper starts the server and returns when it lets sessions in. ctx bounds
// the start alone; the caller stops the server. A data directory with a
// standby.signal or recovery.signal is refused: it would replay somebody
// else's WAL or wait for it. A server that was not shut down cleanly recovers.
func StartHelper(ctx context.Context, s HelperSpec) (*Helper, error) {
	h, err := startHelper(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("start a private server of PostgreSQL %d on %s: %w", s.Binaries.Major, s.Data, err)
	}
	return h, nil
}

func startHelper(ctx context.Context, s HelperSpec) (*Helper, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	if s.Superuser == "" {
		name, err := BootstrapSuperuser(s.Data)
		if err != nil {
			return nil, err
		}
		s.Superuser = name
	}
	dir, err := makeHelperDir(s.Dirs, s.User)
	if err != nil {
		return nil, err
	}
	h := &Helper{spec: s, dir: dir, ended: make(chan struct{})}
	h.run(ctx)
	if err := h.wait(ctx); err != nil {
		h.kill(Immediate)
		err = h.withLog(err)
		return nil, errors.Join(err, dir.remove())
	}
	return h, nil
}

func (s HelperSpec) check() error {
	if !filepath.IsAbs(s.Data) {
		return fmt.Errorf("%q is not an absolute path", s.Data)
	}
	for _, name := range []string{"standby.signal", "recovery.signal", "recovery.conf"} {
		_, err := os.Lstat(filepath.Join(s.Data, name))
		if err == nil {
			return fmt.Errorf("%s is there: this is a standby or a restore that has not ended; nothing was started", name)
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// run starts the postmaster and returns when it runs or has failed to. It goes
// on when ctx ends: its SIGTERM would be a smart shutdown, its SIGKILL no
// shutdown at all.
func (h *Helper) run(ctx context.Context) {
	s := h.spec
	up := make(chan struct{})
	go func() {
		defer close(h.ended)
		// By its whole path: it looks for its other files where its own name says.
		h.err = proc.Run(context.WithoutCancel(ctx), proc.Spec{
			Args: append([]string{s.Binaries.Path("postgres")}, s.args(h.dir.path)...),
			Env:  helperEnv(s.Env), Dir: "/", User: s.User, Stdout: h.dir.log, Stderr: h.dir.log,
			Started: func(pid int) {
				h.post, _ = proc.Adopt(pid, 0) // it has not been waited for: the pid is its own
				close(up)
			},
		})
	}()
	select {
	case <-up:
	case <-h.ended:
	}
}

// wait returns when sessions are let in.
func (h *Helper) wait(ctx context.Context) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return fmt.Errorf("it was not ready in time: %w", context.Cause(ctx))
		case <-h.ended:
			return h.exit()
		case <-tick.C:
		}
		if p, err := ReadPidFile(h.spec.Data); err == nil && h.post != nil && p.PID == h.post.PID && p.Ready() {
			return nil
		}
	}
}

// exit is how the server ended, for a message.
func (h *Helper) exit() error {
	if h.err == nil {
		return errors.New("it has ended")
	}
	return h.err
}

func (h *Helper) withLog(err error) error {
	if log := h.Log(); log != "" {
		return fmt.Errorf("%w; its last words:\n%s", err, log)
	}
	return err
}

// Login is the way in, as the superuser, without a password.
func (h *Helper) Login(db string) Login {
	return Login{SocketDir: h.dir.path, Port: helperPort, User: h.spec.Superuser, Database: db, PeerUID: -1}
}

// SocketDir is where its socket lies.
func (h *Helper) SocketDir() string { return h.dir.path }

// Port is the number in the socket's name.
func (h *Helper) Port() int { return helperPort }

// Log returns the last lines of what the server printed, at most 2000 bytes.
func (h *Helper) Log() string { return h.dir.lastWords(2000) }

// Ended is closed when the server has ended, by itself or by Stop.
func (h *Helper) Ended() <-chan struct{} { return h.ended }
