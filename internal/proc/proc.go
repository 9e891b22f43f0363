// Package proc starts, watches and signals processes. It is the only user of
// os/exec, and nothing in it knows PostgreSQL: a process is identified by its
// pid together with its start time, never by the pid alone.
package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// killAfter is how long a helper may take to end after SIGTERM before it is
// killed. Helpers are initdb, psql, init scripts and the like: none of them
// needs longer to clean up.
const killAfter = 2 * time.Second

// User is the operating system user a process runs as.
type User struct {
	UID, GID uint32
	Groups   []uint32 // supplementary
	Name     string   // empty where the uid has no entry in /etc/passwd
	Home     string
}

// LookupUser returns the user of that name with its supplementary groups, as
// gosu(1) sets them.
func LookupUser(name string) (User, error) {
	u, err := user.Lookup(name)
	if err != nil {
		return User{}, fmt.Errorf("look up user %s: %w", name, err)
	}
	uid, errU := strconv.ParseUint(u.Uid, 10, 32)
	gid, errG := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(errU, errG); err != nil {
		return User{}, fmt.Errorf("read ids of user %s: %w", name, err)
	}
	res := User{UID: uint32(uid), GID: uint32(gid), Name: u.Username, Home: u.HomeDir}
	ids, err := u.GroupIds()
	if err != nil {
		return User{}, fmt.Errorf("read groups of user %s: %w", name, err)
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			res.Groups = append(res.Groups, uint32(n))
		}
	}
	return res, nil
}

// CurrentUser returns the effective user of this process. Its Name is empty
// where the uid has no entry in /etc/passwd (docker run --user 1234).
func CurrentUser() User {
	res := User{UID: uint32(os.Geteuid()), GID: uint32(os.Getegid())}
	if u, err := user.LookupId(strconv.Itoa(os.Geteuid())); err == nil {
		res.Name, res.Home = u.Username, u.HomeDir
	}
	return res
}

// Spec says what to run. Where Path is empty, Args[0] is looked up in PATH of
// Env unless it holds a slash.
type Spec struct {
	Path    string // the program; empty means Args[0]
	Args    []string
	Env     []string // nil means this process's
	Dir     string
	User    *User // nil means this process's
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	Extra   []*os.File    // become descriptors 3, 4, …
	Started func(pid int) // called once it runs; for Run only
	Group   bool          // a process group of its own, which is signalled as a whole when the context ends
}

// Error is a helper that ran and did not succeed.
type Error struct {
	Args   []string
	Status Status
	Stderr string // its last words, where Spec.Stderr was nil
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s", e.Args[0], e.Status)
	if s := strings.TrimSpace(e.Stderr); s != "" {
		text += ": " + s
	}
	return text
}

// Output runs a helper to its end and returns what it printed on stdout.
func Output(ctx context.Context, s Spec) ([]byte, error) {
	var out bytes.Buffer
	s.Stdout = &out
	err := Run(ctx, s)
	return out.Bytes(), err
}

// Run runs a helper to its end. The helper dies with this process (SIGKILL by
// PR_SET_PDEATHSIG), so nothing of ours goes on changing data unwatched; when
// ctx ends it gets SIGTERM and, two seconds later, SIGKILL. The error is a
// *Error where the helper ran and failed; where ctx ended meanwhile it is the
// cause of that too.
func Run(ctx context.Context, s Spec) error {
	cmd := command(ctx, s)
	cmd.SysProcAttr.Setpgid = s.Group
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.WaitDelay = killAfter
	cmd.Cancel = func() error {
		pid := cmd.Process.Pid
		if s.Group {
			pid = -pid
			time.AfterFunc(killAfter, func() { _ = syscall.Kill(pid, syscall.SIGKILL) })
		}
		return syscall.Kill(pid, syscall.SIGTERM)
	}
	var tail bytes.Buffer
	if s.Stderr == nil {
		cmd.Stderr = &tail
	}
	done := make(chan error, 1)
	go func() {
		// The kernel sends the parent-death signal when the *thread* that
		// forked ends, so that thread has to live as long as the helper.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		if err := cmd.Start(); err != nil {
			done <- err
			return
		}
		if s.Started != nil {
			s.Started(cmd.Process.Pid)
		}
		done <- cmd.Wait()
	}()
	err := <-done
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		err = &Error{Args: s.Args, Status: statusOf(exit.ProcessState), Stderr: lastLines(tail.String(), 2000)}
		if ctx.Err() != nil {
			err = fmt.Errorf("%w (%w)", err, context.Cause(ctx))
		}
		return err
	}
	if ctx.Err() != nil {
		return fmt.Errorf("run %s: %w", s.Args[0], context.Cause(ctx))
	}
	return fmt.Errorf("run %s: %w", s.Args[0], err)
}

func lastLines(s string, limit int) string {
	if len(s) > limit {
		s = "…" + s[len(s)-limit:]
	}
	return s
}

func command(ctx context.Context, s Spec) *exec.Cmd {
	path := s.Path
	if path == "" {
		path = s.Args[0]
	}
	if p, err := Find(path, s.Env); err == nil {
		path = p
	}
	cmd := exec.CommandContext(ctx, path)
	cmd.Args, cmd.Env, cmd.Dir = s.Args, s.Env, s.Dir
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	cmd.ExtraFiles = s.Extra
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if s.User != nil && s.User.UID != uint32(os.Geteuid()) {
		cmd.SysProcAttr.Credential = &syscall.Credential{
			Uid: s.User.UID, Gid: s.User.GID, Groups: s.User.Groups,
		}
	}
	return cmd
}

// Find looks a program up in the PATH of env (nil: of this process). The error
// is fs.ErrNotExist where there is none and fs.ErrPermission where only
// something that cannot be executed has the name; a shell ends with 127 and
// 126 then.
func Find(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(name)
	}
	path := os.Getenv("PATH")
	for _, kv := range env {
		if v, ok := strings.CutPrefix(kv, "PATH="); ok {
			path = v
		}
	}
	err := error(&fs.PathError{Op: "find", Path: name, Err: fs.ErrNotExist})
	for dir := range strings.SplitSeq(path, ":") {
		if dir == "" {
			continue // the current directory is / here: nothing of use, and a trap
		}
		full := dir + "/" + name
		switch e := executable(full); {
		case e == nil:
			return full, nil
		case errors.Is(e, fs.ErrPermission):
			err = e
		}
	}
	return "", err
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return &fs.PathError{Op: "execute", Path: path, Err: fs.ErrPermission}
	}
	return nil
}
