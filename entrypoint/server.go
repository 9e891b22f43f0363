package entrypoint

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/pg"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// server is the postmaster that this supervisor watches.
type server struct {
	proc    *proc.Process
	adopted bool
	ready   bool       // it accepts connections, or is a standby that never will (hot_standby = off)
	told    node.Mode  // the strongest shutdown it was told
	file    pg.PidFile // as last read
	since   time.Time  // when it was started or adopted
	listens bool       // it has written postmaster.pid, and so has its signal handlers
	later   []syscall.Signal
	relay   atomic.Pointer[relay] // keeps its last words; nil: none
	door    *pg.Door              // to its SQL
	live    context.Context       // of what asks it; ended by leave
	leave   context.CancelFunc
}

func newServer(p *proc.Process, adopted bool, patience time.Duration) *server {
	s := &server{proc: p, adopted: adopted, since: time.Now(), door: pg.NewDoor(patience)}
	s.live, s.leave = context.WithCancel(context.Background())
	return s
}

// unask ends all sessions of ours: one that is to stop would wait for them.
func (s *server) unask() {
	s.leave()
	s.door.Close()
}

// pass sends a signal that is no shutdown. A postgres without its handlers
// would die of it, so until then it is kept.
func (s *server) pass(sig syscall.Signal) error {
	if !s.listens {
		if !slices.Contains(s.later, sig) {
			s.later = append(s.later, sig)
		}
		return nil
	}
	return s.proc.Signal(sig)
}

// launch is what it takes to start a postmaster.
type launch struct {
	bin    pg.Binaries
	pgdata string
	args   []string // without the leading "postgres"
	env    []string
	user   proc.User
	lock   *os.File   // inherited: the volume is ours as long as one process of it lives
	relay  *relay     // nil: none
	words  *lastWords // of a server that does not outlive this supervisor; nil: nobody keeps them
	stale  int        // pid of a postmaster.pid that was verified to be left behind; 0: none
}

// startPostmaster starts postgres in a session of its own, on the container's
// stdout and stderr.
func startPostmaster(l launch) (*proc.Process, error) {
	spec := proc.Spec{
		Args:   append([]string{"postgres"}, l.args...),
		Env:    serverEnv(l),
		Dir:    "/",
		User:   &l.user,
		Stdin:  os.Stdin,
		Stdout: os.Stdout,
		Stderr: l.output(),
	}
	spec.Path = l.bin.Path("postgres")
	if l.lock != nil {
		spec.Extra = []*os.File{l.lock}
	}
	dropSocketLocks()
	lower := proc.MayLowerOOM()
	spec.Env = withOOM(spec.Env, proc.OOMScore(), lower)
	p, err := proc.Start(spec, proc.Launch{Session: true})
	if err != nil {
		return nil, err
	}
	if lower {
		_ = p.SetOOM(-900) // a protection, no promise: without it the kernel's own choice stands
	}
	return p, nil
}

// dropSocketLocks removes the lock files of Unix sockets whose pid is no
// postgres here. PostgreSQL judges them by kill(pid, 0) too, so with one uid
// for all (docker run --user) a thread of ours, even one that begins only in
// the next moment, would count as a live server. What nobody has the pid of,
// postgres itself removes.
func dropSocketLocks() {
	if os.Geteuid() == 0 {
		return // postgres may not signal us, which counts as nobody there
	}
	locks, _ := filepath.Glob(socketDir + "/.s.PGSQL.*.lock")
	for _, path := range locks {
		if info, err := os.Lstat(path); err != nil || !info.Mode().IsRegular() {
			continue
		}
		raw, _ := os.ReadFile(path) // unreadable: no pid, and postgres says so
		first, _, _ := strings.Cut(string(raw), "\n")
		pid, err := strconv.Atoi(strings.TrimSpace(first))
		if err != nil {
			continue
		}
		if p, err := proc.Stat(pid); err != nil || p.Comm != "postgres" {
			_ = os.Remove(path) // what then remains, postgres complains about
		}
	}
}

