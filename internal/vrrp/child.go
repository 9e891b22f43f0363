package vrrp

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/proc"
	"github.com/pgbaton/pgbaton/notify"
)

const (
	pidFile     = "keepalived.pid" // of keepalived's parent process
	vrrpPidFile = "vrrp.pid"       // of its child that speaks VRRP
)

// checkTime bounds `keepalived -t`, which takes some ten milliseconds.
const checkTime = 10 * time.Second

// endTime bounds keepalived's end after SIGTERM; it needs a second where a
// script hangs, and there is none here.
const endTime = 3 * time.Second

// keepalivedEnv is all that keepalived gets of the environment: no secrets.
func keepalivedEnv(env []string, dir string) []string {
	if env == nil {
		env = os.Environ()
	}
	out := []string{"TMPDIR=" + dir} // keepalived.json
	for _, kv := range env {
		if strings.HasPrefix(kv, "PATH=") || strings.HasPrefix(kv, "TZ=") {
			out = append(out, kv)
		}
	}
	return out
}

// testConf lets keepalived judge a configuration. 2.2.7 returns 0 where it
// drops a tracker, so anything that it says counts as a refusal.
func testConf(ctx context.Context, env []string, path string) error {
	ctx, cancel := context.WithTimeoutCause(ctx, checkTime, errors.New("it did not end in time"))
	defer cancel()
	said := new(strings.Builder)
	err := proc.Run(ctx, proc.Spec{Args: []string{program, "-t", "-f", path}, Env: env, Stdout: said, Stderr: said})
	if text := strings.TrimSpace(said.String()); text != "" || err != nil {
		return fmt.Errorf("keepalived does not take its configuration: %s", strings.Join(append(strings.Split(text, "\n"), words(err)...), "; "))
	}
	return nil
}

func words(err error) []string {
	if err == nil {
		return nil
	}
	return []string{err.Error()}
}

// launch starts keepalived in a session of its own: it does not die with the
// supervisor, see the package's comment. Its parent process ends when its child
// does, so that one place starts both again.
func launch(env []string, dir string, output *os.File) (*proc.Process, error) {
	conf := filepath.Join(dir, notify.ConfFile)
	p, err := proc.Start(proc.Spec{
		Args: []string{
			program, "--dont-fork", "--dont-respawn", "--log-console", "--no-syslog", "--vrrp", "-f", conf,
			"-p", filepath.Join(dir, pidFile), "-r", filepath.Join(dir, vrrpPidFile),
		},
		Env: env, Dir: "/", Stdout: output, Stderr: output,
	}, proc.Launch{Session: true})
	if err != nil {
		return nil, fmt.Errorf("start keepalived: %w", err)
	}
	return p, nil
}

// survivor adopts the keepalived that a supervisor before this one started on
// this directory; nil: there is none.
func survivor(dir string) *proc.Process {
	raw, err := os.ReadFile(filepath.Join(dir, pidFile))
	if err != nil {
		return nil
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
	if err != nil {
		return nil
	}
	info, err := proc.Stat(pid)
	if err != nil || !serves(info, dir) {
		return nil
	}
	p, err := proc.Adopt(pid, info.Start)
	if err != nil {
		return nil
	}
	return p
}

// serves reports whether a process is a keepalived with our configuration, and
// not another container's with one of the same path.
func serves(info proc.Info, dir string) bool {
	return info.Comm == program && info.State != 'Z' &&
		slices.Contains(strings.Fields(info.Cmdline), filepath.Join(dir, notify.ConfFile)) && proc.SharesMounts(info.PID)
}

// clear ends every keepalived of this directory, whoever started it, and
// removes the pid files: keepalived believes a pid that now belongs to anything
// and would not start.
func clear(dir string) error {
	all, err := proc.List()
	if err != nil {
		return fmt.Errorf("look for an old keepalived: %w", err)
	}
	for _, info := range all {
		if serves(info, dir) {
			if p, err := proc.Adopt(info.PID, info.Start); err == nil {
				end(p)
			}
		}
	}
	for _, name := range []string{pidFile, vrrpPidFile} {
		_ = os.Remove(filepath.Join(dir, name)) // a file that stays is said by keepalived
	}
	return nil
}

// end ends a keepalived and returns when it is gone: it releases the address
// first.
func end(p *proc.Process) {
	_ = p.Signal(syscall.SIGTERM) // judged by the wait
	select {
	case <-p.Done():
	case <-time.After(endTime):
		_ = p.Signal(syscall.SIGKILL)
		<-p.Done()
	}
	p.Release()
}
