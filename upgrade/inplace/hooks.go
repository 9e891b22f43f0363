package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/pgbaton/pgbaton/internal/node"
	"github.com/pgbaton/pgbaton/internal/proc"
)

// Hooks are the user's programs that run before and after each step, and may
// veto it.
type Hooks struct {
	Dir     string // need not exist
	Timeout time.Duration
}

// run runs every hook, in the order of their names, with the arguments WHEN
// and STEP. One that fails or does not end in time vetoes the upgrade, unless
// there is no way back any more: then it is a finding.
func (h Hooks) run(ctx context.Context, o *Operation, when string, step node.StepName) error {
	list, err := h.list()
	for _, path := range list {
		if err = h.one(ctx, o, path, when, step); err != nil {
			break
		}
	}
	if err == nil || cancelled(ctx, err) {
		return err
	}
	if !o.Journal.Final() {
		return err
	}
	o.find(node.Finding{
		Level: node.Note, Code: "hook", Text: err.Error(),
		Hint: "there is no way back from here any more, so the upgrade goes on",
	})
	return nil
}

// list returns the executables of the directory. A directory or a file that
// somebody but root may write is an error: whoever has postgres's uid must not
// become root by it. A container without root has nothing to lose there.
func (h Hooks) list() ([]string, error) {
	if h.Dir == "" {
		return nil, nil
	}
	entries, err := os.ReadDir(h.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the directory of hooks: %w", err)
	}
	if err := trusted(h.Dir); err != nil {
		return nil, err
	}
	var list []string
	for _, e := range entries { // sorted by name
		path := filepath.Join(h.Dir, e.Name())
		info, err := os.Stat(path)
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		if err := trusted(path); err != nil {
			return nil, err
		}
		list = append(list, path)
	}
	return list, nil
}

// trusted fails where anybody but root may change what path leads to.
func trusted(path string) error {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return fmt.Errorf("hook %s: %w", path, err)
	}
	for p := real; ; p = filepath.Dir(p) {
		info, err := os.Stat(p)
		if err != nil {
			return fmt.Errorf("hook %s: %w", path, err)
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		sticky := info.IsDir() && info.Mode()&os.ModeSticky != 0
		if !ok || st.Uid != 0 || (info.Mode().Perm()&0o022 != 0 && !sticky) {
			return fmt.Errorf("hook %s is refused: %s can be changed by others than root (owner %d, mode %o); "+
				"nothing was run. `chown root` and `chmod go-w` it", path, p, st.Uid, info.Mode().Perm())
		}
		if p == "/" {
			return nil
		}
	}
}

func (h Hooks) one(ctx context.Context, o *Operation, path, when string, step node.StepName) error {
	o.progress(fmt.Sprintf("hook %s %s %s", filepath.Base(path), when, step), 0)
	limited, cancel := context.WithTimeout(ctx, h.Timeout)
	defer cancel()
	j := &o.Journal
	env := append(os.Environ(),
		"PGBATON_UPGRADE_ID="+j.ID, fmt.Sprintf("PGBATON_UPGRADE_FROM=%d", j.From), fmt.Sprintf("PGBATON_UPGRADE_TO=%d", j.To),
		"PGBATON_UPGRADE_MODE="+string(j.Mode), "PGBATON_UPGRADE_DO="+string(j.Do))
	err := proc.Run(limited, proc.Spec{
		Path: path, Args: []string{filepath.Base(path), when, string(step)}, Env: env, Dir: "/", Group: true,
		Stdout: os.Stdout, Stderr: &hookLog{log: o.Log, hook: filepath.Base(path)},
	})
	switch {
	case err == nil:
		return nil
	case ctx.Err() == nil && limited.Err() != nil:
		return fmt.Errorf("hook %s %s %s did not end within %s and was killed", path, when, step, h.Timeout)
	default:
		return fmt.Errorf("hook %s %s %s vetoes: %w", path, when, step, err)
	}
}

// hookLog passes what a hook complains about on to the log.
type hookLog struct {
	log  *slog.Logger
	hook string
}

func (l *hookLog) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		l.log.Warn(strings.TrimRight(line, "\r\n"), "hook", l.hook)
	}
	return len(p), nil
}