// serverEnv is the environment of the postmaster.
func serverEnv(l launch) []string {
	env := setEnv(l.env, "PGDATA", l.pgdata)
	if l.user.Home != "" {
		env = setEnv(env, "HOME", l.user.Home)
	}
	if l.stale > 0 {
		// PostgreSQL judges a postmaster.pid by kill(pid, 0), which succeeds on
		// any thread of a process of ours too; it spares this one pid
		// (src/backend/utils/init/miscinit.c, CreateLockFile).
		env = setEnv(env, "PG_GRANDPARENT_PID", strconv.Itoa(l.stale))
	}
	return env
}

// withOOM protects the postmaster from the OOM killer and not its children,
// who may be killed alone: where the score may be lowered, children go back to
// the container's; where it may not, they are raised above the postmaster
// (raising needs no capability). A user's own PG_OOM_ADJUST_FILE stands.
func withOOM(env []string, score int, lower bool) []string {
	if slices.ContainsFunc(env, func(kv string) bool { return strings.HasPrefix(kv, "PG_OOM_ADJUST_FILE=") }) {
		return env
	}
	if !lower {
		score = min(score+300, 1000)
	}
	env = setEnv(env, "PG_OOM_ADJUST_FILE", "/proc/self/oom_score_adj")
	return setEnv(env, "PG_OOM_ADJUST_VALUE", strconv.Itoa(score))
}

// setEnv returns env with one variable set, without changing env.
func setEnv(env []string, name, value string) []string {
	out := slices.DeleteFunc(slices.Clone(env), func(kv string) bool { return strings.HasPrefix(kv, name+"=") })
	return append(out, name+"="+value)
}

// nameless makes getpwuid(3) find a name for a uid that has none, in initdb
// and in postgres (peer authentication asks for it), by nss_wrapper.
func nameless(env []string, dir string, u *proc.User) ([]string, error) {
	if u.Name != "" {
		return env, nil
	}
	lib := nssWrapper()
	if lib == "" {
		return env, nil // initdb says what it misses
	}
	passwd, group := filepath.Join(dir, "passwd"), filepath.Join(dir, "group")
	line := fmt.Sprintf("postgres:x:%d:%d:PostgreSQL:%s:/bin/false\n", u.UID, u.GID, home)
	if err := extend("/etc/passwd", passwd, "postgres:", line); err != nil {
		return env, err
	}
	if err := extend("/etc/group", group, "postgres:", fmt.Sprintf("postgres:x:%d:\n", u.GID)); err != nil {
		return env, err
	}
	u.Name, u.Home = "postgres", home
	env = setEnv(env, "LD_PRELOAD", lib)
	env = setEnv(env, "NSS_WRAPPER_PASSWD", passwd)
	return setEnv(env, "NSS_WRAPPER_GROUP", group), nil
}

func nssWrapper() string {
	for _, pattern := range []string{"/usr/lib/*/libnss_wrapper.so", "/usr/lib/libnss_wrapper.so"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return found[0]
		}
	}
	return ""
}

// extend copies a user database with a line of ours in place of the one that
// begins with name.
func extend(from, to, name, line string) error {
	raw, err := os.ReadFile(from)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	var b strings.Builder
	for old := range strings.Lines(string(raw)) {
		if !strings.HasPrefix(old, name) {
			b.WriteString(old)
		}
	}
	b.WriteString(line)
	return os.WriteFile(to, []byte(b.String()), 0o644)
}

// leftovers returns the processes of a postmaster that is gone. Its children
// passed to init (parent), and every backend and auxiliary process of
// PostgreSQL shows "postgres: …" as its command line; one that was only just
// forked still shows the postmaster's own command line (postmaster; empty:
// unknown) and started before that died (died, clock ticks since boot):
// a later one with the same arguments is a new postmaster, of pg_ctl restart.
// The data directory is no help: root in Docker's default capabilities cannot
// read another uid's cwd.
func leftovers(all []proc.Info, init int, uid uint32, postmaster string, died uint64) []proc.Info {
	var found []proc.Info
	for _, p := range all {
		if p.Comm != "postgres" || p.UID != uid || p.PPID != init || p.State == 'Z' {
			continue
		}
		forked := postmaster != "" && p.Cmdline == postmaster && p.Start <= died
		if forked || strings.HasPrefix(p.Cmdline, "postgres: ") {
			found = append(found, p)
		}
	}
	return found
}
